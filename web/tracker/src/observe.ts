// What the page does by itself: views of pages, also within single-page
// applications, and clicks.

/** Calls back for each page view; the referrer of a route is the route before. */
export function pages(view: (referrer: string) => void): void {
  let seen = '';
  let before = document.referrer;
  const look = () => {
    if (location.href === seen) return;
    view(before);
    before = seen = location.href;
  };
  // applications set the title after the address
  const later = () => setTimeout(look);
  for (const name of ['pushState', 'replaceState'] as const) {
    const own = history[name];
    history[name] = function (...args) {
      own.apply(this, args);
      later();
    };
  }
  addEventListener('popstate', later); // a new fragment, too
  addEventListener('pageshow', (e) => {
    if (e.persisted) seen = '';
    look();
  });
  look();
}

const INTERACTIVE =
  '[data-heed-event],a[href],button,input,select,textarea,label,summary,[role=button],[role=link]';
const NO_TEXT = 'input,select,textarea,[contenteditable],[data-heed-mask]';

/**
 * Calls back for each click with what was clicked, and for elements with
 * data-heed-event once more with that name and their data-heed-* values.
 * Never reads the value of a field.
 */
export function clicks(
  track: (event: string, properties: Record<string, unknown>) => void,
  own: (node: EventTarget) => boolean,
): void {
  const on = (e: MouseEvent) => {
    if (e.button > 1) return; // the middle one opens links
    const path = e.composedPath();
    const nodes = path.filter((n): n is Element => n instanceof Element);
    if (path.some(own) || nodes.some((n) => n.matches('[data-heed-ignore]'))) return;
    const hit = nodes.find((n) => n.matches(INTERACTIVE));
    const el = hit || nodes[0];
    if (!el) return;
    const data: Record<string, string> = {};
    for (const { name, value } of el.attributes)
      if (name.startsWith('data-heed-')) data[name.slice(10).replace(/-/g, '_')] = value;
    const { event, ...rest } = data;
    const text =
      hit && !el.matches(NO_TEXT) && !el.querySelector(NO_TEXT)
        ? el.ariaLabel || el.textContent || ''
        : '';
    track('click', {
      tag: el.localName,
      ...rest,
      id: el.id || undefined,
      text: text.replace(/\s+/g, ' ').trim().slice(0, 80) || undefined,
      href: (nodes.find((n) => n.matches('a[href]')) as HTMLAnchorElement | undefined)?.href,
    });
    if (event) track(event, rest);
  };
  addEventListener('click', on, true);
  addEventListener('auxclick', on, true);
}
