import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { mocked } from './mocked';

// Grouping users, against the mock.

const world = mocked();
const { go } = world;

const counts = (page: Page): Promise<number[]> =>
  page
    .getByTestId('bucket')
    .evaluateAll((rows) =>
      rows.map((row) => Number(row.querySelector('span[title$="%"]')?.textContent)),
    );

test('counts change while buckets are edited, and what is built in is saved as a definition', async () => {
  const page = await go('/data/traits');
  await page.getByRole('link', { name: /^Engagement/ }).click();
  await page.getByTestId('histogram').waitFor();
  await page.getByTestId('buckets').getByText('308').waitFor();
  const before = await counts(page);
  expect(before).toEqual([308, 319, 277, 39]);
  await page.getByLabel('low: to under').fill('3');
  // while they are asked for again there is no number
  await expect.poll(async () => (await counts(page))[0]).toBeGreaterThan(308);
  const [low = 0, medium = 0] = await counts(page);
  expect(low + medium).toBe(308 + 319);
  await page.getByText('medium overlaps low').waitFor();
  await page.getByLabel('medium: from').fill('3');
  await page.getByText('medium overlaps low').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('engagement is saved.').waitFor();
  expect(world.mock.stored('dimension', 'engagement')?.spec.buckets).toEqual([
    { name: 'low', from: 1, below: 3 },
    { name: 'medium', from: 3, below: 5 },
    { name: 'medium-high', from: 5, below: 10 },
    { name: 'high', from: 10 },
  ]);
  // now it can go back
  await page.getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Go back to what is built in' }).click();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByTestId('dimensions').getByText('Built in').nth(4).waitFor();
  expect(world.mock.stored('dimension', 'engagement')).toBeUndefined();
});

test('a trait becomes a dimension', async () => {
  const page = await go('/data/traits');
  await page.getByRole('button', { name: /^spent/ }).click();
  await page.getByRole('link', { name: 'Make a dimension of it' }).click();
  await page.getByTestId('histogram').waitFor();
  await page.getByRole('button', { name: 'Add a bucket' }).click();
  await page.getByLabel('bucket-1: to under').fill('100');
  await page.getByLabel('Name of bucket 1').fill('little');
  await page.getByRole('button', { name: 'Add a bucket' }).click();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('trait-spent is saved.').waitFor();
  expect(world.mock.stored('dimension', 'trait-spent')?.spec).toEqual({
    field: 'traits.spent',
    buckets: [
      { name: 'little', from: 0, below: 100 },
      { name: 'bucket-2', from: 100 },
    ],
  });
  await page.getByRole('heading', { name: 'Trait spent' }).waitFor();
});

test('somebody else’s version is not overwritten unseen', async () => {
  const page = await go('/dimensions/spending');
  await page.getByLabel('Description').fill('Mine');
  world.mock.save('dimension', 'spending', { description: 'Theirs', field: 'traits.spent' });
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByTestId('difference').getByText('description: Theirs').waitFor();
  await page.getByRole('button', { name: 'Take theirs' }).click();
  await page.getByTestId('difference').waitFor({ state: 'detached' });
  expect(await page.getByLabel('Description').inputValue()).toBe('Theirs');
});

test('the same as YAML, with its mistakes', async () => {
  const page = await go('/dimensions/spending?as=yaml');
  const text = page.getByLabel('The dimension as YAML');
  await text.fill('name: spending\nbuckets: 5');
  await page.getByText('Line 2: buckets is a list').waitFor();
  await text.fill('kind: trigger\nname: spending\nfield: traits.spent\n');
  await page.getByText('This page edits a dimension').waitFor();
  await text.fill('kind: dimension\nname: spending\nfield: traits.plan\n');
  await page.getByTestId('bars').getByText('free').waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('spending is saved.').waitFor();
  expect(world.mock.stored('dimension', 'spending')?.spec).toEqual({ field: 'traits.plan' });
});

test('leaving asks before typed things are lost', async () => {
  const page = await go('/dimensions/spending');
  await page.getByLabel('Description').fill('Mine');
  await page.getByRole('link', { name: 'Live', exact: true }).click();
  await page.getByText('Leave without saving?').waitFor();
  await page.getByRole('button', { name: 'Stay' }).last().click();
  expect(await page.getByLabel('Description').inputValue()).toBe('Mine');
});
