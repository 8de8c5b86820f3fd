import { messages } from './messages';
import { clicks, pages } from './observe';
import { sender, warn } from './send';
import { anonymousId, identity, load, loadList, session, setUser, uid } from './store';
import { stream } from './stream';
import type { Json, Settings } from './types';

// window.heed: puts the parts together.

type Call = [name: string, ...args: unknown[]];

const SENT_MAX = 50;
type Push = typeof import('./push');
declare const heedPush: Record<keyof Push, (...args: unknown[]) => Promise<unknown>>;

// in browsers without Temporal it takes 12 ms, most of the start
const TIMEZONE =
  (window as { Temporal?: { Now: { timeZoneId(): string } } }).Temporal?.Now.timeZoneId() ||
  Intl.DateTimeFormat().resolvedOptions().timeZone;

function context(referrer: string): Json {
  const { href, pathname, search } = location;
  const { width, height } = screen;
  let campaign: Json | undefined;
  for (const [k, v] of new URLSearchParams(search))
    if (k.startsWith('utm_'))
      campaign = { ...campaign, [k === 'utm_campaign' ? 'name' : k.slice(4)]: v };
  return {
    page: { url: href, path: pathname, referrer, title: document.title },
    campaign,
    screen: { width, height },
    locale: navigator.language,
    timezone: TIMEZONE,
  };
}

function start(settings: Settings): void {
  const { host, writeKey, cookieDomain, nonce } = settings;
  const who = () => identity(cookieDomain);
  const url = (path: string) => `${host}/v1/${path}?${new URLSearchParams({ writeKey, ...who() })}`;
  const out = sender(host, writeKey);
  const sent = new Map<string, number>(); // when the newest events happened, by message id
  let referrer = document.referrer;

  const add = (type: string, more: Json): string => {
    const now = performance.now();
    const cause = window.event?.timeStamp as number; // of the DOM event under way, if any
    const messageId = uid();
    sent.set(messageId, cause > 0 && cause < now ? cause : now);
    if (sent.size > SENT_MAX) sent.delete(sent.keys().next().value as string);
    const event = {
      messageId,
      type,
      timestamp: new Date().toISOString(),
      ...who(),
      sessionId: session(Date.now()),
      ...more,
      context: { ...context(referrer), ...heed.context },
    };
    out.add(event);
    if (heed.debug) console.info('heed:', type, event);
    return messageId;
  };

  const show = messages(settings, url, (cause) => {
    const at = sent.get(cause as string);
    return at && Math.round(performance.now() - at);
  });

  const line =
    settings.messages === 'off' ? undefined : stream(writeKey, url, show.receive, show.clear);

  // Notifications: what most pages never need comes when it is asked for.
  const device = (what: keyof Push, options?: Json, permission?: unknown): Promise<unknown> =>
    new Promise((done, onerror) =>
      document.head.append(
        Object.assign(document.createElement('script'), {
          nonce,
          src: `${host}/heed-push.js`,
          onload: () => heedPush[what](url, options, permission).then(done, onerror),
          onerror,
        }),
      ),
    );
  const tellDevice = () => load('heed_push') && device('renew').catch(() => {});

  const become = (...user: (string | undefined)[]) => {
    setUser(...user);
    show.clear();
    line?.();
    tellDevice();
  };

  const renew = () => {
    anonymousId(cookieDomain, true);
    session(Date.now(), true);
  };

  const api = {
    track(event: string, properties?: Json) {
      if (!event) return warn('track needs a name');
      return add('track', { event, properties });
    },
    page: (name?: string, properties?: Json) =>
      add('page', { properties: { name, ...properties } }),
    identify(userId?: string | Json | null, traits?: Json, options?: { signature?: string }) {
      if (typeof userId === 'object') return add('identify', { traits: userId || traits });
      if (!userId) return warn('identify needs an id');
      const id = `${userId}`;
      const [before, known] = loadList('heed_u');
      const signature = options?.signature;
      // an anonymous id belongs to one user only
      if (before && before !== id) renew();
      if (before !== id || (signature && signature !== known)) become(id, signature);
      return add('identify', { traits });
    },
    group: (groupId: string, traits?: Json) => add('group', { groupId, traits }),
    alias: (userId: string, previousId?: string) =>
      add('alias', { userId, previousId: previousId || who().userId || who().anonymousId }),
    reset() {
      out.flush();
      renew();
      become();
    },
    onMessage: show.on,
    ready: (cb: () => void) => cb(),
    anonymousId: () => who().anonymousId,
  };
  const call = ([name, ...args]: Call) =>
    (api as unknown as Record<string, ((...a: unknown[]) => unknown) | undefined>)[name]?.(...args);

  const before = (window as { heed?: unknown }).heed;
  const heed = Object.assign(api, {
    push: Object.assign((...calls: Call[]) => calls.map(call), {
      // the question must follow the click at once
      subscribe: (options?: Json) =>
        device('subscribe', options, window.Notification?.requestPermission()),
      unsubscribe: () => device('unsubscribe'),
      state: () => device('state'),
    }),
    debug: 'debug' in settings,
    /** Merged into the context of every event, for instance {consent: {marketing: true}}. */
    context: (before as { context?: Json } | undefined)?.context,
    v: 1,
  });
  (window as { heed?: unknown }).heed = heed;

  tellDevice();
  if (settings.pages !== 'off')
    pages((from) => {
      referrer = from;
      api.page();
    });
  if (settings.clicks !== 'off')
    clicks((event, properties) => api.track(event, properties), show.owns);
  if (Array.isArray(before)) before.map(call);

  addEventListener('pagehide', out.leave);
  document.addEventListener('visibilitychange', () => document.hidden && out.leave());
}

const script = document.currentScript as HTMLScriptElement | null;
if (script && !(window as { heed?: { v?: number } }).heed?.v) {
  const { dataset, src, nonce } = script;
  const boot = () =>
    start({
      ...dataset,
      // without the slash or the file name at the end
      host: (dataset.host ? `${dataset.host}/` : src).replace(/\/+[^/]*$/, ''),
      nonce,
    } as Settings);
  if (!dataset.writeKey) warn('no data-write-key');
  else if ((document as { prerendering?: boolean }).prerendering)
    document.addEventListener('prerenderingchange', boot, { once: true });
  else boot();
}
