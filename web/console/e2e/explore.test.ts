import { readFileSync } from 'node:fs';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Mock, startMock } from '../mock/server.mjs';
import { accessible, fits, launch, open, type Watched } from './browser';

let browser: Browser;
let mock: Mock;
beforeAll(async () => {
  browser = await launch();
  mock = await startMock();
});
beforeEach(() => {
  mock.state.measureMs = () => 0;
});
afterAll(async () => {
  await browser.close();
  await mock.close();
});

const steps = ['session_start', 'click_event1', 'custom_event2'];
const search = (value: object) => encodeURIComponent(JSON.stringify(value));
const funnel = `view=funnel&funnel=${search({ steps: steps.map((event) => ({ event })), window: '1h' })}`;
const number = (text: string | null) => Number((text ?? '').replaceAll(/\D/g, ''));
const crumb = (page: Page, i: number) =>
  page.getByRole('navigation', { name: 'Who is explored' }).getByRole('listitem').nth(i);
/** The number that a chip ends with. */
const left = async (page: Page, i: number) =>
  number(await crumb(page, i).locator('b').textContent());
const total = async (page: Page) => number(await page.getByTestId('total').textContent());

/** The lines of a file that a click saves. */
async function saved(page: Page, click: () => Promise<void>): Promise<string[]> {
  const [file] = await Promise.all([page.waitForEvent('download'), click()]);
  return readFileSync(await file.path(), 'utf8')
    .trimEnd()
    .split('\n');
}

/** Comes back to the page, which refreshes it at once. */
const refresh = (page: Page) =>
  page.evaluate(() => window.dispatchEvent(new Event('visibilitychange')));

/** One window for several tests, which share what it has loaded. */
function shared() {
  let at: Watched;
  beforeAll(async () => {
    at = await open(browser, `${mock.url}/explore`);
  });
  afterAll(() => at?.context.close());
  return async (path: string): Promise<Watched> => {
    await at.page.setViewportSize({ width: 1280, height: 860 });
    await at.page.goto(mock.url + path);
    return at;
  };
}

test('from Home to a message for those who are stuck, in at most 13 clicks', async () => {
  const { page, trouble, context } = await open(browser, `${mock.url}/`);
  let clicks = 0;
  const click = async (what: ReturnType<Page['getByRole']>) => {
    clicks++;
    await what.click();
  };
  await click(page.getByRole('link', { name: 'Explore' }));
  await page.getByTestId('bars').waitFor();
  const all = await left(page, 0);
  expect(all).toBe(8231);
  const bar = page.getByRole('button', { name: /^Medium-high/ });
  const engaged = number((await bar.locator('span').nth(1).textContent()) ?? '');
  await click(bar);
  await expect.poll(() => left(page, 1)).toBe(engaged);
  await click(page.getByRole('link', { name: 'Acquisition month' }));
  const may = page.getByRole('button', { name: /^May 2026/ });
  const joined = number((await may.locator('span').nth(1).textContent()) ?? '');
  await click(may);
  await expect.poll(() => left(page, 2)).toBe(joined);
  await click(page.getByRole('link', { name: 'Funnel' }));
  const picker = page.getByTestId('picker');
  for (const [i, step] of steps.entries()) {
    await click(picker.getByRole('button', { name: new RegExp(`^${step}`) }));
    await page.locator(`[data-level="${i + 1}"]`).waitFor();
  }
  await picker.waitFor();
  const stuck = page.getByRole('button', {
    name: /^Stuck at level 2: did click_event1, not custom_event2/,
  });
  const said = number((await stuck.locator('b').textContent()) ?? '');
  expect(said).toBeGreaterThan(0);
  await click(stuck);
  await page.getByTestId('total').waitFor();
  expect(await total(page)).toBe(said);
  await page.getByRole('dialog').getByText('Outbox', { exact: true }).click();
  clicks++;
  await page.getByLabel('Text').fill('Come back, {{ profile.traits.firstName }}');
  await click(page.getByRole('button', { name: 'Review' }));
  expect(number(await page.getByTestId('matched').textContent())).toBe(said);
  const send = page.getByRole('button', { name: `Send to ${said}` });
  clicks++;
  await send.dblclick(); // sends once
  await page.getByTestId('sent').waitFor();
  expect(clicks).toBeLessThanOrEqual(13);
  expect(mock.state.sends).toMatchObject([
    {
      name: 'stuck-at-level-2-did-click-event1-not-custom',
      matched: said,
      channel: 'outbox',
      audience: {
        all: [
          { all: [{ is: { values: ['medium-high'] } }, { is: { values: ['2026-05'] } }] },
          { funnel: { level: 2, state: 'stuck' } },
        ],
      },
    },
  ]);
  expect(trouble).toEqual([]);
  await context.close();
});

test('what is sent is what was reviewed', async () => {
  mock.state.sends.length = 0;
  const { page, trouble, context } = await open(browser, `${mock.url}/explore`);
  await page.locator('[data-bar] button:last-child').last().click();
  await page.getByTestId('total').waitFor();
  await page.getByRole('dialog').getByText('Outbox', { exact: true }).click();
  await page.getByLabel('Text').fill('Come back');
  await page.getByRole('button', { name: 'Review' }).click();
  const matched = number(await page.getByTestId('matched').textContent());
  expect(matched).toBeGreaterThan(1000);
  // so many people that some are held back unless somebody says otherwise
  expect(number(await page.getByTestId('sending').textContent())).toBeLessThan(matched);
  await page.getByLabel('Hold 10 % back').click();
  await expect
    .poll(async () => number(await page.getByTestId('sending').textContent()))
    .toBe(matched);
  // another text is another review
  await page.getByLabel('Text').fill('Come back soon');
  expect(await page.getByTestId('review').count()).toBe(0);
  await page.getByRole('button', { name: 'Review' }).click();
  mock.state.drift = true;
  await page.getByRole('button', { name: /^Send to/ }).click();
  await page.getByText('The number has changed since the review').waitFor();
  expect(mock.state.sends).toEqual([]);
  await accessible(page);
  const send = page.getByRole('button', { name: /^Send to/ });
  await send.scrollIntoViewIfNeeded();
  const centre = async (what: Locator) => {
    await what.scrollIntoViewIfNeeded();
    const box = await what.boundingBox();
    return [(box?.x ?? 0) + (box?.width ?? 0) / 2, (box?.y ?? 0) + (box?.height ?? 0) / 2] as const;
  };
  await page.mouse.click(...(await centre(send)));
  await page.getByTestId('sent').waitFor();
  // a double click that takes its time: something else may be under its second one by now
  const user = page.getByTestId('people-list').getByRole('link').first();
  await page.mouse.move(...(await centre(user)));
  await page.mouse.down({ clickCount: 2 });
  await page.mouse.up({ clickCount: 2 });
  await page.getByTestId('sent').waitFor();
  expect(new URL(page.url()).pathname).toBe('/explore');
  expect(mock.state.sends).toMatchObject([{ matched, body: 'Come back soon', holdout: '0%' }]);
  expect(trouble.filter((t) => !t.includes('409'))).toEqual([]);
  await context.close();
});

describe('every mark leads to its people', () => {
  const marks: [string, string, string][] = [
    ['a bar', '/explore', '[data-bar] button:last-child'],
    ['an event', '/explore?by=event.event', '[data-bar] button:last-child'],
    ['a place in a funnel', `/explore?${funnel}`, '[data-place]:not([disabled])'],
    ['a point of a trend', '/explore?view=trend', '[data-point]'],
    ['a line of a trend', '/explore?view=trend', '[data-line]'],
    ['a cell of retention', '/explore?view=retention', '[data-testid=grid] button'],
    [
      'a place on a path',
      `/explore?view=paths&paths=${search({ from: 'page' })}`,
      '[data-bar] button',
    ],
    ['a row of a table', '/explore?table=true', '[data-testid=table] td button'],
  ];
  const visit = shared();
  test.each(marks)('%s: its label, the list, the file', async (_, path, marked) => {
    const { page, trouble } = await visit(path);
    const mark = page.locator(marked);
    await mark.first().waitFor();
    for (const i of [0, (await mark.count()) - 1]) {
      const one = mark.nth(i);
      const label = (await one.getAttribute('aria-label')) ?? (await one.textContent()) ?? '';
      await one.click();
      await page.getByTestId('total').waitFor();
      const n = await total(page);
      expect(label.replaceAll(',', '')).toContain(String(n));
      expect(await page.getByText('The chart said').count()).toBe(0);
      const people = page.getByRole('dialog');
      const rows = await saved(page, () => people.getByRole('button', { name: 'CSV' }).click());
      expect([rows[0], rows.length - 1]).toEqual(['user', n]);
      await page.keyboard.press('Escape');
      await people.waitFor({ state: 'detached' });
    }
    expect(trouble).toEqual([]);
  });
});

test('a reload shows the same; Back takes each step back', async () => {
  const { page, trouble, context } = await open(browser, `${mock.url}/explore`);
  await page.getByRole('button', { name: /^Medium-high/ }).click();
  await expect.poll(() => left(page, 1)).toBeGreaterThan(0);
  await page.getByRole('link', { name: 'Funnel' }).click();
  for (const step of steps)
    await page
      .getByTestId('picker')
      .getByRole('button', { name: new RegExp(`^${step}`) })
      .click();
  await page.getByRole('button', { name: /^Stuck at level 1/ }).click();
  await page.getByTestId('total').waitFor();
  const n = await total(page);
  await page.reload();
  await page.getByTestId('total').waitFor();
  expect(await total(page)).toBe(n);
  await page.getByRole('dialog').getByText('Stuck at level 1: did session_start').waitFor();
  await page.goBack();
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.locator('[data-level="3"]').waitFor();
  await page.goBack();
  await page.locator('[data-level="3"]').waitFor({ state: 'detached' });
  await page.locator('[data-level="2"]').waitFor();
  for (let i = 0; i < 3; i++) await page.goBack();
  await page.getByTestId('bars').waitFor();
  expect(await page.getByText('Engagement: Medium-high').count()).toBe(1);
  await page.goBack();
  await expect.poll(() => page.getByText('Engagement: Medium-high').count()).toBe(0);
  await page.goForward();
  await page.getByText('Engagement: Medium-high').waitFor();
  expect(trouble).toEqual([]);
  await context.close();
});

test('the walk by keyboard alone', async () => {
  const { page, trouble, context } = await open(browser, `${mock.url}/explore`);
  await page.getByTestId('bars').waitFor();
  const press = (key: string) => page.keyboard.press(key);
  const focused = () =>
    page.evaluate(() => {
      const on = document.activeElement;
      return on?.getAttribute('aria-label') ?? on?.textContent ?? '';
    });
  const tabTo = async (wanted: RegExp) => {
    for (let i = 0; i < 60; i++) {
      await press('Tab');
      if (wanted.test(await focused())) return;
    }
    throw new Error(`no ${wanted} by keyboard; now at ${await focused()}`);
  };
  await tabTo(/^Medium-high/);
  await press('Enter');
  await page.getByText('Engagement: Medium-high').waitFor();
  await page.evaluate(() => document.getElementById('main')?.focus());
  await tabTo(/^Funnel$/);
  await press('Enter');
  await page.getByTestId('picker').waitFor();
  // the search has the focus, and keeps it
  for (const [i, step] of steps.entries()) {
    await expect.poll(focused).toBe('Search events');
    await page.keyboard.type(step);
    await press('Enter');
    await page.locator(`[data-level="${i + 1}"]`).waitFor();
  }
  await tabTo(/^Stuck at level 2/);
  await press('Enter');
  await page.getByTestId('total').waitFor();
  await tabTo(/^CSV$/);
  const rows = await saved(page, () => press('Enter'));
  expect(rows.length - 1).toBe(await total(page));
  await press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await expect.poll(focused).toMatch(/^Stuck at level 2/);
  // points of a chart, one stop, moved along by arrows
  await page.goto(`${mock.url}/explore?view=trend`);
  await page.locator('[data-point]').first().waitFor();
  await tabTo(/users so far$/);
  await press('ArrowLeft');
  await expect.poll(focused).toMatch(/\d users$/);
  const label = await focused();
  await press('Enter');
  await page.getByTestId('total').waitFor();
  expect(label).toContain(`: ${await page.getByTestId('total').textContent()} users`);
  expect(trouble).toEqual([]);
  await context.close();
});

test('an answer that comes late does not stand in the place of a newer one', async () => {
  // the first question takes long
  mock.state.measureMs = (query) => (JSON.stringify(query).includes('"country"') ? 4000 : 50);
  const { page, trouble, context } = await open(browser, `${mock.url}/explore`);
  await page.getByTestId('bars').waitFor();
  await page.getByRole('link', { name: 'Country' }).click();
  await page.getByTestId('pending').waitFor();
  // nor does the old one stand under the new heading
  expect(await page.getByTestId('bars').count()).toBe(0);
  await page.getByRole('link', { name: 'Device' }).click();
  await page.getByRole('button', { name: /^Mobile/ }).waitFor();
  await page.waitForTimeout(4500); // long after the late one
  expect(await page.getByRole('button', { name: /^Mobile/ }).count()).toBe(1);
  expect(await page.getByRole('button', { name: /^Germany/ }).count()).toBe(0);
  expect(await page.getByTestId('pending').count()).toBe(0);
  expect(trouble).toEqual([]);
  await context.close();
});

test('no number of an axis is cut off', async () => {
  const { page, trouble, context } = await open(browser, `${mock.url}/live`);
  await page.route('**/measures:query*', async (route) => {
    const response = await route.fetch();
    const json = await response.json();
    for (const line of json.series?.lines ?? []) line.points = line.points.map(() => 34_567);
    await route.fulfill({ response, json });
  });
  await page.goto(`${mock.url}/explore?view=trend`);
  const plot = page.getByTestId('time-chart').locator('svg').first();
  await plot.getByText('40,000').waitFor();
  const cut = await plot.evaluate((svg) => {
    const { left } = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text')]
      .filter((t) => t.getBoundingClientRect().left < left)
      .map((t) => t.textContent);
  });
  expect(cut).toEqual([]);
  expect(trouble).toEqual([]);
  await context.close();
});

test('a number that changed since it was clicked says so', async () => {
  const then = Date.now() * 1000;
  const at = search({ at: then, n: 12, mark: { values: ['high'] } });
  const { page, context } = await open(browser, `${mock.url}/explore?open=${at}`);
  await page.getByText('The chart said 12 when you clicked').waitFor();
  await accessible(page);
  await context.close();
});

test('narrowing to the people of a mark, and taking them back', async () => {
  const { page, trouble, context } = await open(browser, `${mock.url}/explore?${funnel}`);
  await page.getByRole('button', { name: /^Stuck at level 1/ }).click();
  await page.getByTestId('total').waitFor();
  const n = await total(page);
  await page.getByRole('button', { name: 'Narrow to them' }).click();
  await page.getByTestId('bars').waitFor();
  await expect.poll(() => left(page, 1)).toBe(n);
  await page.getByRole('button', { name: /^Remove Stuck at level 1/ }).click();
  await expect.poll(() => page.getByText('Stuck at level 1').count()).toBe(0);
  expect(trouble).toEqual([]);
  await context.close();
});

test('those who came back, and those who did not, are their cohort', async () => {
  const { page, trouble, context } = await open(browser, `${mock.url}/explore?view=retention`);
  const row = page.locator('[data-testid=grid] tbody tr').first();
  const cohort = number(await row.locator('button span').nth(1).textContent());
  await row.locator('button').nth(2).click();
  await page.getByTestId('total').waitFor();
  const back = await total(page);
  await page.getByRole('button', { name: 'Those who did not' }).click();
  await page.getByText('did not come back').waitFor();
  await expect.poll(() => total(page)).toBe(cohort - back);
  expect(trouble).toEqual([]);
  await context.close();
});

test('an audience of those behind a bar, dynamic or frozen', async () => {
  const { page, trouble, context } = await open(browser, `${mock.url}/explore`);
  await page.getByRole('button', { name: /^See users: High/ }).click();
  await page.getByRole('button', { name: 'Save as audience' }).click();
  await page.getByLabel('Name of the audience').fill('vip');
  await page.getByText('An audience has this name already').waitFor();
  await accessible(page);
  await page.getByLabel('Name of the audience').fill('keen');
  await page.getByLabel(/^Just these/).check();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('The audience keen is saved').waitFor();
  expect(mock.stored('audience', 'keen')?.spec).toMatchObject({
    description: 'Engagement: High',
    is: { dimension: { dimension: 'engagement' }, values: ['high'] },
    frozen: expect.stringMatching(/^\d{4}-.*Z$/),
  });
  expect(trouble).toEqual([]);
  await context.close();
});

test('what the server refuses is said, and the page goes on', async () => {
  const { page, context } = await open(browser, `${mock.url}/explore?by=nothing.here`);
  await page.getByText('is no field of a user or an event').waitFor();
  await accessible(page);
  await page.getByRole('link', { name: 'Engagement' }).click();
  await page.getByTestId('bars').waitFor();
  await context.close();
});

test('what can no longer be refreshed stays, and says so', async () => {
  const shaky = await startMock();
  const { page, context } = await open(browser, `${shaky.url}/explore`);
  await page.getByTestId('bars').waitFor();
  shaky.state.fail = ['/measures'];
  await refresh(page);
  await page.getByText('could not be refreshed').waitFor();
  expect(await page.getByTestId('bars').count()).toBe(1);
  shaky.state.fail = [];
  await refresh(page);
  await page.getByText('refreshed every 5 s').waitFor();
  await context.close();
  await shaky.close();
});

test('nobody there: the sample shop is one click away', async () => {
  const bare = await startMock({ empty: true });
  const { page, trouble, context } = await open(browser, `${bare.url}/explore`, { width: 390 });
  await page.getByRole('button', { name: 'Load sample shop' }).click();
  await page.getByText('The sample shop is being loaded').waitFor();
  await accessible(page);
  // as soon as there is somebody
  bare.state.empty = false;
  await refresh(page);
  await page.getByTestId('bars').waitFor();
  expect(trouble).toEqual([]);
  await context.close();
  await bare.close();
});

describe('accessible, and no wider than the window, in light and dark', () => {
  const visit = shared();
  test.each([
    ['picking', '/explore?view=funnel', '[data-testid=picker] button:has-text("page")'],
    ['a funnel', `/explore?${funnel}`, '[data-testid=funnel]'],
    [
      'a trend',
      `/explore?view=trend&trend=${search({ events: ['page', 'purchase'], count: 'users' })}`,
      '[data-point]',
    ],
    ['retention', '/explore?view=retention', '[data-testid=grid] button'],
    ['paths', `/explore?view=paths&paths=${search({ from: 'page' })}`, '[data-bar]'],
    ['a table', `/explore?${funnel}&table=true`, '[data-testid=table] button'],
  ])('%s', async (_, path, ready) => {
    const { page, trouble } = await visit(path);
    await page.locator(ready).first().waitFor();
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      for (const width of [1280, 768, 390]) {
        await page.setViewportSize({ width, height: 860 });
        await fits(page);
      }
      await accessible(page);
    }
    expect(trouble).toEqual([]);
  });
});
