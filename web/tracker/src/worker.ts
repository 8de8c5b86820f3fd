// heed-sw.js, the service worker: shows a notification, opens its link, and tells
// Heed of both. The site serves it from its own origin; ?host= says where Heed is.

interface Note {
  id: string;
  title: string;
  body?: string;
  link?: string;
  icon?: string;
}

interface Waits extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface Window {
  url: string;
  focus(): Promise<unknown>;
}

/** What is used of a service worker's global scope; the DOM's types do not have it. */
interface Scope {
  registration: ServiceWorkerRegistration;
  location: Location;
  clients: {
    matchAll(options: object): Promise<Window[]>;
    openWindow(url: string): Promise<unknown>;
  };
  skipWaiting(): Promise<void>;
  addEventListener<E extends Event>(type: string, on: (e: E) => void): void;
}

const scope = self as unknown as Scope;
const host = new URL(scope.location.href).searchParams.get('host') || scope.location.origin;

const report = (id: string, state: string) =>
  fetch(`${host}/v1/push/messages/${encodeURIComponent(id)}/${state}`, {
    method: 'POST',
    mode: 'no-cors', // the answer does not matter
    keepalive: true,
  }).catch(() => {});

async function show({ id, title, body, link, icon }: Note): Promise<void> {
  // the tag lets a repeat take the place of the first one
  await scope.registration.showNotification(title, { body, icon, tag: id, data: { id, link } });
  await report(id, 'shown');
}

/** Goes to the page, in its tab if there is one. */
async function open(link = '/'): Promise<void> {
  const to = new URL(link, scope.location.origin);
  if (!/^https?:$/.test(to.protocol)) return;
  const tabs = await scope.clients.matchAll({ type: 'window', includeUncontrolled: true });
  const tab = tabs.find((t) => t.url === to.href);
  await (tab ? tab.focus() : scope.clients.openWindow(to.href));
}

// also where an older version still runs: it has no state to lose
scope.addEventListener('install', () => scope.skipWaiting());

scope.addEventListener<Waits & { data?: { json(): Note } }>('push', (e) => {
  if (e.data) e.waitUntil(show(e.data.json()));
});

scope.addEventListener<Waits & { notification: Notification }>('notificationclick', (e) => {
  const { id, link } = e.notification.data;
  e.notification.close();
  e.waitUntil(Promise.all([open(link), report(id, 'clicked')]));
});
