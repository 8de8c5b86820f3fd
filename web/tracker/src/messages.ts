import { frame } from './frame';
import { type Shown, show } from './show';
import { loadList, saveList } from './store';
import type { Message, MessageDetail, Settings } from './types';

// Messages on the page: one pop-up or banner at a time, in all tabs together,
// only on a visible tab and never over a field that is being typed in. Slots
// are filled wherever they are.

const SEEN = 'heed_seen';
const SEEN_MAX = 50;

/** Epoch milliseconds; what has none never expires. */
export function expiry({ expires }: Message): number {
  return expires ? new Date(expires).getTime() : Number.POSITIVE_INFINITY;
}

const expired = (m: Message) => !(expiry(m) > Date.now());
const seen = (m: Message) => loadList(SEEN).includes(m.id);

/** Whether somebody is typing. */
export function typing(): boolean {
  let el = document.activeElement;
  while (el?.shadowRoot?.activeElement) el = el.shadowRoot.activeElement;
  return (
    !!el &&
    ((el as HTMLElement).isContentEditable ||
      (el.matches('textarea,select,input') &&
        !/button|submit|reset|checkbox|radio|range/.test((el as HTMLInputElement).type)))
  );
}

/** Whether a message may cover the page now. */
const welcome = () => !document.hidden && !typing();

export interface Messages {
  receive(m: Message): void;
  /** Somebody else is here now: nothing of the one before may stay. */
  clear(): void;
  on(cb: (m: Message) => unknown): void;
  /** Whether the node is part of a message. */
  owns(node: EventTarget): boolean;
}

export function messages(
  settings: Settings,
  url: (path: string) => string,
  sinceMs: (cause?: string) => number | undefined,
): Messages {
  const listeners: ((m: Message) => unknown)[] = [];
  const known = new Set<string>();
  const slots = new Map<string, Message>();
  let filled = new WeakSet<Element>();
  let queue: Message[] = [];
  let end: (() => void) | undefined; // of what is shown
  let shown: Shown | undefined;

  const post = (m: Message, state: string) => {
    fetch(url(`messages/${m.id}/${state}`), {
      method: 'POST',
      keepalive: true,
    }).catch(() => {});
  };

  const announce = (name: string, m: Message, more?: Partial<MessageDetail>) =>
    document.dispatchEvent(
      new CustomEvent<MessageDetail>(`heed:${name}`, {
        detail: { id: m.id, campaign: m.campaign, kind: m.kind, ...more },
        cancelable: true,
      }),
    );

  const appear = (m: Message) => {
    const ms = sinceMs(m.cause);
    announce('shown', m, { sinceMs: ms });
    return ms;
  };

  const remember = (m: Message) => {
    if (!seen(m)) saveList(SEEN, [...loadList(SEEN), m.id].slice(-SEEN_MAX));
  };

  /** Posts "shown" once the message has been visible for a second on end. */
  const watch = (m: Message, there: () => boolean, steps = 0) => {
    setTimeout(() => {
      if (!there()) return;
      if (steps < 4) return watch(m, there, document.hidden ? 0 : steps + 1);
      remember(m);
      post(m, 'shown');
    }, 200);
  };

  /** Clicked or dismissed. A link within the site is followed, unless the page takes it over. */
  const act = (m: Message, state: string, link?: string) => {
    remember(m);
    post(m, state);
    const href = link && new URL(link).origin === location.origin ? link : undefined;
    if (announce(state, m, { href }) && href) location.assign(href);
  };

  const display = (m: Message) =>
    new Promise<void>((done) => {
      let open = true;
      const close = (state?: string, href?: string) => {
        if (!open) return;
        open = false;
        clearTimeout(timer);
        shown?.remove();
        shown = end = undefined;
        done();
        if (state) act(m, state, href);
      };
      end = () => close();
      const timer = setTimeout(end, Math.min(expiry(m) - Date.now(), 2e9));
      shown = show(
        m,
        {
          load: () =>
            requestAnimationFrame(() => {
              if (!open) return;
              clearTimeout(timer); // whoever is reading may finish
              const ms = appear(m);
              if ('timing' in settings && ms !== undefined)
                shown?.note(`${ms} ms after your click`);
              watch(m, () => open);
            }),
          close: () => close('dismissed'),
          click: (href) => close('clicked', href),
        },
        settings.nonce,
      );
    });

  let pumping = false;
  const pump = async () => {
    if (pumping) return;
    pumping = true;
    for (let m = queue[0]; m && welcome(); m = queue[0]) {
      const now = m;
      // another window may hold the page that the message answers: it goes first
      if (sinceMs(m.cause) === undefined) await new Promise((r) => setTimeout(r, 30));
      const turn = async (free: unknown) => {
        if (queue[0] !== now || !welcome()) return;
        queue.shift();
        // if the tab that shows it goes away too early, it is sent again
        if (!free) known.delete(now.id);
        else if (!seen(now) && !expired(now)) await display(now);
      };
      if (navigator.locks)
        await navigator.locks.request(`heed:${now.id}`, { ifAvailable: true }, turn);
      else await turn(1);
    }
    pumping = false;
    if (queue[0]) setTimeout(pump, 200); // hidden, or somebody is typing
  };

  const fill = (el: Element, m: Message) => {
    filled.add(el);
    const f = frame(
      m.html,
      {
        close() {
          f.remove();
          slots.delete(m.slot as string);
          act(m, 'dismissed');
        },
        click: (href) => act(m, 'clicked', href),
      },
      settings.nonce,
    );
    el.replaceChildren(f);
    appear(m);
    const io = new IntersectionObserver(([e]) => {
      if (!e?.isIntersecting) return;
      io.disconnect();
      if (!seen(m)) watch(m, () => f.isConnected);
    });
    io.observe(f);
  };

  const scan = () => {
    for (const el of document.querySelectorAll('[data-heed-slot]')) {
      const name = el.getAttribute('data-heed-slot') || '';
      if (!name || filled.has(el)) continue;
      filled.add(el);
      const m = slots.get(name);
      if (m && !expired(m)) fill(el, m);
      else {
        const asked = filled;
        fetch(url(`slots/${encodeURIComponent(name)}`))
          .then((r) => r.json()) // there may be none, and no JSON
          .then((answer: Message & { messages?: Message[] }) => {
            if (asked === filled)
              for (const x of answer.messages || [answer])
                receive({ ...x, kind: 'slot', slot: name });
          })
          .catch(() => {});
      }
    }
  };

  const receive = (m: Message) => {
    if (!m?.id || known.has(m.id) || expired(m)) return;
    known.add(m.id);
    if (m.kind !== 'slot' && seen(m)) return;
    if (listeners.some((cb) => cb(m) === false)) return;
    if (m.kind === 'slot' && m.slot) {
      slots.set(m.slot, m);
      for (const el of document.querySelectorAll(`[data-heed-slot="${CSS.escape(m.slot)}"]`))
        fill(el, m);
    } else if (/popup|banner/.test(m.kind)) {
      queue.push(m);
      pump();
    }
  };

  let _scanning: ReturnType<typeof setTimeout> | undefined;
  const start = () => {
    scan();
    new MutationObserver(() => {
      _scanning ??= setTimeout(() => {
        _scanning = undefined;
        scan();
      }, 30);
    }).observe(document.documentElement, { childList: true, subtree: true });
  };
  if (document.body) start();
  else addEventListener('DOMContentLoaded', start);

  return {
    receive,
    clear() {
      queue = [];
      end?.();
      known.clear();
      slots.clear();
      filled = new WeakSet();
      for (const el of document.querySelectorAll('[data-heed-slot]')) el.replaceChildren();
      scan();
    },
    on: (cb) => listeners.push(cb),
    owns: (node) => node === shown?.host,
  };
}
