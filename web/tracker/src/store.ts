import type { Identity } from './types';

// What the browser remembers between pages. Everything here must work, if only
// for this page, where storage is blocked.

let box: Record<string, string | undefined> = {};
try {
  box = localStorage as unknown as typeof box;
} catch {
  // blocked: this page's memory must do
}

export const load = (key: string): string => box[key] || '';

export function save(key: string, value: string): void {
  try {
    box[key] = value;
  } catch {
    // full: nothing here is worth breaking the page
  }
}

export function loadList(key: string): string[] {
  try {
    return JSON.parse(box[key] || '[]');
  } catch {
    return [];
  }
}

export const saveList = (key: string, list: string[]): void =>
  save(key, list.length ? JSON.stringify(list) : '');

/** 128 random bits; crypto.randomUUID is missing on plain http. */
export const uid = (): string =>
  crypto
    .getRandomValues(new Uint8Array(16))
    .reduce((hex, b) => hex + (b + 256).toString(16).slice(1), '');

const ID = 'heed_id';
const USER = 'heed_u';
const SESSION = 'heed_s';
const SILENCE = 18e5;

/** The anonymous id: first-party cookie, else localStorage, else made now. */
export function anonymousId(domain?: string, fresh?: boolean): string {
  let id = fresh ? '' : load(ID);
  try {
    const cookie = document.cookie.match(/(?:^|; )heed_id=([\w-]+)/)?.[1];
    if (!fresh && cookie) id = cookie;
    id ||= uid();
    if (cookie !== id)
      // biome-ignore lint/suspicious/noDocumentCookie: the cookie store is missing in Firefox and on plain http
      document.cookie = `${ID}=${id};path=/;max-age=31536000;SameSite=Lax${domain ? `;domain=${domain}` : ''}${location.protocol === 'https:' ? ';Secure' : ''}`;
  } catch {
    id ||= uid(); // sandboxed documents have no cookies
  }
  if (load(ID) !== id) save(ID, id);
  return id;
}

/** Read at each use: another tab may have identified or reset. */
export function identity(domain?: string): Identity {
  const [userId, signature] = loadList(USER);
  // nothing undefined: it becomes a query, too
  return {
    anonymousId: anonymousId(domain),
    ...(userId && { userId }),
    ...(signature && { signature }),
  };
}

export const setUser = (...user: (string | undefined)[]): void =>
  saveList(USER, user.filter(Boolean) as string[]);

/** The session's id, which lasts until 30 minutes of silence. */
export function session(now: number, fresh?: boolean): string {
  const [id, last] = load(SESSION).split('.');
  const kept = !fresh && id && now - +(last as string) < SILENCE ? id : uid();
  save(SESSION, `${kept}.${now}`);
  return kept;
}
