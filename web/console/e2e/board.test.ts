import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { accessible, accessibleInBoth, fits } from './browser';
import { mocked } from './mocked';

// Boards, saved funnels and alerts, against the mock.

const world = mocked();
const { go } = world;

const number = (text: string | null) => Number((text ?? '').replaceAll(/\D/g, ''));
const chart = (page: Page, title: string) =>
  page
    .getByTestId('board-chart')
    .filter({ has: page.getByRole('heading', { name: title, exact: true }) });
const titles = (page: Page) =>
  page.getByTestId('board-chart').getByRole('heading').allTextContents();
const menu = async (page: Page, title: string, item: string) => {
  await page.getByRole('button', { name: `Chart: ${title}` }).click();
  await page.getByRole('menuitem', { name: item }).click();
};
const charts = () =>
  (world.mock.stored('board', 'shop')?.spec.charts as {
    title: string;
    as?: string;
    width?: string;
  }[]) ?? [];

test('every mark of a board leads to its people', async () => {
  const page = await go('/boards');
  await page.getByRole('link', { name: /The shop at a glance/ }).click();
  const opened = async (n: number) => {
    await page.getByTestId('total').waitFor();
    expect(number(await page.getByTestId('total').textContent())).toBe(n);
    expect(page.url()).toContain('open=');
    await page.reload();
    await page.getByTestId('total').waitFor();
    expect(number(await page.getByTestId('total').textContent())).toBe(n);
    await accessible(page);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByTestId('total').waitFor({ state: 'detached' });
  };
  const stuck = chart(page, 'From the visit to the order').getByRole('button', {
    name: /^Stuck at level 2/,
  });
  const n = number(await stuck.locator('b').textContent());
  await stuck.click();
  await opened(n);
  const figure = chart(page, 'Buyers').getByTestId('figure');
  const buyers = number(await figure.textContent());
  await figure.click();
  await opened(buyers);
  const bar = chart(page, 'Engagement').getByRole('button', { name: /^Low/ });
  const low = number(await bar.locator('span').nth(1).textContent());
  await bar.click();
  await opened(low);
  const cell = chart(page, 'Countries').getByRole('button').filter({ hasText: /^\d/ }).first();
  const country = number(await cell.textContent());
  await cell.click();
  await opened(country);
});

test('a board is arranged, saved, and opened in Explore', async () => {
  const page = await go('/boards/shop');
  await chart(page, 'Orders').getByTestId('time-chart').waitFor();
  for (const width of [390, 768, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
  }
  await accessibleInBoth(page);
  await menu(page, 'Engagement', 'Move up');
  await menu(page, 'Orders', 'Half the width');
  await menu(page, 'Countries', 'Remove');
  await menu(page, 'Buyers', 'Rename …');
  await accessible(page);
  await page.getByRole('textbox', { name: 'Title' }).last().fill('Who bought');
  await page.getByRole('button', { name: 'Rename' }).click();
  await menu(page, 'Engagement', 'Show as number');
  await chart(page, 'Engagement').getByTestId('figure').waitFor();
  expect(await titles(page)).toEqual([
    'Orders',
    'Engagement',
    'From the visit to the order',
    'Who bought',
  ]);
  // nothing is stored before it is saved
  expect(charts().length).toBe(5);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('shop is saved.').waitFor();
  expect(charts().map((c) => [c.title, c.as, c.width])).toEqual([
    ['Orders', undefined, 'half'],
    ['Engagement', 'number', undefined],
    ['From the visit to the order', undefined, undefined],
    ['Who bought', undefined, undefined],
  ]);
  const said = await chart(page, 'From the visit to the order')
    .locator('[data-level="1"] b')
    .first()
    .textContent();
  await menu(page, 'From the visit to the order', 'Open in Explore');
  await page.getByRole('heading', { name: 'Explore', exact: true }).waitFor();
  await page.locator('[data-level="3"]').waitFor();
  expect(await page.locator('[data-level="1"] b').first().textContent()).toBe(said);
});

test('a board is written as text, with mistakes at their place', async () => {
  const page = await go('/boards/shop');
  await chart(page, 'Orders').getByTestId('time-chart').waitFor();
  await menu(page, 'Countries', 'Remove');
  await page.getByText('YAML', { exact: true }).click();
  const text = page.getByLabel('The board as YAML');
  const yaml = await text.inputValue();
  expect(yaml).toContain('title: From the visit to the order');
  expect(yaml).not.toContain('Countries');
  await accessibleInBoth(page);
  for (const width of [390, 768, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
  }
  const save = page.getByRole('button', { name: 'Save', exact: true });
  const charted = page.getByLabel('Charts', { exact: true });
  const line = (of: string, part: string) => of.split('\n').findIndex((l) => l.includes(part)) + 1;

  const wrong = yaml.replace('funnel: checkout', 'funnel: nope');
  await text.fill(wrong);
  const at = line(wrong, 'funnel: nope');
  await page.getByText(new RegExp(`^Line ${at}: charts\\[1\\].*does not exist`)).waitFor();
  await page.locator('[data-wrong]', { hasText: String(at) }).waitFor();
  await accessible(page);
  expect(await save.isDisabled()).toBe(true);
  expect(await charted.isDisabled()).toBe(true);

  for (const [bad, said] of [
    [`${yaml}\ntitle: again`, /^Line \d+: Map keys must be unique/],
    [yaml.replace(/charts:.*/s, 'charts: many'), /^Line \d+: The charts are a list/],
    [yaml.replace('title: The shop at a glance', 'title: [1]'), /^Line 3: The title is text/],
    [yaml.replace('name: shop', 'name: other'), /^Line 2: A saved board keeps its name, shop/],
  ] as const) {
    await text.fill(bad);
    await page.getByText(said).waitFor();
    expect(await save.isDisabled()).toBe(true);
    expect(await charted.isDisabled()).toBe(true);
  }

  await text.fill(yaml.replace('title: Orders', 'title: What was ordered'));
  await page.getByText('Charts', { exact: true }).click();
  await chart(page, 'What was ordered').getByTestId('time-chart').waitFor();
  await save.click();
  await page.getByText('shop is saved.').waitFor();
  expect(charts().map((c) => c.title)).toEqual([
    'What was ordered',
    'From the visit to the order',
    'Engagement',
    'Buyers',
  ]);
});

test('a new board begins as text, too', async () => {
  const page = await go('/new/board?as=yaml');
  await page
    .getByLabel('The board as YAML')
    .fill('name: fresh\ntitle: Fresh\ncharts:\n- title: All\n  query: {users: {}}\n');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('fresh is saved.').waitFor();
  await chart(page, 'All').getByTestId('figure').waitFor();
  expect(world.mock.stored('board', 'fresh')?.spec).toEqual({
    title: 'Fresh',
    charts: [{ title: 'All', query: { users: {} } }],
  });
});

test('while a newer answer is awaited, the last one stays', async () => {
  const page = await go('/boards/shop');
  const buyers = chart(page, 'Buyers');
  const said = await buyers.getByTestId('figure').textContent();
  const asked = world.mock.state.measured.length;
  world.mock.state.measureMs = () => 60_000;
  // they are asked again by themselves
  await expect.poll(() => world.mock.state.measured.length).toBeGreaterThan(asked);
  expect(await buyers.getByTestId('figure').textContent()).toBe(said);
  expect(await buyers.getByTestId('as-of').textContent()).toContain('refreshed every 5 s');
});

test('what somebody else did to a board is not overwritten unseen', async () => {
  const page = await go('/boards/shop');
  await menu(page, 'Countries', 'Remove');
  const theirs = { title: 'Theirs', charts: charts().slice(0, 2) };
  world.mock.save('board', 'shop', theirs);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByTestId('difference').getByText('title: Theirs').waitFor();
  await accessible(page);
  await page.getByRole('button', { name: 'Take theirs' }).click();
  await page.getByRole('heading', { name: 'Theirs', exact: true }).waitFor();
  expect((await titles(page)).length).toBe(2);
});

test('a chart of Explore comes onto a board, and onto a new one', async () => {
  const page = await go('/explore?by=device');
  await page.getByTestId('bars').waitFor();
  const add = async (board: string) => {
    await page.getByRole('button', { name: 'Add to a board' }).click();
    await page.getByLabel('Board', { exact: true }).selectOption({ label: board });
    await accessible(page);
    await page.getByRole('button', { name: 'Add', exact: true }).click();
  };
  await add('The shop at a glance');
  await page.getByText('The chart is on the board shop.').waitFor();
  expect(charts().at(-1)).toMatchObject({
    title: 'Users by device',
    query: { breakdown: { by: [{ dimension: 'device' }] } },
  });
  await add('A new board');
  await page.getByText('The chart is on the board my-board.').waitFor();
  await page.getByRole('link', { name: 'Boards' }).click();
  await page.getByRole('link', { name: /my-board/ }).click();
  await chart(page, 'Users by device').getByTestId('bars').waitFor();
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Delete the board' }).click();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByTestId('boards').waitFor();
  expect(world.mock.stored('board', 'my-board')).toBeUndefined();
});

test('a funnel is opened, changed, saved, and saved as another one', async () => {
  const page = await go('/explore?view=funnel');
  await page.getByRole('button', { name: 'Saved funnels' }).click();
  await page.getByRole('menuitem', { name: /^checkout/ }).click();
  await page.locator('[data-level="3"]').waitFor();
  await page.getByRole('button', { name: /^Window/ }).click();
  await page.getByRole('button', { name: '7 days' }).or(page.getByText('7 days')).first().click();
  await page.getByRole('button', { name: 'checkout (changed)' }).click();
  await page.getByRole('menuitem', { name: 'Save', exact: true }).click();
  await page.getByText('The funnel checkout is saved').waitFor();
  expect(world.mock.stored('funnel', 'checkout')?.spec).toMatchObject({
    window: '7d',
    description: 'From the visit to the order',
  });
  await page.getByRole('button', { name: 'checkout', exact: true }).click();
  await page.getByRole('menuitem', { name: 'Save as …' }).click();
  await accessible(page);
  await page.getByLabel('Name', { exact: true }).fill('second');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('The funnel second is saved').waitFor();
  expect(world.mock.stored('funnel', 'second')?.spec.steps).toHaveLength(3);
  expect(page.url()).toContain('second');
});

test('a trend and a funnel are split, and their parts lead to their people', async () => {
  const page = await go('/explore?view=funnel');
  await page.getByRole('button', { name: 'Saved funnels' }).click();
  await page.getByRole('menuitem', { name: /^checkout/ }).click();
  await page.getByRole('button', { name: 'Split: nothing' }).click();
  await page.getByRole('option', { name: 'Country' }).click();
  const cell = page.getByTestId('grid').getByRole('button').nth(1);
  await cell.waitFor();
  const n = number((await cell.locator('span').nth(1).textContent()) ?? '');
  await accessibleInBoth(page);
  await cell.click();
  await page.getByTestId('total').waitFor();
  expect(number(await page.getByTestId('total').textContent())).toBe(n);
  await page.getByRole('button', { name: 'Close' }).click();
  await page.getByRole('link', { name: 'Trend' }).click();
  await page.getByRole('button', { name: 'Split: nothing' }).click();
  await page.getByRole('option', { name: 'Device' }).click();
  const line = page.getByRole('list', { name: 'Lines' }).getByRole('button', { name: /Desktop/ });
  const total = number(await line.locator('b').textContent());
  await line.click();
  await page.getByTestId('total').waitFor();
  expect(number(await page.getByTestId('total').textContent())).toBe(total);
});

test('alerts stand on Home and in the header, and lead to where they are looked into', async () => {
  world.mock.state.alerts = true;
  const page = await go('/live');
  await page.getByTestId('alert-badge').click();
  await page.getByTestId('alerts').waitFor();
  expect(await page.getByTestId('alert-badge').textContent()).toBe('3');
  const failing = page.locator('[data-alert=destination_failing] a');
  expect(await failing.textContent()).toContain('connection refused');
  expect(await failing.getAttribute('href')).toBe('/channels/hook');
  await accessibleInBoth(page);
  for (const width of [390, 768, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
  }
  await page.locator('[data-alert=event_silent] a').click();
  await page.getByTestId('time-chart').waitFor();
  world.mock.state.alerts = false;
  await page.getByTestId('alert-badge').waitFor({ state: 'detached' });
});

test('what could not be looked at is said, with what to do about it', async () => {
  world.mock.state.alertNotes = [
    'Whether key events fell silent is not known: the facts are being repaired. It is looked at again by itself; Health says how analysis fares.',
  ];
  const page = await go('/');
  const note = page.locator('[data-alert=note] a');
  await note.waitFor();
  expect(await note.textContent()).toContain('is not known: the facts are being repaired');
  expect(await page.getByTestId('alert-badge').count()).toBe(0);
  await accessibleInBoth(page);
  await page.setViewportSize({ width: 390, height: 860 });
  await fits(page);
  await note.click();
  await page.getByRole('heading', { name: 'Settings', level: 1 }).waitFor();
  await page.getByRole('tab', { name: 'Health', selected: true }).waitFor();
});

test('tables are saved as files', async () => {
  const page = await go('/users');
  await page.getByTestId('users').waitFor();
  const [file] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'CSV' }).click(),
  ]);
  expect(file.suggestedFilename()).toBe('users.csv');
});
