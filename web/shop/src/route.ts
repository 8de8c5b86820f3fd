import { useEffect, useState } from 'preact/hooks';

// Addresses below /shop/, without reloading.

const BASE = '/shop';
const CHANGE = 'shop:route';

/** The path below /shop, such as "/product/mug". */
export const here = (): string => location.pathname.slice(BASE.length) || '/';

export const link = (path: string): string => BASE + path;

export function go(href: string, replace = false): void {
  const url = new URL(href, location.href);
  const code = url.searchParams.get('code');
  url.searchParams.delete('code');
  if (code) dispatchEvent(new CustomEvent('shop:code', { detail: code.toUpperCase() }));
  if (url.href !== location.href)
    history[replace ? 'replaceState' : 'pushState'](null, '', url.href);
  dispatchEvent(new Event(CHANGE));
}

export function useRoute(): string {
  const [path, set] = useState(here());
  useEffect(() => {
    const look = () => {
      if (here() !== path) scrollTo(0, 0);
      set(here());
    };
    addEventListener(CHANGE, look);
    addEventListener('popstate', look);
    return () => {
      removeEventListener(CHANGE, look);
      removeEventListener('popstate', look);
    };
  });
  return path;
}

/** Plain clicks on links within the shop do not load the page again. */
export function interceptLinks(): void {
  document.addEventListener('click', (e) => {
    if (e.defaultPrevented || e.button || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return;
    const a = (e.target as Element).closest?.('a[href]') as HTMLAnchorElement | null;
    if (!a || a.target || a.origin !== location.origin) return;
    if (!a.pathname.startsWith(`${BASE}/`) || a.getAttribute('href')?.startsWith('#')) return;
    e.preventDefault();
    go(a.href);
  });
  // links in pop-ups and offers, too
  document.addEventListener('heed:clicked', (e) => {
    const href = (e as CustomEvent<{ href?: string }>).detail.href;
    if (!href || !new URL(href).pathname.startsWith(`${BASE}/`)) return;
    e.preventDefault();
    go(href);
  });
}
