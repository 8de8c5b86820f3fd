import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, profile, setUp } from './browser';
import { measure, quantile } from './latency';
import { type Heed, start } from './server';

// How soon the whole answers. It runs alone: the limits are of what a user waits
// for, not of what else the machine does. What can be tried again is tried a few
// times, and the median counts.

let browser: Browser;
let heed: Heed;
let admin: Profile;
let home: Page;
beforeAll(async () => {
  [browser, heed] = await Promise.all([
    launch(),
    start({ demo: true, admin: false, sample: 1000 }),
  ]);
  admin = await profile(browser, heed, { calm: true });
  home = await setUp(admin);
});
afterAll(async () => {
  await admin?.context.close();
  await browser?.close();
  await heed?.remove();
  expect(admin.trouble).toEqual([]);
});

/** The milliseconds until something is seen. */
async function time(cause: () => Promise<unknown>, seen: () => Promise<unknown>): Promise<number> {
  await cause();
  const from = performance.now();
  await seen();
  return performance.now() - from;
}

async function median(one: (i: number) => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await one(i));
  return quantile(
    times.sort((a, b) => a - b),
    0.5,
  );
}

/** Waits until an element shows another number than it did. */
const another = (page: Page, selector: string, old: string | null) =>
  page.waitForFunction(
    ([at, was]) => {
      const now = document.querySelector(at)?.textContent ?? '';
      return /^[\d,]+$/.test(now) && now !== was;
    },
    [selector, old] as const,
    { polling: 20 },
  );

test('a step of the checklist within 2 s of the first event', async () => {
  const bare = await start({ admin: false });
  try {
    const visitor = await profile(browser, bare, { calm: true });
    const page = await setUp(visitor);
    await page.getByText('Waiting for the first event').waitFor();
    const key = /-u (\S+):/.exec(
      (await page
        .getByText(/^curl /)
        .first()
        .textContent()) ?? '',
    )?.[1];
    const took = await time(
      () => bare.track({ writeKey: key, anonymousId: 'first', event: 'hello' }),
      () => page.locator('[data-step=send_event][data-done=true]').waitFor(),
    );
    expect(took).toBeLessThan(2000);
    await visitor.close();
  } finally {
    await bare.remove();
  }
});

test('a row on Live within a second of its event', async () => {
  const page = await admin.open('/live');
  await page.getByTestId('live-badge').getByText('Live').waitFor();
  const took = await median((i) =>
    time(
      () => heed.track({ writeKey: 'shop-key', anonymousId: `visitor-${i}`, event: 'hello' }),
      () =>
        page
          .locator('[data-testid=events] > li', { hasText: `visitor-${i}` })
          .filter({ hasText: 'hello' })
          .waitFor(),
    ),
  );
  expect(took).toBeLessThan(1000);
  await page.close();
});

test('counts of buckets within half a second of an edit', async () => {
  const page = await admin.open('/dimensions/engagement');
  const selector = '[data-testid=bucket] span[title$="%"]';
  const count = page.locator(selector).first();
  await count.waitFor();
  const took = await median(async (i) => {
    const old = await count.textContent();
    return time(
      () => page.getByLabel('low: to under').fill(`${3 + i}`),
      () => another(page, selector, old),
    );
  });
  expect(took).toBeLessThan(500);
  await page.close({ runBeforeUnload: false });
});

test('the size of an audience within half a second of an edit', async () => {
  const page = await admin.open('/new/audience?as=yaml');
  const text = page.getByLabel('The audience as YAML');
  const write = (days: number) =>
    text.fill(
      `kind: audience\nname: new-ones\ndid: {event: session_start, during: {last: ${days}d}}\n`,
    );
  await write(7);
  const size = page.getByTestId('size');
  await size.getByText(/\d/).waitFor();
  const took = await median(async (i) => {
    const old = await size.textContent();
    return time(
      () => write(60 * (i + 1)),
      () => another(page, '[data-testid=size]', old),
    );
  });
  expect(took).toBeLessThan(500);
  await page.close({ runBeforeUnload: false });
});

test('what a trigger would have done, within a second', async () => {
  const page = await admin.open('/new/trigger');
  const took = await time(
    () =>
      page
        .getByRole('option', { name: /^spin|^win/ })
        .first()
        .click(),
    () => page.getByTestId('backtest-figure').waitFor(),
  );
  expect(took).toBeLessThan(1000);
  await page.close({ runBeforeUnload: false });
});

test('the pop-up soon after the click', async () => {
  const times = await measure(browser, heed, 20);
  console.info(
    `click to pop-up: p50 ${quantile(times, 0.5).toFixed(0)} ms, worst ${times.at(-1)?.toFixed(0)} ms`,
  );
  // the goal is measured by the benchmark, on a machine that does nothing else
  expect(quantile(times, 0.5)).toBeLessThan(1000);
});

test('that the server is gone, within 3 s', async () => {
  const badge = home.getByTestId('live-badge');
  await badge.getByText('Live').waitFor();
  admin.away = true;
  const took = await time(heed.kill, () => badge.getByText('Reconnecting').waitFor());
  expect(took).toBeLessThan(3000);
});
