import { readFileSync } from 'node:fs';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { launch, type Profile, profile } from './browser';
import { ADMIN_TOKEN, type Heed, start } from './server';

// Every mark of every chart: what its label says, the list behind it, the file of it and the
// audience that is made of it are the same people.

let browser: Browser;
let heed: Heed;
let analyst: Profile;

const steps = ['page', 'click_event1', 'custom_event2'];
const search = (value: object) => encodeURIComponent(JSON.stringify(value));

beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true, sample: 400 })]);
  analyst = await profile(browser, heed, { calm: true });
  const member = { email: 'ada@example.com', password: 'correct horse battery', role: 'marketer' };
  const made = await fetch(`${heed.url}/api/v1/members`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(member),
  });
  expect(made.status).toBeLessThan(300);
  const { email, password } = member;
  await analyst.context.request.post(`${heed.url}/api/v1/login`, {
    headers: { origin: heed.url },
    data: { email, password },
  });
  await vi.waitFor(
    async () => {
      const { sample } = await heed.admin<{ sample: { status: string } }>('/demo');
      expect(sample.status).toBe('loaded');
    },
    { timeout: 120_000, interval: 200 },
  );
  await vi.waitFor(async () => expect(await counted({})).toBe(400), {
    timeout: 120_000,
    interval: 200,
  });
}, 250_000);
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
});

const number = (text: string | null) => Number((text ?? '').replaceAll(/\D/g, ''));

/** How many users are in an audience. */
async function counted(audience: object): Promise<number> {
  const answer = await fetch(`${heed.url}/api/v1/measures:query`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ audience, users: {} }),
  });
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { users: { total: number } }).users.total;
}

interface Behind {
  total: number;
  audience: object;
  asOf: string;
}

/** Opens a mark: label, list, file and audience are one; gives how many they are. */
async function checked(page: Page, mark: Locator, says?: number): Promise<number> {
  const [answer] = await Promise.all([
    page.waitForResponse((r) => r.url().includes('/measures:users') && r.ok()),
    mark.dispatchEvent('click'), // marks of drawings may lie over each other
  ]);
  const behind = (await answer.json()) as Behind;
  await page.getByTestId('total').waitFor();
  const listed = number(await page.getByTestId('total').textContent());
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('dialog').getByRole('button', { name: 'CSV' }).click(),
  ]);
  const lines = readFileSync(await saved.path(), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1);
  const audience = await counted(behind.audience);
  const what = await page.getByRole('dialog').locator('h3').first().textContent();
  expect({ label: says ?? listed, list: listed, file: lines.length, audience }, what ?? '').toEqual(
    { label: listed, list: listed, file: listed, audience: listed },
  );
  expect(new Set(lines).size).toBe(lines.length);
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  return listed;
}

const settled = (page: Page) => expect.poll(() => page.getByTestId('pending').count()).toBe(0);

async function shown(path: string, chart: string): Promise<Page> {
  const page = await analyst.open(path);
  await page.getByTestId(chart).waitFor();
  await settled(page);
  return page;
}

async function done(page: Page): Promise<void> {
  await page.close();
  expect(analyst.trouble).toEqual([]);
}

test.each(['engagement', 'acquisition-source', 'last-touch-source', 'country', 'event.event'])(
  'bars of %s',
  { timeout: 180_000 },
  async (by) => {
    const page = await shown(`/explore?by=${by}`, 'bars');
    const bars = await page.locator('[data-bar]').all();
    expect(bars.length).toBeGreaterThan(1);
    for (const bar of bars) {
      const says = number(await bar.locator('button').first().locator('span').nth(1).textContent());
      await checked(page, bar.locator('button').last(), says);
    }
    await done(page);
  },
);

test('places in a funnel, those who are still in time among them, and its parts', {
  timeout: 180_000,
}, async () => {
  // somebody who clicked a moment ago is in progress, and not stuck
  await heed.track({ writeKey: 'shop-key', event: 'page', anonymousId: 'a-moment-ago' });
  await heed.track({ writeKey: 'shop-key', event: 'click_event1', anonymousId: 'a-moment-ago' });
  const asked = { steps: steps.map((event) => ({ event })), window: '1d' };
  const page = await shown(`/explore?view=funnel&funnel=${search(asked)}`, 'funnel');
  const progress = page.getByRole('button', { name: /^In progress at level 2/i });
  await progress.waitFor();
  const places = await page.locator('[data-place]:not([disabled])').all();
  expect(places.length).toBeGreaterThanOrEqual(6);
  for (const place of places)
    await checked(page, place, number(await place.locator('b').textContent()));
  await page.goto(
    `${heed.url}/explore?view=funnel&funnel=${search({ ...asked, by: 'acquisition-source' })}`,
  );
  await page.getByTestId('grid').waitFor();
  await settled(page);
  const cells = await page.getByTestId('grid').locator('button').all();
  expect(cells.length).toBeGreaterThan(3);
  for (const cell of cells)
    await checked(page, cell, number(await cell.locator('span').nth(1).textContent()));
  await done(page);
});

test('points and lines of a trend', { timeout: 180_000 }, async () => {
  const trend = { events: ['page', 'purchase'], count: 'users', per: 'month' };
  const page = await shown(
    `/explore?view=trend&trend=${search(trend)}&range=${search({ last: '6mo' })}`,
    'time-chart',
  );
  const points = await page.locator('[data-point]').all();
  expect(points.length).toBeGreaterThanOrEqual(12);
  for (const point of points) {
    const words = (await point.getAttribute('aria-label')) ?? '';
    const says = number(/([\d.,\s]+) users?\b/.exec(words)?.[1] ?? null);
    await checked(page, point, says);
  }
  for (const line of await page.locator('[data-line]').all())
    await checked(page, line, number(await line.locator('b').textContent()));
  await done(page);
});

test('cells of retention', { timeout: 180_000 }, async () => {
  const retention = { first: 'page', return: 'page', per: 'month' };
  const page = await shown(
    `/explore?view=retention&retention=${search(retention)}&range=${search({ last: '5mo' })}`,
    'grid',
  );
  const cells = await page.getByTestId('grid').locator('button').all();
  expect(cells.length).toBeGreaterThanOrEqual(10);
  for (const cell of cells)
    await checked(page, cell, number(await cell.locator('span').nth(1).textContent()));
  await done(page);
});
