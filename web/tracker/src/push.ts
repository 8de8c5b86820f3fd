// heed-push.js: subscribes the browser to notifications. heed.js loads it when
// it is asked to, and when somebody else is here who takes the device over.

/** The address of a call, with who asks. */
export type Url = (path: string) => string;

export interface Options {
  /** Name of the channel; by default the first of type push. */
  channel?: string;
  /** Where the site serves the service worker, on its own origin. */
  worker?: string;
}

export type State = 'subscribed' | 'unsubscribed' | 'denied' | 'unsupported';

/** What was last told of the subscription. */
interface Told {
  at: number;
  channel: string;
  /** Whose it is. */
  who: string;
}
const KEPT = 'heed_push'; // while it is there, heed.js loads this at each start
const DAY = 864e5;
// of its own, so that a worker of the site stays what it is
const SCOPE = '/heed-push/';

const supported = () =>
  'serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window;

function told(): Told | undefined {
  try {
    return JSON.parse(localStorage[KEPT]);
  } catch {
    return undefined;
  }
}

async function current(): Promise<PushSubscription | null | undefined> {
  const registration = await navigator.serviceWorker.getRegistration(SCOPE);
  return registration?.active?.scriptURL ? registration.pushManager.getSubscription() : null;
}

async function post(url: Url, path: string, body: object): Promise<void> {
  // a text needs no preflight on other origins
  const r = await fetch(url(path), { method: 'POST', body: JSON.stringify(body) });
  if (!r.ok) throw Error(`heed: ${(await r.json().catch(() => ({}))).error || r.status}`);
}

async function tell(url: Url, s: PushSubscription, channel: string): Promise<void> {
  const who = url('');
  await post(url, 'push/subscribe', { ...s.toJSON(), channel });
  localStorage[KEPT] = JSON.stringify({ at: Date.now(), channel, who } satisfies Told);
}

/** base64url, as the key is written. */
const text = (b: ArrayBuffer | null | undefined) =>
  btoa(String.fromCharCode(...new Uint8Array(b || [])))
    .replace(/\+/g, '-')
    .replace(/\//g, '_')
    .replace(/=/g, '');

async function active(registration: ServiceWorkerRegistration): Promise<void> {
  const worker = registration.installing || registration.waiting;
  if (registration.active || !worker) return;
  await new Promise<void>((done, failed) => {
    worker.addEventListener('statechange', () => {
      if (worker.state === 'activated') done();
      if (worker.state === 'redundant') failed(Error('heed: the service worker was not installed'));
    });
  });
}

export async function state(_?: Url): Promise<State> {
  if (!supported()) return 'unsupported';
  if (Notification.permission === 'denied') return 'denied';
  return Notification.permission === 'granted' && (await current()) ? 'subscribed' : 'unsubscribed';
}

/** Subscribes the browser; permission is the answer to the browser's question. */
export async function subscribe(
  url: Url,
  options: Options = {},
  permission?: Promise<NotificationPermission>,
): Promise<State> {
  if (!supported()) return 'unsupported';
  if ((await permission) !== 'granted') return state();
  const asked = options.channel ?? told()?.channel;
  const r = await fetch(url('push/key') + (asked ? `&channel=${encodeURIComponent(asked)}` : ''));
  const { channel, publicKey, error } = await r.json();
  if (!r.ok) throw Error(`heed: ${error}`);
  const script = `${options.worker ?? '/heed-sw.js'}?host=${encodeURIComponent(url('').replace(/\/v1\/.*/, ''))}`;
  const registration = await navigator.serviceWorker.register(script, { scope: SCOPE });
  await active(registration);
  let s = await registration.pushManager.getSubscription();
  if (s && text(s.options.applicationServerKey) !== publicKey) {
    await s.unsubscribe(); // it is bound to a key that is no longer used
    s = null;
  }
  s ??= await registration.pushManager.subscribe({
    userVisibleOnly: true,
    applicationServerKey: publicKey,
  });
  await tell(url, s, channel);
  return 'subscribed';
}

export async function unsubscribe(url: Url): Promise<State> {
  localStorage.removeItem(KEPT);
  const s = supported() && (await current());
  if (s) {
    await post(url, 'push/unsubscribe', s.toJSON());
    await s.unsubscribe();
  }
  return state();
}

/** Tells whose the device is now, and once a day that the browser still has it. */
export async function renew(url: Url): Promise<void> {
  const last = told();
  if (last?.who === url('') && Date.now() - last.at < DAY) return;
  const s = supported() && (await current());
  if (s) await tell(url, s, last?.channel ?? '');
  else localStorage.removeItem(KEPT);
}
