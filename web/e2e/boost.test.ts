import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { accessible, farewell, launch, type Profile, profile } from './browser';
import { type Heed, start } from './server';
import { inPopup, popup, settled, spin, spinButton } from './shop';

// Three wins in a row: the pop-up, in the page where the third win happened.

let browser: Browser;
let heed: Heed;
let shopper: Profile;

beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true })]);
});
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
});
beforeEach(async () => {
  shopper = await profile(browser, heed);
});
afterEach(() => shopper.close());

test('from the catalogue to three wins: a pop-up that can be used by keyboard', async () => {
  const page = await shopper.open('/shop/?luck=win');
  // the game reads its luck from the address that it was opened with
  await page.getByRole('link', { name: 'Spin to win' }).waitFor();
  await page.goto(`${heed.url}/shop/spin?luck=win`);
  await spin(page, 'win');
  await spin(page, 'win');
  expect(await popup(page).count()).toBe(0);
  await spinButton(page).focus();
  await page.keyboard.press('Enter');
  await inPopup(page, /three in a row/).waitFor();
  await page.getByText(/\d+ ms after your click/).waitFor();
  await accessible(page);
  // the page behind is out of reach: Tab stays within the dialog and the browser
  for (let i = 0; i < 4; i++) {
    await page.keyboard.press('Tab');
    expect(await spinButton(page).evaluate((b) => b === document.activeElement)).toBe(false);
  }
  await page.keyboard.press('Escape');
  await popup(page).waitFor({ state: 'detached' });
  expect(await spinButton(page).evaluate((b) => b === document.activeElement)).toBe(true);
});

test('Escape closes it also from within the message', async () => {
  const page = await shopper.open('/shop/spin?luck=win');
  for (let i = 0; i < 3; i++) await spinButton(page).click();
  const link = page.frameLocator('dialog[open] iframe').getByRole('link');
  await link.focus();
  farewell(page.keyboard.press('Escape'));
  await popup(page).waitFor({ state: 'detached' });
});

test('win, win, loss, win brings nothing', async () => {
  const page = await shopper.open('/shop/spin?luck=win,win,lose,win');
  for (const outcome of ['win', 'win', 'loss', 'win'] as const) await spin(page, outcome);
  await settled(heed, page);
  expect(await popup(page).count()).toBe(0);
});

test('a crash between the second and the third win loses neither; a fourth fires nothing', async () => {
  const page = await shopper.open('/shop/spin?luck=win');
  await spin(page, 'win');
  await spin(page, 'win');
  shopper.away = true;
  await heed.kill();
  // the page is still open and the server is not there: the win waits in the tracker
  await spinButton(page).click();
  await heed.start();
  await inPopup(page, /three in a row/).waitFor();
  await page.keyboard.press('Escape');
  await popup(page).waitFor({ state: 'detached' });
  await spin(page, 'win');
  await settled(heed, page);
  expect(await popup(page).count()).toBe(0);
});

test('a restart while nothing happens is not noticed', async () => {
  const page = await shopper.open('/shop/spin?luck=win');
  await spin(page, 'win');
  await spin(page, 'win');
  shopper.away = true;
  await heed.stop();
  await heed.start();
  await spinButton(page).click();
  await inPopup(page, /three in a row/).waitFor();
});

test('two tabs: one stream of messages and one pop-up', async () => {
  const streams: string[] = [];
  shopper.context.on('request', (r) => {
    if (r.url().includes('/v1/messages/stream')) streams.push(r.url());
  });
  const first = await shopper.open('/shop/spin?luck=win');
  const second = await shopper.open('/shop/spin?luck=win');
  await spin(second, 'win');
  await spin(second, 'win');
  await spinButton(second).click();
  await inPopup(second, /three in a row/).waitFor();
  await settled(heed, first);
  await first.bringToFront();
  await first.waitForTimeout(500);
  expect(await popup(first).count()).toBe(0);
  expect(streams).toHaveLength(1);
  await second.bringToFront();
  await second.keyboard.press('Escape');
  await popup(second).waitFor({ state: 'detached' });
  await first.bringToFront();
  await first.waitForTimeout(500);
  expect(await popup(first).count()).toBe(0);
});

test('seven tabs: each loads, and the pop-up comes where the win was', async () => {
  const tabs = [];
  for (let i = 0; i < 7; i++) {
    const page = await shopper.open('/shop/spin?luck=win');
    await spinButton(page).waitFor();
    tabs.push(page);
  }
  const last = tabs[6];
  if (!last) throw new Error('no seventh tab');
  for (let i = 0; i < 2; i++) await spin(last, 'win');
  await spinButton(last).click();
  await inPopup(last, /three in a row/).waitFor();
  await settled(heed, last);
  const open = await Promise.all(tabs.map((page) => popup(page).count()));
  expect(open).toEqual([0, 0, 0, 0, 0, 0, 1]);
});
