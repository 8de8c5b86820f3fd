import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, profile } from './browser';
import { file, type Heed, start } from './server';
import { acknowledged, inPopup, popup, settled } from './shop';

// Put into the cart and not bought: the reminder, also over a crash.

let browser: Browser;
let heed: Heed;
beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true })]);
});
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
});

/** The shipped trigger, waiting for a shorter time. */
async function impatient(wait: string): Promise<void> {
  const [trigger = ''] = file('internal/demo/definitions/cart-abandoned.yaml').split('\n---\n');
  const text = trigger.replace('for: 60s', `for: ${wait}`);
  expect(text).not.toBe(trigger);
  const dir = mkdtempSync(join(tmpdir(), 'heed-e2e-'));
  writeFileSync(join(dir, 'trigger.yaml'), text);
  expect(await heed.command('apply', '-f', join(dir, 'trigger.yaml'))).toMatch(
    /cart-abandoned\s+revision/,
  );
  rmSync(dir, { recursive: true });
}

async function putIntoCart(page: Page): Promise<void> {
  await Promise.all([
    acknowledged(page, 'cart_add'),
    page.getByRole('button', { name: 'Add to cart' }).click(),
  ]);
}

async function buy(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Go to the cart' }).click();
  await page.getByRole('link', { name: 'To the checkout' }).click();
  await page.getByLabel('Name').fill('Ada');
  await page.getByLabel('E-mail').fill('ada@example.com');
  await page.getByLabel('Card number').fill('4242 4242 4242 4242');
  await Promise.all([
    acknowledged(page, 'purchase'),
    page.getByRole('button', { name: /^Pay/ }).click(),
  ]);
  await page.getByRole('heading', { name: /^Invoice/ }).waitFor();
}

/** One leaves the cart, one buys; Heed crashes meanwhile. */
async function scene(wait: number): Promise<void> {
  const leaver = await profile(browser, heed);
  const buyer = await profile(browser, heed);
  const left = await leaver.open('/shop/product/mug');
  const bought = await buyer.open('/shop/product/kettle');
  await putIntoCart(bought);
  await buy(bought);
  const since = Date.now();
  await putIntoCart(left);
  leaver.away = buyer.away = true;
  await heed.kill();
  await heed.start();
  // starting may take longer than the rest of the wait; too early it is not
  await inPopup(left, /is still here/).waitFor({ timeout: wait * 1000 + 60_000 });
  expect(Date.now() - since).toBeGreaterThanOrEqual(wait * 1000 - 50);
  await left.keyboard.press('Escape');
  await settled(heed, bought);
  expect(await popup(bought).count()).toBe(0);
  await Promise.all([leaver.close(), buyer.close()]);
}

test('no purchase brings the reminder in spite of a crash, a purchase brings none', async () => {
  await impatient('6s');
  await scene(6);
});

test.runIf(process.env.HEED_SOAK)(
  'the same with the 60 s that the shop ships',
  async () => {
    await heed.remove();
    heed = await start({ demo: true });
    await scene(60);
  },
  180_000,
);
