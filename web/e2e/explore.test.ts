import { readFileSync } from 'node:fs';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, presentable, profile, signIn } from './browser';
import { type Heed, start } from './server';

// Explore over a history that is really there: what a mark says is whom it leads to.

let browser: Browser;
let heed: Heed;
let analyst: Profile;

const day = 86_400_000;
const steps = ['page', 'click_event1', 'custom_event2'];
/** The last May that lies well before the days that make people engaged. */
const may = (() => {
  const before = new Date(Date.now() - 60 * day);
  return before.getUTCMonth() > 4 ? before.getUTCFullYear() : before.getUTCFullYear() - 1;
})();
/** Who came in May, were active on six of the last days, and never did what comes after the click. */
const stuck = Array.from({ length: 7 }, (_, i) => `stuck-${i}`);

beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true, sample: 800 })]);
  analyst = await profile(browser, heed, { calm: true });
  await signIn(analyst, 'marketer');
  await heed.sampleLoaded();
  const at = (ms: number, anonymousId: string, event: string) => ({
    type: 'track',
    event,
    anonymousId,
    timestamp: new Date(ms).toISOString(),
  });
  const batch = stuck.flatMap((id) => [
    at(Date.UTC(may, 4, 15, 12), id, 'page'),
    ...Array.from({ length: 6 }, (_, n) => Date.now() - (n + 1) * 2 * day).flatMap((then) => [
      at(then, id, 'page'),
      at(then + 60_000, id, 'click_event1'),
    ]),
  ]);
  const sent = await fetch(`${heed.url}/v1/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ writeKey: 'shop-key', batch }),
  });
  expect([sent.status, await sent.json()]).toMatchObject([200, { accepted: batch.length }]);
});
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
});

const number = (text: string | null) => Number((text ?? '').replaceAll(/\D/g, ''));
const total = async (page: Page) => number(await page.getByTestId('total').textContent());
/** The number that a chip ends with. */
const left = async (page: Page, i: number) =>
  number(
    await page
      .getByRole('navigation', { name: 'Who is explored' })
      .getByRole('listitem')
      .nth(i)
      .locator('b')
      .textContent(),
  );

async function file(page: Page): Promise<string[]> {
  const people = page.getByRole('dialog');
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    people.getByRole('button', { name: 'CSV' }).click(),
  ]);
  return readFileSync(await saved.path(), 'utf8')
    .trimEnd()
    .split('\n');
}

/** A mark, its number, and its people are one. */
async function checked(page: Page, mark: Locator, says: number): Promise<string[]> {
  await mark.click();
  await page.getByTestId('total').waitFor();
  const ids = await file(page);
  expect([await total(page), ids.length - 1]).toEqual([says, says]);
  expect(new Set(ids).size).toBe(ids.length);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  return ids;
}

test('from Home to those who are stuck in a funnel, and an audience of them', async () => {
  const page = await analyst.open('/');
  await page.getByTestId('checklist').waitFor();
  let clicks = 0;
  const click = (what: Locator) => {
    clicks++;
    return what.click();
  };
  await click(page.getByRole('link', { name: 'Explore' }));
  await page.getByTestId('bars').waitFor();
  await expect.poll(() => left(page, 0)).toBe(800 + stuck.length);
  await click(page.getByRole('button', { name: /^Medium-high/ }));
  await click(page.getByRole('link', { name: 'Acquisition month' }));
  await click(page.getByRole('button', { name: new RegExp(`^May ${may}`) }));
  await click(page.getByRole('link', { name: 'Funnel' }));
  const picker = page.getByTestId('picker');
  for (const [i, step] of steps.entries()) {
    await click(picker.getByRole('button', { name: new RegExp(`^${step}`) }));
    await page.locator(`[data-level="${i + 1}"]`).waitFor();
  }
  const mark = page.getByRole('button', {
    name: /^Stuck at level 2: did click_event1, not custom_event2/,
  });
  const says = number(await mark.locator('b').textContent());
  expect(says).toBeGreaterThanOrEqual(stuck.length);
  await click(mark);
  await page.getByTestId('total').waitFor();
  expect(await total(page)).toBe(says);
  const ids = await file(page);
  expect(ids.length - 1).toBe(says);
  expect(ids).toEqual(expect.arrayContaining(stuck));
  await presentable(page);
  const people = page.getByRole('dialog');
  await click(people.getByText('Outbox SMS', { exact: true }));
  await people.getByLabel('Text').fill('You were nearly there.');
  await people.getByText('1 segment · 22 of 160 characters').waitFor();
  await click(people.getByRole('button', { name: 'Review' }));
  expect(number(await people.getByTestId('matched').textContent())).toBe(says);
  clicks++;
  await people.getByRole('button', { name: `Send to ${says}` }).dblclick(); // sends once
  await people.getByTestId('sent').waitFor();
  expect(clicks).toBeLessThanOrEqual(13);
  // the outbox holds exactly those who were reviewed
  const letters = async () => {
    const { messages } = await heed.admin<{ messages: { user: string; text: string }[] }>(
      '/outbox?limit=200',
    );
    return messages.filter((m) => m.text === 'You were nearly there.').map((m) => m.user);
  };
  await expect.poll(async () => (await letters()).length).toBe(says);
  expect((await letters()).sort()).toEqual(ids.slice(1).sort());
  // and shows them on a phone
  const outbox = await analyst.open('/outbox');
  await outbox
    .getByRole('button', { name: /You were nearly there/ })
    .first()
    .click();
  const phone = outbox.getByRole('dialog').getByTestId('phone');
  expect(await phone.textContent()).toMatch(
    /You were nearly there\.1 segment · 22 of 160 characters$/,
  );
  await presentable(outbox);
  await outbox.close();
  // the audience that is left is the same people
  const name = 'stuck-at-level-2-did-click-event1-not-custom';
  const answer = await analyst.context.request.post(`${heed.url}/api/v1/measures:query`, {
    headers: { origin: heed.url },
    data: { audience: { audience: name }, users: { limit: 100 } },
  });
  expect((await answer.json()).users).toMatchObject({ total: says, ids: ids.slice(1) });
  // and the whole of it survives a reload
  await page.reload();
  await page.getByTestId('total').waitFor();
  expect(await total(page)).toBe(says);
  await page.close();
  expect(analyst.trouble).toEqual([]);
});

test('every bar, and every place in a funnel: label, list and file are one', async () => {
  const page = await analyst.open('/explore');
  for (const by of ['Engagement', 'Device']) {
    await page.getByRole('link', { name: by }).click();
    await page.getByRole('heading', { name: new RegExp(`Users by ${by}`, 'i') }).waitFor();
    await expect.poll(() => page.getByTestId('pending').count()).toBe(0);
    const bars = page.locator('[data-bar]');
    let sum = 0;
    for (const bar of await bars.all()) {
      const says = number(await bar.locator('button').first().locator('span').nth(1).textContent());
      sum += says;
      await checked(page, bar.locator('button').last(), says);
    }
    expect(sum).toBe(await left(page, 0));
  }
  await page.getByRole('link', { name: 'Funnel' }).click();
  const picker = page.getByTestId('picker');
  for (const step of steps)
    await picker.getByRole('button', { name: new RegExp(`^${step}`) }).click();
  await page.locator('[data-level="3"]').waitFor();
  await expect.poll(() => page.getByTestId('pending').count()).toBe(0);
  const places = page.locator('[data-place]:not([disabled])');
  expect(await places.count()).toBeGreaterThanOrEqual(5);
  for (const place of await places.all())
    await checked(page, place, number(await place.locator('b').textContent()));
  await page.close();
  expect(analyst.trouble).toEqual([]);
});

test('a board counts the people behind its marks, and its funnel opens in Explore', async () => {
  const page = await analyst.open('/boards');
  await page.getByRole('link', { name: /^The shop at a glance/ }).click();
  const chart = (title: string) =>
    page
      .getByTestId('board-chart')
      .filter({ has: page.getByRole('heading', { name: title, exact: true }) });
  const funnel = chart('From a product to the order');
  await funnel.locator('[data-level="4"]').waitFor();
  for (const place of await funnel.locator('[data-place]:not([disabled])').all())
    await checked(page, place, number(await place.locator('b').textContent()));
  for (const bar of await chart('Users by engagement')
    .locator('[data-bar] button:first-child')
    .all())
    await checked(page, bar, number(await bar.locator('span').nth(1).textContent()));
  const buyers = chart('Buyers of the last 28 days').getByTestId('figure');
  await checked(page, buyers, number(await buyers.textContent()));
  const all = await funnel.locator('[data-level="1"] b').first().textContent();
  await page.getByRole('button', { name: 'Chart: From a product to the order' }).click();
  await page.getByRole('menuitem', { name: 'Open in Explore' }).click();
  await page.getByRole('heading', { name: 'Explore', exact: true }).waitFor();
  await page.locator('[data-level="4"]').waitFor();
  expect(await page.locator('[data-level="1"] b').first().textContent()).toBe(all);
  await page.close();
  expect(analyst.trouble).toEqual([]);
});
