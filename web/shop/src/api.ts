// The shop's server.

export interface Product {
  id: string;
  name: string;
  category: string;
  cents: number;
  stock: number;
  summary: string;
  specs: [string, string][];
  docs: { title: string; text: string }[];
}

export interface Order {
  number: string;
  placed: string;
  name: string;
  email: string;
  card: string;
  lines: { product_id: string; name: string; quantity: number; cents: number }[];
  code?: string;
  subtotal: number;
  discount: number;
  shipping: number;
  tax: number;
  total: number;
}

export interface Talk {
  id: string;
  from: 'shopper' | 'desk';
  text: string;
  at: string;
}

export interface Chat {
  shopper: string;
  last: string;
  at: string;
  waiting: boolean;
  count: number;
}

export interface Crowd {
  running: boolean;
  rate: number;
  sent: number;
}

/** A refusal, in words for the shopper. */
export class Refused extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

async function call<T>(path: string, body?: unknown): Promise<T> {
  let r: Response;
  try {
    r = await fetch(`/shop/api/${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new Refused('offline', 'The shop cannot be reached. Please try again.');
  }
  const answer = await r.json().catch(() => ({}));
  if (!r.ok) throw new Refused(answer.error ?? 'error', answer.message ?? `Error ${r.status}`);
  return answer;
}

export const api = {
  products: () => call<{ products: Product[] }>('products').then((a) => a.products),
  order: (o: {
    items: { product_id: string; quantity: number }[];
    name: string;
    email: string;
    card: string;
    code: string;
  }) => call<Order>('orders', o),
  orders: () => call<{ orders: Order[] }>('orders').then((a) => a.orders),
  invoice: (number: string) => call<Order>(`invoices/${encodeURIComponent(number)}`),
  say: (text: string) => call<Talk>('support/messages', { text }),
  deskChat: (shopper: string) =>
    call<{ messages: Talk[] }>(`support/desk/${shopper}`).then((a) => a.messages),
  deskSay: (shopper: string, text: string) => call<Talk>(`support/desk/${shopper}`, { text }),
  crowd: () => call<Crowd>('crowd'),
  setCrowd: (running: boolean) => call<Crowd>('crowd', { running }),
};

export const money = (cents: number): string =>
  new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' }).format(cents / 100);
