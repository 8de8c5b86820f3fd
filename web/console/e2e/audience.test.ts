import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { mocked } from './mocked';

// Writing audiences, against the mock.

const world = mocked();
const { go } = world;

const size = async (page: Page) =>
  Number((await page.getByTestId('size').textContent())?.replaceAll(',', ''));
const chip = (page: Page, name: string | RegExp) => page.getByRole('button', { name, exact: true });

/** The size, once it is another one and is not being asked for any more. */
async function sizeAfter(page: Page, old: number): Promise<number> {
  const preview = page.locator('[data-testid=preview][aria-busy=false]');
  const read = async () =>
    (await preview.getByTestId('size').count()) > 0 ? size(page) : Number.NaN;
  await expect
    .poll(async () => ![old, Number.NaN].includes(await read()) && (await preview.count()) > 0)
    .toBe(true);
  return size(page);
}

test('an audience in sentences, its size as it is written', async () => {
  const page = await go('/audiences');
  await page.getByRole('link', { name: 'New audience' }).click();
  expect(await size(page)).toBe(1248);
  await chip(page, 'a condition').click();
  await page.getByRole('menuitem', { name: /Did, or did not/ }).click();
  // the picker is open
  await page.getByRole('option', { name: /^purchase/ }).click();
  const buyers = await sizeAfter(page, 1248);
  await chip(page, 'another condition').click();
  await page.getByRole('menuitem', { name: /A trait/ }).click();
  await page.getByRole('combobox', { name: 'Property' }).fill('traits.vip');
  await page.getByRole('combobox', { name: 'Value' }).selectOption('true');
  await page.getByRole('button', { name: 'Done' }).click();
  const both = await sizeAfter(page, buyers);
  expect(both).toBeLessThan(buyers);
  await chip(page, 'Join: all').click();
  await page.getByRole('menuitem', { name: 'any' }).click();
  expect(await sizeAfter(page, both)).toBeGreaterThan(buyers);
  await page.getByLabel('Name', { exact: true }).fill('buyers-or-vips');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('buyers-or-vips is saved.').waitFor();
  expect(world.mock.stored('audience', 'buyers-or-vips')?.spec).toEqual({
    any: [
      { did: { event: 'purchase', during: { last: '28d' } } },
      { where: { all: [{ field: 'traits.vip', op: 'eq', value: true }] } },
    ],
  });
  await page.getByRole('heading', { name: 'buyers-or-vips' }).waitFor();
  await page.getByTestId('changes').getByText('entered').first().waitFor();
});

test('three starters with counts, where there is none', async () => {
  world.mock.state.empty = true;
  world.mock.reset();
  world.mock.state.empty = false;
  const page = await go('/audiences');
  const starters = page.getByTestId('starters').getByRole('link');
  await starters
    .nth(2)
    .getByText(/^\d+ users$/)
    .waitFor();
  const counts = await starters.evaluateAll((all) =>
    all.map((a) => a.lastElementChild?.textContent),
  );
  expect(counts).toEqual(['541 users', '305 users', '316 users']);
  await starters.nth(2).click();
  await page.getByTestId('size').getByText('316').waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('most-engaged is saved.').waitFor();
});

test('what has no words is kept, and what is edited beside it too', async () => {
  const page = await go('/audiences/nearly');
  const before = world.mock.stored('audience', 'nearly')?.spec as { all: unknown[] };
  await page.getByTestId('kept').getByText('session:').waitFor();
  await page.getByRole('button', { name: /^When: in the last 90 days/ }).click();
  await page.getByRole('button', { name: '28 days', exact: true }).click();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('nearly is saved.').waitFor();
  const after = world.mock.stored('audience', 'nearly')?.spec as { all: unknown[] };
  expect(after.all[1]).toMatchObject({ did: { event: 'product_view', during: { last: '28d' } } });
  expect(after.all.toSpliced(1, 1)).toEqual(before.all.toSpliced(1, 1));
});

test('those of now, frozen', async () => {
  const page = await go('/audiences/vip');
  await page.getByText('Frozen', { exact: true }).click();
  await page.getByText(/^Those who fit at/).waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('vip is saved.').waitFor();
  expect(world.mock.stored('audience', 'vip')?.spec.frozen).toMatch(/^\d{4}-\d\d-\d\dT/);
});

test('an analyst reads it, and changes nothing', async () => {
  world.mock.state.role = 'analyst';
  const page = await go('/audiences/vip');
  await page.getByText('Your role cannot change audiences.').waitFor();
  expect(await page.getByRole('button', { name: 'another condition' }).count()).toBe(0);
  expect(await page.getByRole('button', { name: /^Saved?$/ }).isDisabled()).toBe(true);
});
