import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { farewell, launch } from '../../e2e/chromium';

// The shop as people meet it. HEED_BIN names the binary, HEED_URL a server that
// runs already (with --demo).

const binary = process.env.HEED_BIN ?? resolve(import.meta.dirname, '../../../bin/heed');
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

let url = process.env.HEED_URL ?? '';
let server: ChildProcess | undefined;
let data = '';
let said = '';
let browser: Browser;
let context: BrowserContext;
let problems: string[];

const freePort = () =>
  new Promise<number>((done, failed) => {
    const s = createServer().on('error', failed);
    s.listen(0, '127.0.0.1', () => {
      const a = s.address();
      s.close(() => done(typeof a === 'object' && a ? a.port : 0));
    });
  });

beforeAll(async () => {
  if (!url) {
    data = mkdtempSync(join(tmpdir(), 'heed-shop-'));
    const listen = `127.0.0.1:${await freePort()}`;
    url = `http://${listen}`;
    // settings that the server does not know stop it, and ours are none of its
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('HEED_')),
    );
    server = spawn(binary, ['run', '--demo'], {
      env: { ...env, HEED_DATA_DIR: data, HEED_LISTEN: listen },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    server.stderr?.on('data', (d) => {
      said = (said + d).slice(-2000);
    });
    server.on('error', (e) => {
      said += `${binary}: ${e.message}; run make build first`;
    });
  }
  for (let i = 0; ; i++) {
    if (
      await fetch(`${url}/readyz`).then(
        (r) => r.ok,
        () => false,
      )
    )
      break;
    const gone = server && (server.exitCode !== null || !server.pid);
    if (i > 400 || gone) throw new Error(`the server does not become ready: ${said}`);
    await new Promise((r) => setTimeout(r, 50));
  }
  browser = await launch();
});

afterAll(async () => {
  await browser?.close();
  if (server?.pid && server.exitCode === null) {
    const gone = new Promise((r) => server?.on('exit', r));
    server.kill('SIGTERM');
    await gone;
  }
  if (data) rmSync(data, { recursive: true, force: true });
});

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
  problems = [];
});
afterEach(async () => {
  await context.close();
  expect(problems).toEqual([]);
});

async function visit(path: string): Promise<Page> {
  const p = await context.newPage();
  p.on('pageerror', (e) => problems.push(`${e}`));
  // answers of 402 and the like are logged by the browser itself
  p.on('console', (m) => {
    if (m.type() === 'error' && !m.text().startsWith('Failed to load resource'))
      problems.push(m.text());
  });
  p.on('request', (r) => {
    const u = r.url();
    if (!u.startsWith(url) && !/^(data|about|blob):/.test(u)) problems.push(`off-origin: ${u}`);
  });
  await p.goto(`${url}/shop${path}`);
  return p;
}

const popup = (p: Page) => p.locator('dialog[open]');
const inPopup = (p: Page, text: RegExp) => p.frameLocator('dialog iframe').getByText(text);

async function stock(id: string): Promise<number> {
  const r = await fetch(`${url}/shop/api/products/${id}`);
  return ((await r.json()) as { stock: number }).stock;
}

async function checkout(p: Page, card: string): Promise<void> {
  await p.getByLabel('Name').fill('Ada');
  await p.getByLabel('E-mail').fill('ada@example.com');
  await p.getByLabel('Card number').fill(card);
  await p.getByRole('button', { name: /^Pay/ }).click();
}

async function spin(p: Page, n: number): Promise<void> {
  for (let i = 0; i < n; i++) await p.getByRole('button', { name: /^Spin/ }).click();
}

test('three wins in a row bring the boost, at once, and again', async () => {
  const p = await visit('/spin?luck=win');
  await spin(p, 3);
  await inPopup(p, /three in a row/).waitFor();
  await p.getByText(/\d+ ms after your click/).waitFor();
  await p.getByRole('button', { name: 'Close' }).click();
  await spin(p, 2);
  await p.waitForTimeout(700);
  expect(await popup(p).count()).toBe(0);
  await spin(p, 1);
  await inPopup(p, /three in a row/).waitFor();
  // the boost leads into the cart, without loading the page again
  await p.evaluate(() => Object.assign(window, { same: true }));
  farewell(p.frameLocator('dialog iframe').getByText('Use my boost').click());
  await p.waitForURL(`${url}/shop/cart`);
  expect(await p.evaluate(() => (window as { same?: boolean }).same)).toBe(true);
});

test('a loss in between brings nothing', async () => {
  const p = await visit('/spin?luck=win,win,lose');
  await spin(p, 8);
  await p.getByTestId('result').getByText('Win').waitFor();
  await p.waitForTimeout(1500);
  expect(await popup(p).count()).toBe(0);
});

test('a product viewed three times gets its offer, beside it and beside no other', async () => {
  const p = await visit('/product/clock');
  const offer = p.frameLocator('[data-heed-slot="product-offer"] iframe').getByText(/Wall Clock/);
  await p.getByRole('heading', { name: 'Wall Clock' }).waitFor();
  for (let i = 0; i < 2; i++) {
    await p.goto(`${url}/shop/product/basket`);
    await p.getByRole('heading', { name: 'Willow Basket' }).waitFor();
    await p.goto(`${url}/shop/product/clock`);
    await p.getByRole('heading', { name: 'Wall Clock' }).waitFor();
  }
  await offer.waitFor();
  await p.getByRole('link', { name: /Hearth & Home/ }).click();
  await p.getByRole('link', { name: /Stoneware Mug/ }).click();
  await p.getByRole('heading', { name: 'Stoneware Mug' }).waitFor();
  await p.waitForTimeout(300);
  expect(await offer.isVisible()).toBe(false);
});

test('an order: payment fails, then succeeds; the stock goes down; there is an invoice', async () => {
  const before = await stock('mug');
  const p = await visit('/product/mug');
  await p.getByRole('button', { name: 'Add to cart' }).click();
  await p.getByRole('button', { name: 'Add to cart' }).click();
  await p.getByRole('link', { name: 'Go to the cart' }).click();
  await p.getByRole('link', { name: 'To the checkout' }).click();
  // the offer comes inside the checkout
  const offer = p.frameLocator('[data-heed-slot="checkout-offer"] iframe');
  await offer.getByText('Delivery is on us').waitFor();
  await offer.getByText('Use free delivery').click();
  await p.getByText('free delivery (SHIPFREE)').waitFor();

  await checkout(p, '4000 0000 0000 0000');
  await p
    .getByRole('alert')
    .getByText(/declined/)
    .waitFor();
  expect(await stock('mug')).toBe(before);

  await checkout(p, '4242 4242 4242 4242');
  await p.getByRole('heading', { name: /Invoice H-\d{6}/ }).waitFor();
  expect(await p.getByTestId('total').textContent()).toBe('€29.00');
  expect(await stock('mug')).toBe(before - 2);
  expect(await p.getByTestId('count').textContent()).toBe('0');
  await p.getByRole('link', { name: 'All orders' }).click();
  await p.getByRole('link', { name: /H-\d{6}/ }).waitFor();
});

test('the offer comes into a checkout that was opened directly, too', async () => {
  const p = await visit('/product/lantern');
  await p.getByRole('button', { name: 'Add to cart' }).click();
  await p.goto(`${url}/shop/checkout`);
  await p
    .frameLocator('[data-heed-slot="checkout-offer"] iframe')
    .getByText('Delivery is on us')
    .waitFor();
});

test('support is answered from the other side', async () => {
  const p = await visit('/support');
  await p.getByLabel('Your question').fill('Does the kettle whistle?');
  await p.getByRole('button', { name: 'Send', exact: true }).click();
  const other = await browser.newContext();
  const desk = await other.newPage();
  await desk.goto(`${url}/shop/support-desk`);
  await desk.getByRole('button', { name: /Does the kettle whistle/ }).click();
  await desk.getByLabel('Your answer').fill('Like a lark.');
  await desk.getByRole('button', { name: 'Send', exact: true }).click();
  await p.getByText('Like a lark.').waitFor();
  await other.close();
});

test('log-in names the visitor, log-out makes a new one', async () => {
  const p = await visit('/login');
  const id = () =>
    p.evaluate(() => (window as unknown as { heed: { anonymousId(): string } }).heed.anonymousId());
  const name = `grace-${Date.now()}@example.com`; // nothing waits for her from before
  await p.getByLabel('E-mail').fill(name.toUpperCase());
  await p.getByLabel('First name').fill('Grace');
  await p.getByRole('button', { name: 'Log in' }).click();
  await p.getByRole('heading', { name: 'Hello, Grace' }).waitFor();
  const before = await id();
  expect(await p.evaluate(() => localStorage.heed_u)).toContain(name);
  await p.goto(`${url}/shop/spin?luck=win`);
  await spin(p, 3);
  await inPopup(p, /Grace, three in a row/).waitFor();
  await p.getByRole('button', { name: 'Close' }).click();
  await p.goto(`${url}/shop/login`);
  await p.getByRole('button', { name: 'Log out' }).click();
  await p.getByRole('heading', { name: 'Log in' }).waitFor();
  expect(await id()).not.toBe(before);
});

test('the crowd can be sent home', async () => {
  const p = await visit('/');
  await p.getByRole('button', { name: 'Send them home' }).click();
  await p.getByRole('button', { name: 'Let them in' }).click();
  await p.getByRole('button', { name: 'Send them home' }).waitFor();
});

for (const scheme of ['light', 'dark'] as const)
  test(`every page is accessible and fits, ${scheme}`, async () => {
    await context.close();
    context = await browser.newContext({ colorScheme: scheme });
    await context.addInitScript(() => {
      Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', { get: () => true });
      if (origin !== 'null') localStorage.setItem('shop_cart', '{"mug":2}'); // not in offers' frames
    });
    const p = await visit('/');
    for (const path of [
      '/',
      '/product/teapot',
      '/cart',
      '/checkout',
      '/orders',
      '/login',
      '/spin',
      '/support',
      '/support-desk',
      '/nowhere',
    ])
      for (const width of [390, 768, 1280]) {
        await p.setViewportSize({ width, height: 800 });
        await p.goto(`${url}/shop${path}`);
        await p
          .locator('footer')
          .getByText(/Simulated shoppers/)
          .waitFor();
        expect(
          await p.evaluate(() => document.documentElement.scrollWidth),
          `${path} at ${width} px`,
        ).toBeLessThanOrEqual(width);
        if (width === 768) continue;
        await p.evaluate(axe);
        const found = await p.evaluate(async () => {
          const { axe: run } = window as unknown as {
            axe: {
              run(
                d: Document,
                o: object,
              ): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }>;
            };
          };
          const r = await run.run(document, {
            runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
          });
          return r.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.html).join(' ')}`);
        });
        expect(found.join('\n'), `${path} at ${width} px`).toBe('');
      }
  });
