import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { accessible, fits } from './browser';
import { mocked } from './mocked';

// Writing templates, against the mock.

const world = mocked();
const { go } = world;

const chip = (page: Page, name: string | RegExp) => page.getByRole('button', { name });
const body = (page: Page) => page.getByRole('textbox', { name: 'Text', exact: true });
const preview = (page: Page) => page.frameLocator('aside iframe');

test('a pop-up begins with a design, is said in two languages and saved', async () => {
  const page = await go('/templates');
  await page.getByRole('link', { name: 'New template' }).click();
  await page
    .getByTestId('starters')
    .getByRole('button', { name: /Popup offer/ })
    .click();
  await preview(page).getByText('Hello, this one is for you').waitFor();
  await body(page).fill('<p>Hi {{ profile.traits.firstName | default: "you" }}</p>');
  await preview(page).getByText('Hi you').waitFor();
  await chip(page, 'Another language: + Another language').click();
  await page.keyboard.type('de-at');
  await page.getByRole('option', { name: 'Readers of Austrian German' }).click();
  await body(page).fill('<p>Servus {{ profile.traits.firstName }}</p>');
  await page.getByTestId('missing').getByText('profile.traits.firstName').waitFor();
  await page.getByRole('combobox', { name: 'As this user reads it' }).fill('ada');
  await preview(page).getByText('Servus Ada').waitFor();
  expect(await page.getByTestId('missing').count()).toBe(0);
  // the text for everybody is shown again with its words
  await page.getByText('Everybody else', { exact: true }).click();
  await preview(page).getByText('Hi Ada').waitFor();
  await accessible(page);
  await page.setViewportSize({ width: 390, height: 860 });
  await fits(page);
  await chip(page, 'Save').click();
  await page.getByRole('heading', { name: 'popup-offer' }).waitFor();
  expect(world.mock.stored('template', 'popup-offer')?.spec).toEqual({
    description: 'One thing to have, in large, and one button',
    channel: 'web',
    as: 'popup',
    expires: '5m',
    locale: 'en',
    body: '<p>Hi {{ profile.traits.firstName | default: "you" }}</p>',
    locales: { 'de-AT': { body: '<p>Servus {{ profile.traits.firstName }}</p>' } },
  });
});

test('a mistake is shown at its place, in the form and in the YAML', async () => {
  const page = await go('/new/template?channel=outbox');
  await body(page).fill('<p>\n{{ profile.id\n</p>');
  await page.getByText('line 2: {{ is not closed').waitFor();
  await expect.poll(() => page.locator('[data-wrong]').allTextContents()).toEqual(['2']);
  await page.getByText('YAML', { exact: true }).click();
  await page.getByText(/body: line 2/).waitFor();
  await accessible(page);
});

test('what cannot be a template is said in the YAML, and its text stays', async () => {
  const page = await go('/templates/wow?as=yaml');
  const yaml = page.getByLabel('The template as YAML').last();
  await yaml.fill('name: wow\nchannel: web\nas: 5\nbody: x');
  await page.getByText('Line 3: as is text').waitFor();
  await yaml.fill('name: wow\nchannel: web\nas: popup\nbody: {a: 1}');
  await page.getByText('Line 4: body is text').waitFor();
  await yaml.fill('name: wow\nchannel:\nas:\nbody: x\nlocales:');
  await page.getByText('Form', { exact: true }).click();
  expect(await body(page).inputValue()).toBe('x');
});

test('the segments of a text message are counted as it is written', async () => {
  const page = await go('/new/template?channel=outbox');
  await chip(page, 'Shown as: a message').click();
  await page.getByRole('option', { name: 'a text message' }).click();
  await body(page).fill('Hello!');
  await page.getByText('1 segment · 6 of 160 characters').waitFor();
  await body(page).fill('x'.repeat(161));
  await page.getByText(/^2 segments/).waitFor();
});

test('what somebody else saved meanwhile is shown before anything is lost', async () => {
  const page = await go('/templates/wow');
  await body(page).fill('<p>mine</p>');
  world.mock.save('template', 'wow', { channel: 'web', as: 'popup', body: '<p>theirs</p>' });
  await page.getByRole('button', { name: 'See the difference' }).click();
  await page.getByRole('dialog').getByText('<p>theirs</p>').waitFor();
  await page.getByRole('button', { name: 'Take theirs' }).click();
  await expect.poll(() => body(page).inputValue()).toBe('<p>theirs</p>');
  // and leaving with something unsaved asks
  await body(page).fill('<p>mine again</p>');
  await page.getByRole('link', { name: 'Outbox' }).click();
  await page.getByRole('dialog', { name: 'Leave without saving?' }).waitFor();
});

test('every design fits a phone, light and dark', async () => {
  const page = await go('/new/template', 390);
  const tiles = page.getByTestId('starters').getByRole('button');
  await tiles.first().waitFor();
  const names = await tiles.locator('b').allTextContents();
  expect(names.length).toBeGreaterThanOrEqual(8);
  for (const name of names) {
    await page.getByTestId('starters').getByRole('button', { name }).click();
    const shown = preview(page).locator('body > :not(style)').last();
    await shown.waitFor();
    expect(
      await shown.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
      name,
    ).toBe(0);
    const colours = () =>
      preview(page)
        .locator('body')
        .evaluate((body) =>
          [body, ...body.querySelectorAll('*')].map((e) => getComputedStyle(e).backgroundColor),
        );
    const light = await colours();
    await page.getByText('Dark', { exact: true }).click();
    await expect.poll(colours, { message: name }).not.toEqual(light);
    await page.goto(`${world.mock.url}/new/template`);
  }
});
