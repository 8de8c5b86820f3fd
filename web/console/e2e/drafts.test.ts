import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { accessible, fits } from './browser';
import { mocked } from './mocked';

// What was typed and never saved is kept in the browser, against the mock.

const world = mocked();
const { go } = world;

const body = (page: Page) => page.getByRole('textbox', { name: 'Text', exact: true });
const unsaved = (page: Page) => page.getByTestId('unsaved');
const restore = (page: Page) =>
  unsaved(page).getByRole('button', { name: /^Restore your unsaved changes from \d\d:\d\d$/ });
/** What the browser keeps. */
const kept = (page: Page) =>
  page.evaluate(() =>
    Object.entries(localStorage)
      .filter(([key]) => key.startsWith('heed.draft/'))
      .map(([, text]) => text as string),
  );
const keeps = (page: Page, text: string) =>
  expect.poll(async () => (await kept(page)).join()).toContain(text);
const shownAgain = async (page: Page) => {
  await page.reload();
  await restore(page).click();
  await unsaved(page).waitFor({ state: 'detached' });
};

test('a template that was not saved outlives a reload, and is gone once it is saved', async () => {
  const page = await go('/templates/wow');
  const before = await body(page).inputValue();
  await body(page).fill('<p>mine</p>');
  await keeps(page, '<p>mine</p>');
  await page.reload();
  await unsaved(page).waitFor();
  expect(await body(page).inputValue()).toBe(before);
  await accessible(page);
  await page.setViewportSize({ width: 390, height: 860 });
  await fits(page);
  await page.setViewportSize({ width: 1280, height: 860 });
  await restore(page).click();
  expect(await body(page).inputValue()).toBe('<p>mine</p>');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'Saved' }).waitFor();
  expect(world.mock.stored('template', 'wow')?.spec).toMatchObject({ body: '<p>mine</p>' });
  await expect.poll(() => kept(page)).toEqual([]);
  await page.reload();
  await body(page).waitFor();
  expect(await unsaved(page).count()).toBe(0);
});

test('a tab that crashes loses nothing', async () => {
  const page = await go('/new/template?channel=outbox');
  await page.getByLabel('Name').fill('letter');
  await body(page).fill('Dear reader');
  await keeps(page, 'Dear reader');
  const crashed = page.waitForEvent('crash');
  await Promise.all([crashed, page.goto('chrome://crash').catch(() => {})]);
  const next = await page.context().newPage();
  await next.goto(`${world.mock.url}/new/template?channel=outbox`);
  await restore(next).click();
  expect(await body(next).inputValue()).toBe('Dear reader');
  expect(await next.getByLabel('Name').inputValue()).toBe('letter');
});

test('what somebody else saved meanwhile is shown beside what comes back', async () => {
  const page = await go('/templates/wow');
  await body(page).fill('<p>mine</p>');
  await keeps(page, '<p>mine</p>');
  world.mock.save('template', 'wow', { channel: 'web', as: 'popup', body: '<p>theirs</p>' });
  await page.reload();
  await expect.poll(() => body(page).inputValue()).toBe('<p>theirs</p>');
  await restore(page).click();
  await page.getByText(/saved version \d+ while you were editing/).waitFor();
  await page.getByRole('button', { name: 'See the difference' }).click();
  const difference = page.getByTestId('difference');
  await difference.getByText('<p>theirs</p>').waitFor();
  await difference.getByText('<p>mine</p>').waitFor();
  await page.getByRole('button', { name: 'Save mine over it' }).click();
  await expect
    .poll(() => world.mock.stored('template', 'wow')?.spec)
    .toMatchObject({ body: '<p>mine</p>' });
});

test('leaving keeps it, discarding does not, and untouched designs are no drafts', async () => {
  const page = await go('/new/template?starter=popup-offer');
  await body(page).waitFor();
  expect(await kept(page)).toEqual([]);
  await body(page).fill('<p>half</p>');
  await page.getByRole('link', { name: 'Outbox' }).click();
  await page.getByText('stays in this browser').waitFor();
  await page.getByRole('button', { name: 'Leave' }).click();
  await page.getByRole('heading', { name: 'Outbox' }).waitFor();
  await page.goto(`${world.mock.url}/new/template?channel=web`);
  await restore(page).waitFor();
  await unsaved(page).getByRole('button', { name: 'Discard them' }).click();
  await unsaved(page).waitFor({ state: 'detached' });
  await expect.poll(() => kept(page)).toEqual([]);
});

test('a text that cannot be read yet comes back as it is', async () => {
  const page = await go('/templates/wow?as=yaml');
  const yaml = page.getByLabel('The template as YAML').last();
  await yaml.fill('name: wow\nchannel: web\nas: 5\nbody: x');
  await page.getByText('Line 3: as is text').waitFor();
  await keeps(page, 'as: 5');
  await shownAgain(page);
  expect(await yaml.inputValue()).toContain('as: 5');
  await page.getByText('Line 3: as is text').waitFor();
});

test.each([
  '/triggers/three-wins',
  '/audiences/newcomers',
  '/campaigns/winners/edit',
  '/dimensions/engagement',
])('%s is kept, too', async (path) => {
  const page = await go(path);
  const description = page.getByLabel('Description', { exact: true });
  await description.fill('typed and not saved');
  await keeps(page, 'typed and not saved');
  await shownAgain(page);
  await expect.poll(() => description.inputValue()).toBe('typed and not saved');
});

test('a new campaign comes back with the trigger that was written in it', async () => {
  const page = await go('/new/campaign');
  const chip = (name: string | RegExp) => page.getByRole('button', { name });
  await page.getByRole('option', { name: /^win/ }).click();
  await chip(/^Event: win/).waitFor();
  await keeps(page, '"win"');
  await shownAgain(page);
  await chip(/^Event: win/).waitFor();
});

test('settings that were not saved outlive a reload', async () => {
  const page = await go('/settings/sending');
  await page.getByLabel('Quiet hours, by the user’s clock:').check();
  await page.getByLabel('Quiet from').fill('22:30');
  await keeps(page, '22:30');
  await shownAgain(page);
  expect(await page.getByLabel('Quiet from').inputValue()).toBe('22:30');
});

test('what may hold a password is not kept', async () => {
  const page = await go('/new/channel?type=sms');
  const yaml = page.getByLabel('The channel as YAML');
  await yaml.fill('name: texts\ntype: sms\nsmpp: {password: s3cret}');
  await page.waitForTimeout(600); // longer than anything is waited with
  expect(await kept(page)).toEqual([]);
});

test.each([
  ['/campaigns/winners/edit', 'campaign', 'winners'],
  ['/templates/wow', 'template', 'wow'],
])('%s is copied', async (path, kind, name) => {
  const page = await go(path);
  const button = (name: string) => page.getByRole('button', { name, exact: true });
  await button('More').click();
  await page.getByRole('menuitem', { name: 'Make a copy' }).click();
  await page.getByRole('heading', { name: `New ${kind}` }).waitFor();
  await page.getByLabel('Description', { exact: true }).fill('another one');
  await button(kind === 'campaign' ? 'Save as draft' : 'Save').click();
  await page.getByRole('heading', { name: `${name}-2` }).waitFor();
  const { description: _, ...spec } = world.mock.stored(kind, name)?.spec ?? {};
  expect(world.mock.stored(kind, `${name}-2`)?.spec).toEqual({
    ...spec,
    description: 'another one',
    ...(kind === 'campaign' ? { status: 'draft' } : {}),
  });
});
