import { useEffect, useRef, useState } from 'preact/hooks';
import { api, money, type Refused } from './api';
import { OFFERS } from './cart';
import { heed } from './heed';
import { go, link } from './route';
import { useShop } from './shop';

// Buying: cart and checkout.

function Sums() {
  const { totals: t, code, setCode } = useShop();
  return (
    <dl class="sums">
      <div>
        <dt>Subtotal</dt>
        <dd>{money(t.subtotal)}</dd>
      </div>
      {code && (
        <div>
          <dt>
            {OFFERS[code]?.label} ({code}){' '}
            <button type="button" class="plain" onClick={() => setCode('')}>
              remove
            </button>
          </dt>
          <dd>−{money(t.discount)}</dd>
        </div>
      )}
      <div>
        <dt>Delivery</dt>
        <dd>{t.shipping ? money(t.shipping) : 'free'}</dd>
      </div>
      <div class="total">
        <dt>Total</dt>
        <dd>{money(t.total)}</dd>
      </div>
    </dl>
  );
}

export function CartPage() {
  const { products, cart, set, count } = useShop();
  const lines = products.filter((p) => cart[p.id]);
  return (
    <section>
      <h1>Your cart</h1>
      {count === 0 ? (
        <div class="empty">
          <p>The cart is empty: nothing was added yet.</p>
          <a class="button" href={link('/')}>
            Look around
          </a>
        </div>
      ) : (
        <>
          <ul class="list">
            {lines.map((p) => (
              <li key={p.id} class="row">
                <a href={link(`/product/${p.id}`)}>{p.name}</a>
                <label class="amount">
                  <span class="hidden">Pieces of {p.name}</span>
                  <select
                    value={cart[p.id]}
                    onChange={(e) => set(p.id, Number(e.currentTarget.value))}
                  >
                    {Array.from(
                      { length: Math.min(Math.max(p.stock, cart[p.id] ?? 1), 99) + 1 },
                      (_, n) => (
                        <option key={n} value={n}>
                          {n === 0 ? 'remove' : n}
                        </option>
                      ),
                    )}
                  </select>
                </label>
                <strong>{money(p.cents * (cart[p.id] ?? 0))}</strong>
              </li>
            ))}
          </ul>
          <Sums />
          <a class="button" href={link('/checkout')}>
            To the checkout
          </a>
        </>
      )}
    </section>
  );
}

export function Checkout() {
  const { products, cart, count, code, totals, user, clear, setCode, refresh } = useShop();
  const [name, setName] = useState(user?.name ?? '');
  const [email, setEmail] = useState(user?.email ?? '');
  const [card, setCard] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState('');
  const alert = useRef<HTMLParagraphElement>(null);
  useEffect(() => {
    if (count)
      heed().track('checkout_start', {
        revenue: totals.total / 100,
        items: count,
        currency: 'EUR',
      });
  }, [count > 0]); // after a reload the cart comes a moment later
  useEffect(() => {
    if (error) alert.current?.focus();
  }, [error]);

  if (count === 0 && !busy)
    return (
      <section class="empty">
        <h1>Checkout</h1>
        <p>There is nothing to pay: the cart is empty.</p>
        <a class="button" href={link('/')}>
          Look around
        </a>
      </section>
    );

  const pay = async (e: Event) => {
    e.preventDefault();
    setBusy(true);
    setError('');
    const items = Object.entries(cart).map(([product_id, quantity]) => ({ product_id, quantity }));
    try {
      const o = await api.order({ items, name, email, card, code });
      heed().track('purchase', {
        order_id: o.number,
        revenue: o.total / 100,
        currency: 'EUR',
        coupon: o.code,
        products: o.lines.map((l) => ({
          product_id: l.product_id,
          price: l.cents / 100,
          quantity: l.quantity,
        })),
      });
      go(link(`/invoice/${o.number}`), true);
      clear();
      setCode('');
    } catch (x) {
      const { code: reason, message } = x as Refused;
      if (reason === 'declined')
        heed().track('payment_failed', { reason, revenue: totals.total / 100 });
      setError(message);
      setBusy(false);
    }
    refresh();
  };

  return (
    <form class="checkout" onSubmit={pay}>
      <div class="form">
        <h1>Checkout</h1>
        {error && (
          <p class="error" role="alert" tabIndex={-1} ref={alert}>
            {error}
          </p>
        )}
        <label>
          Name
          <input
            required
            maxLength={100}
            autocomplete="name"
            value={name}
            onInput={(e) => setName(e.currentTarget.value)}
          />
        </label>
        <label>
          E-mail
          <input
            type="email"
            required
            autocomplete="email"
            value={email}
            onInput={(e) => setEmail(e.currentTarget.value)}
          />
        </label>
        <label>
          Card number
          <input
            required
            inputMode="numeric"
            autocomplete="off"
            pattern="[0-9 \-]{12,23}"
            title="12 to 19 digits"
            aria-describedby="card-help"
            data-heed-mask=""
            value={card}
            onInput={(e) => setCard(e.currentTarget.value)}
          />
        </label>
        <p id="card-help" class="muted">
          Try 4242 4242 4242 4242. A card that ends in 0000 is declined.{' '}
          <button type="button" class="plain" onClick={() => setCard('4242 4242 4242 4242')}>
            Fill in
          </button>
        </p>
        <button type="submit" class="button" disabled={busy}>
          {busy ? 'Paying…' : `Pay ${money(totals.total)}`}
        </button>
      </div>
      <aside class="summary" aria-label="Your order">
        <ul>
          {products
            .filter((p) => cart[p.id])
            .map((p) => (
              <li key={p.id}>
                {cart[p.id]} × {p.name}
              </li>
            ))}
        </ul>
        <Sums />
        <div class="slot" data-heed-slot="checkout-offer" />
      </aside>
    </form>
  );
}
