import { createContext } from 'preact';
import { useContext, useEffect, useMemo, useState } from 'preact/hooks';
import { api, type Product } from './api';
import { type Cart, clean, load, OFFERS, save, type Totals, totals } from './cart';
import { heed } from './heed';

// What all pages share: products, cart, code, who is logged in.

export interface User {
  email: string;
  name: string;
}

export interface Shop {
  products: Product[];
  cart: Cart;
  count: number;
  code: string;
  user?: User;
  totals: Totals;
  /** Product that the offer on the page is for. */
  offered?: string;
  add(p: Product): void;
  set(id: string, quantity: number): void;
  setCode(code: string): void;
  clear(): void;
  refresh(): Promise<void>;
  login(user: User): void;
  logout(): void;
}

const Context = createContext<Shop | undefined>(undefined);

export function useShop(): Shop {
  const shop = useContext(Context);
  if (!shop) throw new Error('outside of the shop');
  return shop;
}

export const Provider = Context.Provider;

/** The state behind the pages; undefined until the products are there. */
export function useShopState(): { shop?: Shop; error?: string } {
  const [products, setProducts] = useState<Product[]>();
  const [error, setError] = useState<string>();
  const [cart, setCart] = useState<Cart>({});
  const [code, setCode] = useState(() => load('shop_code', ''));
  const [user, setUser] = useState(() => load<User | null>('shop_user', null) ?? undefined);
  const [offered, setOffered] = useState<string>();

  const refresh = async () => {
    try {
      setProducts(await api.products());
      setError(undefined);
    } catch (e) {
      setError((e as Error).message);
    }
  };

  useEffect(() => {
    refresh();
    // the offer says which product it is for
    heed().onMessage((m) => {
      if (m.slot === 'product-offer')
        setOffered(/data-product="([\w-]+)"/.exec(m.html)?.[1] ?? undefined);
    });
    const take = (e: Event) => useCode((e as CustomEvent<string>).detail);
    addEventListener('shop:code', take);
    const arrived = new URLSearchParams(location.search).get('code');
    if (arrived) useCode(arrived.toUpperCase());
    return () => removeEventListener('shop:code', take);
  }, []);

  useEffect(() => {
    if (products) setCart(clean(load('shop_cart', {}), products));
  }, [products]);

  const useCode = (c: string) => {
    if (c && !OFFERS[c]) return;
    setCode(c);
    save('shop_code', c);
  };

  const put = (next: Cart) => {
    setCart(next);
    save('shop_cart', next);
  };

  const shop = useMemo<Shop | undefined>(
    () =>
      products && {
        products,
        cart,
        count: Object.values(cart).reduce((a, b) => a + b, 0),
        code,
        user,
        offered,
        totals: totals(cart, products, code),
        add(p) {
          put({ ...cart, [p.id]: Math.min((cart[p.id] ?? 0) + 1, p.stock, 99) });
          heed().track('cart_add', { product_id: p.id, name: p.name, price: p.cents / 100 });
        },
        set(id, quantity) {
          const next = { ...cart, [id]: quantity };
          if (quantity < 1) delete next[id];
          put(next);
        },
        setCode: useCode,
        clear: () => put({}),
        refresh,
        login(u) {
          setUser(u);
          save('shop_user', u);
          heed().identify(u.email, { email: u.email, firstName: u.name });
        },
        logout() {
          setUser(undefined);
          save('shop_user', null);
          setOffered(undefined);
          heed().reset();
        },
      },
    [products, cart, code, user, offered],
  );
  return { shop, error };
}
