import { createECDH, randomBytes } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import ece from 'http_ece';
import type { Browser, CDPSession, Page, Worker } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { accessible, launch, type Profile, presentable, profile } from './browser';
import { ADMIN_TOKEN, type Heed, start } from './server';

// Notifications from the bell in the shop to the click, as far as it goes without
// a network: the push service is a server of ours that keeps what Heed posts, the
// browser's subscription to it is made here, and a foreign library undoes the
// encryption. The service worker, what it shows and what it tells back are real.

interface Posted {
  path: string;
  headers: IncomingHttpHeaders;
  body: Buffer;
}

/** What the test uses of a service worker's global scope. */
interface Scope {
  registration: ServiceWorkerRegistration;
  clients: { openWindow(url: string): Promise<void> };
  NotificationEvent: new (type: string, init: object) => Event;
}

let browser: Browser;
let heed: Heed;
let service: Server;
let address = '';
let posted: Posted[] = [];
let answer = 201;

const definitions = () => `kind: channel
name: push
type: push
push:
  subject: https://heed.example/demo
  link: /shop/
  services: [127.0.0.1]
  allowPrivate: true
`;

beforeAll(async () => {
  service = createServer(async (q, r) => {
    const parts: Buffer[] = [];
    for await (const part of q) parts.push(part);
    posted.push({ path: q.url ?? '', headers: q.headers, body: Buffer.concat(parts) });
    r.writeHead(answer).end();
  });
  await new Promise<void>((done) => service.listen(0, '127.0.0.1', done));
  address = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  [browser, heed] = await Promise.all([launch(), start({ demo: true })]);
  const r = await fetch(`${heed.url}/api/v1/definitions:apply`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/yaml' },
    body: definitions(),
  });
  expect(r.status, await r.text()).toBe(200);
});
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
  service?.close();
});
beforeEach(() => {
  posted = [];
  answer = 201;
});

/** What a browser keeps to itself of a subscription. */
function subscription() {
  const key = createECDH('prime256v1');
  const auth = randomBytes(16);
  const path = `/send/${randomBytes(8).toString('hex')}`;
  return {
    path,
    json: {
      endpoint: address + path,
      keys: { p256dh: key.generateKeys('base64url'), auth: auth.toString('base64url') },
    },
    open: (body: Buffer) =>
      JSON.parse(
        ece
          .decrypt(body, {
            version: 'aes128gcm',
            privateKey: key,
            authSecret: auth.toString('base64url'),
          })
          .toString(),
      ),
  };
}
type Subscription = ReturnType<typeof subscription>;

/**
 * A shopper whose browser may notify. Chromium asks Google for subscriptions, which
 * there is no network for: everything around that one call is real.
 */
async function shopper(): Promise<{ who: Profile; page: Page; sub: Subscription }> {
  const who = await profile(browser, heed);
  const sub = subscription();
  await who.context.grantPermissions(['notifications'], { origin: heed.url });
  await who.context.addInitScript((json) => {
    const at = 'push_of_the_test';
    PushManager.prototype.subscribe = async (options) => {
      const key = `${options?.applicationServerKey}`;
      if (!/^B[\w-]{86}$/.test(key)) throw Error(`no key of P-256: ${key}`);
      localStorage[at] = key;
      return made();
    };
    PushManager.prototype.getSubscription = async () => (localStorage[at] ? made() : null);
    const made = () => {
      const text = localStorage[at].replace(/-/g, '+').replace(/_/g, '/');
      const key = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;
      const unsubscribe = async () => !!delete localStorage[at];
      return {
        ...json,
        options: { applicationServerKey: key },
        toJSON: () => json,
        unsubscribe,
      } as never;
    };
  }, sub.json);
  return { who, page: await who.open('/shop/'), sub };
}

const bell = (page: Page) => page.getByRole('button', { name: 'Notifications' });

async function until<T>(
  what: string,
  get: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  for (const end = Date.now() + 60_000; ; ) {
    const v = await get();
    if (v !== undefined) return v;
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((r) => setTimeout(r, 20));
  }
}

const firstPost = (sub: Subscription) =>
  until('a notification at the push service', () => posted.find((p) => p.path === sub.path));

/** The service worker, and how a push service would wake it. */
async function worker(
  who: Profile,
  page: Page,
): Promise<{ sw: Worker; push(data: string): Promise<void>; cdp: CDPSession }> {
  const cdp = await who.context.newCDPSession(page);
  const found = new Promise<string>((done) => {
    cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
      const r = registrations.find((x) => x.scopeURL.endsWith('/heed-push/') && !x.isDeleted);
      if (r) done(r.registrationId);
    });
  });
  await cdp.send('ServiceWorker.enable');
  const registrationId = await found;
  const sw = await until('the service worker', () =>
    who.context.serviceWorkers().find((w) => w.url().includes('/heed-sw.js')),
  );
  const push = async (data: string) => {
    await cdp.send('ServiceWorker.deliverPushMessage', { origin: heed.url, registrationId, data });
  };
  return { sw, push, cdp };
}

const notes = (page: Page) =>
  page.evaluate(async () => {
    const r = await navigator.serviceWorker.getRegistration('/heed-push/');
    return (
      (await r?.getNotifications())?.map((n) => ({ title: n.title, body: n.body, tag: n.tag })) ??
      []
    );
  });

test('the bell, a notification, and a click on it', async () => {
  const { who, page, sub } = await shopper();
  await bell(page).click();
  await page.getByText('You will be notified.').waitFor();
  expect(await bell(page).getAttribute('aria-pressed')).toBe('true');
  // the welcome comes at once, and only the browser can read it
  const first = await firstPost(sub);
  expect(first.headers).toMatchObject({
    'content-encoding': 'aes128gcm',
    ttl: '86400',
    urgency: 'normal',
    authorization: expect.stringMatching(/^vapid t=[\w-]+\.[\w-]+\.[\w-]{86}, k=B[\w-]{86}$/),
  });
  expect(first.headers.topic).toMatch(/^[\w-]{22}$/);
  expect(first.body.toString('latin1')).not.toContain('Welcome');
  const note = sub.open(first.body);
  expect(note).toMatchObject({ title: 'Welcome', link: '/shop/orders' });

  const { sw, push } = await worker(who, page);
  const reports: string[] = [];
  who.context.on('request', (r) => {
    if (r.url().includes('/v1/push/messages/')) reports.push(new URL(r.url()).pathname);
  });
  await push(JSON.stringify(note));
  const shown = await until('the notification', async () => (await notes(page))[0]);
  expect(shown).toEqual({ title: 'Welcome', body: note.body, tag: note.id });
  await until('shown', () => reports.find((p) => p === `/v1/push/messages/${note.id}/shown`));
  // a repeat takes its place
  await push(JSON.stringify(note));
  await until('shown again', () => (reports.length === 2 ? true : undefined));
  expect(await notes(page)).toHaveLength(1);

  // headless Chromium has nothing to click on: the click is dispatched where it arrives
  const opened = await sw.evaluate(async () => {
    const scope = self as unknown as Scope;
    const [notification] = await scope.registration.getNotifications();
    return new Promise<string>((done) => {
      scope.clients.openWindow = async (url) => done(url); // wants a real click
      self.dispatchEvent(new scope.NotificationEvent('notificationclick', { notification }));
    });
  });
  expect(opened).toBe(`${heed.url}/shop/orders`);
  await until('clicked', () => reports.find((p) => p === `/v1/push/messages/${note.id}/clicked`));
  expect(await notes(page)).toHaveLength(0);
  await who.close();
});

test('a device follows whoever is logged in, and is forgotten when the bell is turned off', async () => {
  const { who, page, sub } = await shopper();
  await bell(page).click();
  await page.getByText('You will be notified.').waitFor();
  await firstPost(sub);
  const agreed = async (user: string) => {
    const path = `/users/${encodeURIComponent(user)}`;
    const who = await heed
      .admin<{ consent: { name: string; value: unknown }[] }>(path)
      .catch(() => undefined);
    return who?.consent.find((c) => c.name === 'push')?.value;
  };
  await page.getByRole('link', { name: 'Log in' }).click();
  await page.getByLabel('E-mail').fill('ada@shop.example');
  await page.getByLabel('First name').fill('Ada');
  const moved = page.waitForResponse(
    (r) => r.url().includes('/v1/push/subscribe') && r.url().includes('userId='),
  );
  await page.getByRole('button', { name: 'Log in' }).click();
  expect((await moved).status()).toBe(204);
  expect(await until("Ada's consent", () => agreed('ada@shop.example'))).toEqual({
    granted: true,
    source: 'browser',
  });

  const off = page.waitForResponse((r) => r.url().includes('/v1/push/unsubscribe'));
  await bell(page).click();
  expect((await off).status()).toBe(204);
  await page.getByText('No notifications.').waitFor();
  expect(await bell(page).getAttribute('aria-pressed')).toBe('false');
  await who.close();
});

test('a subscription that has ended is forgotten, and not tried again', async () => {
  answer = 410;
  const { who, page, sub } = await shopper();
  await bell(page).click();
  await page.getByText('You will be notified.').waitFor();
  await firstPost(sub);
  const anonymous = await page.evaluate(() =>
    (window as unknown as { heed: { anonymousId(): string } }).heed.anonymousId(),
  );
  const failed = await until('the outcome', async () => {
    const { deliveries } = await heed.admin<{
      deliveries: { status: string; channel: string; detail?: string }[];
    }>(`/deliveries?user=${anonymous}`);
    // that the device is gone is told for itself, and at times before the outcome
    return deliveries.find((d) => d.channel === 'push' && d.status !== 'bounced');
  });
  expect(failed.status).toBe('failed');
  expect(posted.filter((p) => p.path === sub.path)).toHaveLength(1);
  // and it can be told why
  const why = await heed.command('explain', '--user', anonymous, '--campaign', 'push-welcome');
  expect(why).toMatch(/^Failed by push on .+: The channel refused the message for good .+410 Gone/);
  expect(why).toContain('Fired at');
  expect(await heed.command('explain', '--user', anonymous)).toMatch(
    /^push-welcome: Failed by push/m,
  );
  await who.close();
});

test('the bell is presentable', async () => {
  const { who, page } = await shopper();
  await bell(page).click();
  await page.getByText('You will be notified.').waitFor();
  await accessible(page);
  await presentable(page);
  await who.close();
});
