import { useEffect, useState } from 'preact/hooks';
import { api, money, type Order, type Product } from './api';
import { Art } from './art';
import { heed } from './heed';
import { link } from './route';
import { useShop } from './shop';

// Looking around: catalogue, product, orders and invoices, log-in.

export const stockText = (n: number): string =>
  n === 0 ? 'Sold out' : n <= 5 ? `Only ${n} left` : `${n} in stock`;

export function Catalogue() {
  const { products } = useShop();
  const [category, set] = useState('All');
  const categories = ['All', ...new Set(products.map((p) => p.category))];
  const shown = products.filter((p) => category === 'All' || p.category === category);
  return (
    <>
      <section class="hero">
        <div>
          <h1>Good things for slow evenings</h1>
          <p>
            A small shop with a short list. Every price, every piece of stock and every invoice here
            works; nothing is ever charged.
          </p>
          <a class="button" href={link('/spin')}>
            Spin to win
          </a>
        </div>
      </section>
      <fieldset class="chips">
        <legend class="hidden">Category</legend>
        {categories.map((c) => (
          <button key={c} type="button" aria-pressed={c === category} onClick={() => set(c)}>
            {c}
          </button>
        ))}
      </fieldset>
      <ul class="grid">
        {shown.map((p) => (
          <li key={p.id} class="card">
            <a href={link(`/product/${p.id}`)}>
              <Art id={p.id} />
              <h2>{p.name}</h2>
            </a>
            <p class="row">
              <strong>{money(p.cents)}</strong>
              <span class={p.stock <= 5 ? 'few' : 'muted'}>{stockText(p.stock)}</span>
            </p>
          </li>
        ))}
      </ul>
    </>
  );
}

export function ProductPage({ id }: { id: string }) {
  const { products, add, cart, offered } = useShop();
  const [added, setAdded] = useState(0);
  const p = products.find((x) => x.id === id);
  useEffect(() => {
    setAdded(0);
    if (p) heed().track('product_view', { product_id: p.id, name: p.name, price: p.cents / 100 });
  }, [id]);
  if (!p) return <Missing what="product" />;
  const left = p.stock - (cart[p.id] ?? 0);
  return (
    <article class="product">
      <Art id={p.id} />
      <div>
        <p class="muted">{p.category}</p>
        <h1>{p.name}</h1>
        <p>{p.summary}</p>
        <p class="price">{money(p.cents)}</p>
        <p class={p.stock <= 5 ? 'few' : 'muted'} data-testid="stock">
          {stockText(p.stock)}
        </p>
        <button
          type="button"
          class="button"
          disabled={left < 1}
          onClick={() => {
            add(p);
            setAdded(added + 1);
          }}
        >
          {left < 1 ? 'No more in stock' : 'Add to cart'}
        </button>
        <p role="status" class="note">
          {added > 0 && (
            <>
              In your cart: {cart[p.id]}. <a href={link('/cart')}>Go to the cart</a>
            </>
          )}
        </p>
        {/* beside the product it is for, and beside no other */}
        <div hidden={offered !== undefined && offered !== p.id}>
          <div class="slot" data-heed-slot="product-offer" />
        </div>
      </div>
      <Details p={p} />
    </article>
  );
}

function Details({ p }: { p: Product }) {
  return (
    <div class="details">
      <section>
        <h2>Specs</h2>
        <table>
          <tbody>
            {p.specs.map(([name, value]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td>{value}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <section>
        <h2>Docs</h2>
        {p.docs.map((d) => (
          <details key={d.title}>
            <summary>{d.title}</summary>
            <p>{d.text}</p>
          </details>
        ))}
      </section>
    </div>
  );
}

export function Missing({ what }: { what: string }) {
  return (
    <section class="empty">
      <h1>There is no such {what}</h1>
      <a class="button" href={link('/')}>
        Back to the shop
      </a>
    </section>
  );
}

export function Orders() {
  const [orders, set] = useState<Order[]>();
  const [error, setError] = useState('');
  useEffect(() => {
    api.orders().then(set, (e) => setError(e.message));
  }, []);
  if (error) return <p role="alert">{error}</p>;
  if (!orders) return <p class="muted">Looking…</p>;
  return (
    <section>
      <h1>Your orders</h1>
      {orders.length === 0 ? (
        <div class="empty">
          <p>Nothing was ordered in this browser yet.</p>
          <a class="button" href={link('/')}>
            Look around
          </a>
        </div>
      ) : (
        <ul class="list">
          {orders.map((o) => (
            <li key={o.number} class="row">
              <a href={link(`/invoice/${o.number}`)}>{o.number}</a>
              <span class="muted">{new Date(o.placed).toLocaleString()}</span>
              <strong>{money(o.total)}</strong>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

export function Invoice({ number }: { number: string }) {
  const [order, set] = useState<Order>();
  const [error, setError] = useState('');
  useEffect(() => {
    api.invoice(number).then(set, (e) => setError(e.message));
  }, [number]);
  if (error) return <Missing what="invoice of yours" />;
  if (!order) return <p class="muted">Looking…</p>;
  return (
    <article class="paper">
      <header class="row">
        <h1>Invoice {order.number}</h1>
        <button type="button" class="plain" onClick={() => print()}>
          Print
        </button>
      </header>
      <p>
        {order.name}, {order.email}
        <br />
        {new Date(order.placed).toLocaleString()} · paid by card ending {order.card}
      </p>
      <table>
        <thead>
          <tr>
            <th scope="col">Product</th>
            <th scope="col">Pieces</th>
            <th scope="col">Each</th>
            <th scope="col">Sum</th>
          </tr>
        </thead>
        <tbody>
          {order.lines.map((l) => (
            <tr key={l.product_id}>
              <td>{l.name}</td>
              <td>{l.quantity}</td>
              <td>{money(l.cents)}</td>
              <td>{money(l.cents * l.quantity)}</td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          {order.discount > 0 && (
            <tr>
              <th scope="row" colSpan={3}>
                Discount {order.code}
              </th>
              <td>−{money(order.discount)}</td>
            </tr>
          )}
          <tr>
            <th scope="row" colSpan={3}>
              Delivery
            </th>
            <td>{money(order.shipping)}</td>
          </tr>
          <tr class="total">
            <th scope="row" colSpan={3}>
              Total
            </th>
            <td data-testid="total">{money(order.total)}</td>
          </tr>
        </tfoot>
      </table>
      <p class="muted">Includes {money(order.tax)} VAT. This is a demo: nothing was charged.</p>
      <a href={link('/orders')}>All orders</a>
    </article>
  );
}

export function Login() {
  const { user, login, logout } = useShop();
  const [email, setEmail] = useState('');
  const [name, setName] = useState('');
  if (user)
    return (
      <section class="form">
        <h1>Hello, {user.name || user.email}</h1>
        <p>You are logged in as {user.email}.</p>
        <button type="button" class="button" onClick={logout}>
          Log out
        </button>
      </section>
    );
  return (
    <form
      class="form"
      onSubmit={(e) => {
        e.preventDefault();
        login({ email: email.trim().toLowerCase(), name: name.trim() });
      }}
    >
      <h1>Log in</h1>
      <p>A demo account: any e-mail address will do, there is no password.</p>
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
        First name (optional)
        <input
          autocomplete="given-name"
          value={name}
          onInput={(e) => setName(e.currentTarget.value)}
        />
      </label>
      <button type="submit" class="button">
        Log in
      </button>
    </form>
  );
}
