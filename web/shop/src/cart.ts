import type { Product } from './api';

// The cart: kept in this browser, worked out as the server does.

export type Cart = Record<string, number>;

export interface Totals {
  subtotal: number;
  discount: number;
  shipping: number;
  total: number;
}

const FREE_SHIPPING = 7500;
const SHIPPING = 490;

/** What the campaigns' codes are worth; the server decides. */
export const OFFERS: Record<string, { percent: number; freeShipping?: boolean; label: string }> = {
  BOOST50: { percent: 50, label: '50 % boost' },
  LOOK15: { percent: 15, label: '15 % off' },
  BACK10: { percent: 10, label: '10 % off' },
  SHIPFREE: { percent: 0, freeShipping: true, label: 'free delivery' },
};

export function totals(cart: Cart, products: Product[], code: string): Totals {
  let subtotal = 0;
  for (const p of products) subtotal += p.cents * (cart[p.id] ?? 0);
  const offer = OFFERS[code];
  const discount = Math.floor((subtotal * (offer?.percent ?? 0)) / 100);
  const shipping =
    subtotal === 0 || subtotal >= FREE_SHIPPING || offer?.freeShipping ? 0 : SHIPPING;
  return { subtotal, discount, shipping, total: subtotal - discount + shipping };
}

/** A cart from storage: only known products, whole pieces, at most 99. */
export function clean(raw: unknown, products: Product[]): Cart {
  const cart: Cart = {};
  if (typeof raw !== 'object' || raw === null) return cart;
  for (const p of products) {
    const n = (raw as Record<string, unknown>)[p.id];
    if (typeof n === 'number' && n >= 1) cart[p.id] = Math.min(99, Math.floor(n));
  }
  return cart;
}

export function load<T>(key: string, otherwise: T): T {
  try {
    return JSON.parse(localStorage.getItem(key) ?? '') as T;
  } catch {
    return otherwise;
  }
}

export function save(key: string, value: unknown): void {
  try {
    localStorage.setItem(key, JSON.stringify(value));
  } catch {
    // blocked: it lasts as long as the page
  }
}
