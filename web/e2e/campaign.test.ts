import type { Browser, Locator } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, presentable, profile, setUp } from './browser';
import { type Heed, start } from './server';
import { anonymousId, inPopup, spin, spinButton } from './shop';

// From a trigger to its pop-up, in the console beside the shop.

let browser: Browser;
let heed: Heed;
let admin: Profile;
beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true, admin: false })]);
  admin = await profile(browser, heed, { calm: true });
  await (await setUp(admin)).close();
});
afterAll(async () => {
  await admin?.context.close();
  await browser?.close();
  await heed?.remove();
  expect(admin.trouble).toEqual([]);
});

test('from New campaign to the pop-up, in at most thirteen clicks', async () => {
  const api = `${heed.url}/api/v1`;
  const { request } = admin.context;
  // the audience that is picked: who plays
  const applied = await request.post(`${api}/definitions:apply`, {
    headers: { 'content-type': 'application/yaml', origin: heed.url },
    data: 'kind: audience\nname: players\ndid: {event: win, during: {last: 7d}}\n',
  });
  expect(applied.status()).toBe(200);
  // the shop's own campaign would answer the same wins
  const winners = await (await request.get(`${api}/definitions/campaign/winners`)).json();
  const paused = await request.put(`${api}/definitions/campaign/winners`, {
    headers: { origin: heed.url },
    data: { ...winners.spec, status: 'paused' },
  });
  expect(paused.status()).toBe(200);
  const visitor = await profile(browser, heed);
  const shop = await visitor.open('/shop/spin?luck=win');
  await spin(shop, 'win');
  const tester = await anonymousId(shop);

  const page = await admin.open('/');
  let clicks = 0;
  const click = async (target: Locator) => {
    clicks++;
    await target.click();
  };
  const button = (name: string | RegExp) =>
    page.getByRole('button', { name, exact: typeof name === 'string' });
  await click(page.getByRole('link', { name: 'New campaign' }));
  await click(page.getByRole('option', { name: /^win/ }));
  await page.keyboard.press('3');
  await click(button('in a row'));
  await click(page.getByRole('option', { name: /^loss/ }));
  await page.keyboard.press('Escape');
  await page.getByTestId('backtest-figure').waitFor();
  await click(button(/^Within:/));
  await click(button('30 min'));
  await click(button(/^Audience:/));
  await click(page.getByRole('option', { name: /^players/ }));
  await page.keyboard.press('Escape');
  await click(button(/^Template:/));
  await click(page.getByRole('option', { name: /^wow/ }));
  await page.getByLabel('On', { exact: true }).fill(tester);
  await click(button('Test on me'));
  // here, and on the tester's own page
  await page
    .getByRole('dialog', { name: `What is shown to ${tester}` })
    .locator('iframe')
    .waitFor();
  await page.keyboard.press('Escape');
  await inPopup(shop, /three in a row/).waitFor();
  await shop.keyboard.press('Escape');
  await page.evaluate(() => scrollTo(0, 0)); // the header covers half of what lies under it
  await presentable(page);
  await page.setViewportSize({ width: 1280, height: 860 });
  await click(button('Review'));
  await click(button('Launch'));
  await page.getByRole('heading', { name: /^wow-win-3-in-a-row/ }).waitFor();
  expect(clicks).toBeLessThanOrEqual(13);

  // and now by what visitors do: one of ten is held back, and the next one comes
  const held = 'Held back to measure lift';
  for (let outcome = held; outcome === held; ) {
    const other = await profile(browser, heed, { person: true });
    const theirs = await other.open('/shop/spin?luck=win');
    await spin(theirs, 'win');
    const who = await anonymousId(theirs);
    const entered = async () =>
      JSON.stringify(await (await request.get(`${api}/audiences/players/changes?limit=50`)).json());
    await expect.poll(entered).toContain(who);
    await spin(theirs, 'win');
    await spinButton(theirs).click();
    const row = page.locator('[data-testid=deliveries] > li', { hasText: who });
    outcome = await row
      .getByText(held)
      .or(row.getByText('Sent', { exact: true }))
      .innerText();
    if (outcome !== held) {
      await inPopup(theirs, /three in a row/).waitFor();
      await page.getByTestId('report').getByText('Sent', { exact: true }).waitFor();
    }
    await other.close();
  }
  await visitor.close();
});
