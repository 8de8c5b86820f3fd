import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { api, type Crowd } from './api';
import { Bell } from './bell';
import { CartPage, Checkout } from './buy';
import { load, save } from './cart';
import { heed } from './heed';
import { Catalogue, Invoice, Login, Missing, Orders, ProductPage } from './pages';
import { interceptLinks, link, useRoute } from './route';
import { Provider, useShop, useShopState } from './shop';
import { Spin } from './spin';
import './style.css';
import { Desk, Support } from './support';

const ALLOWED = 'shop_gpc_allowed';

/** The visitor's own word, which stands beside Global Privacy Control in every event's consent. */
function allow(): void {
  heed().context = { consent: { analytics: true, marketing: true } };
}

if (load(ALLOWED, false)) allow();

function Privacy() {
  const [allowed, set] = useState(load(ALLOWED, false));
  if (!navigator.globalPrivacyControl || allowed) return null;
  return (
    <section class="notice" aria-label="Privacy">
      <p>
        Your browser sends Global Privacy Control. Heed keeps that wish with every event. Do you
        want offers and messages in this shop?
      </p>
      <button
        type="button"
        class="button"
        onClick={() => {
          save(ALLOWED, true);
          allow();
          set(true);
        }}
      >
        Allow here
      </button>
    </section>
  );
}

function Header() {
  const { count, user } = useShop();
  return (
    <header class="top">
      <a class="skip" href="#main">
        Skip to content
      </a>
      <a class="brand" href={link('/')}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" fill="#8a3b12" />
          <path d="M7 16l9-8 9 8v9H7z" fill="#fff" />
        </svg>
        Hearth &amp; Home
      </a>
      <nav aria-label="Shop">
        <a href={link('/spin')}>Spin</a>
        <a href={link('/support')}>Support</a>
        <a href={link('/orders')}>Orders</a>
        <a href={link('/login')}>{user ? user.name || 'Account' : 'Log in'}</a>
        <a class="cart" href={link('/cart')}>
          Cart <span data-testid="count">{count}</span>
          <span class="hidden"> products</span>
        </a>
      </nav>
      <Bell />
    </header>
  );
}

function Footer() {
  const [crowd, set] = useState<Crowd>();
  useEffect(() => {
    api.crowd().then(set, () => {});
  }, []);
  return (
    <footer>
      <p>A demo shop of Heed. Nothing is sold, nothing is charged.</p>
      {crowd && (
        <p>
          Simulated shoppers (crowd-1, crowd-2, …) are {crowd.running ? 'about' : 'gone'}.{' '}
          <button
            type="button"
            class="plain"
            onClick={() => api.setCrowd(!crowd.running).then(set, () => {})}
          >
            {crowd.running ? 'Send them home' : 'Let them in'}
          </button>
        </p>
      )}
    </footer>
  );
}

const TITLES: Record<string, string> = {
  cart: 'Cart',
  checkout: 'Checkout',
  orders: 'Orders',
  invoice: 'Invoice',
  spin: 'Spin to win',
  support: 'Support',
  'support-desk': 'Support desk',
  login: 'Log in',
};

function Page({ path }: { path: string }) {
  const { products } = useShop();
  const [, name = '', id = ''] = path.split('/').map(decodeURIComponent);
  const title = name === 'product' ? products.find((p) => p.id === id)?.name : TITLES[name];
  useEffect(() => {
    document.title = title ? `${title} · Hearth & Home` : 'Hearth & Home';
  }, [title]);
  switch (name) {
    case '':
      return <Catalogue />;
    case 'product':
      return <ProductPage id={id} />;
    case 'cart':
      return <CartPage />;
    case 'checkout':
      return <Checkout />;
    case 'orders':
      return <Orders />;
    case 'invoice':
      return <Invoice number={id} />;
    case 'spin':
      return <Spin />;
    case 'support':
      return <Support />;
    case 'support-desk':
      return <Desk />;
    case 'login':
      return <Login />;
    default:
      return <Missing what="page" />;
  }
}

function App() {
  const path = useRoute();
  const { shop, error } = useShopState();
  if (!shop)
    return (
      <main id="main" class="empty">
        <h1>Hearth &amp; Home</h1>
        {error ? <p role="alert">{error}</p> : <p class="muted">Opening…</p>}
      </main>
    );
  return (
    <Provider value={shop}>
      <Header />
      <Privacy />
      <main id="main" tabIndex={-1}>
        <Page path={path} />
      </main>
      <Footer />
    </Provider>
  );
}

interceptLinks();
const root = document.getElementById('app');
if (root) render(<App />, root);
