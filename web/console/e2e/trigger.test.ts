import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { accessible, fits } from './browser';
import { mocked } from './mocked';

// Writing triggers, against the mock.

const world = mocked();
const { go } = world;

const figure = (page: Page) => page.getByTestId('backtest-figure');
const chip = (page: Page, name: string | RegExp) => page.getByRole('button', { name });

test('three wins in a row within ten minutes, in at most eight clicks', async () => {
  const page = await go('/triggers');
  let clicks = 0;
  const click = async (target: ReturnType<Page['locator']>) => {
    clicks++;
    await target.click();
  };
  await click(page.getByRole('link', { name: 'New trigger' }));
  // the picker is open
  await click(page.getByRole('option', { name: /^win/ }));
  await figure(page).getByText('2,400 times').waitFor();
  await click(chip(page, 'How often: once'));
  await click(chip(page, '3 times'));
  await figure(page).getByText('800 times').waitFor();
  await click(chip(page, 'in a row'));
  // and so is the one for what breaks the row
  await click(page.getByRole('option', { name: /^loss/ }));
  await figure(page).getByText('400 times').waitFor();
  await click(chip(page, 'Save'));
  await page.getByRole('heading', { name: 'win-3-in-a-row' }).waitFor();
  expect(clicks).toBeLessThanOrEqual(8);
  expect(world.mock.stored('trigger', 'win-3-in-a-row')?.spec).toEqual({
    pattern: [{ event: 'win', times: 3, consecutive: true }],
    within: '10m',
    scope: ['win', 'loss'],
  });
});

test('keys typed right after a list opened go into its search', async () => {
  const page = await go('/triggers');
  /** What has the focus at the moment when a list is there. */
  const focused = (how: string) =>
    page.evaluate(
      (button) =>
        new Promise((done) => {
          new MutationObserver((_, observer) => {
            const search = document.querySelector('[data-portal] input[placeholder^=Search]');
            if (!search) return;
            observer.disconnect();
            done(document.activeElement === search);
          }).observe(document.body, { childList: true, subtree: true });
          document.querySelector<HTMLElement>(button)?.click();
        }),
      how,
    );
  expect(await focused('main a[href="/new/trigger"]')).toBe(true); // it opens by itself
  await page.keyboard.press('Escape');
  await page.locator('button[aria-label^="Event:"]:focus').waitFor();
  expect(await focused('button[aria-label^="Event:"]')).toBe(true);
  await page.keyboard.type('lo');
  await page.getByRole('option', { name: /^win/ }).waitFor({ state: 'detached' });
  await page.getByRole('option', { name: /^loss/ }).click();
  await chip(page, 'Event: loss').waitFor();
});

test('the same by keyboard alone', async () => {
  const page = await go('/');
  await page.keyboard.press('Control+k');
  await page.getByPlaceholder('Search pages, campaigns and users').fill('new trig');
  await page.getByText('When a user does this').waitFor();
  await page.keyboard.press('Enter');
  await page.locator('input[placeholder^=Search]:focus').waitFor();
  await page.keyboard.type('poker_win');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  // focus comes back to the word
  await page.locator('button[aria-label="Event: poker_win"]:focus').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('button[aria-label="once"]:focus').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.locator('button[aria-label="How often: 3 times"]:focus').waitFor();
  await page.keyboard.press('Tab');
  await page.keyboard.press('Space');
  await page.getByRole('option', { name: /^loss/ }).waitFor();
  await page.locator('input[placeholder^=Search]:focus').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('option').first().waitFor({ state: 'detached' });
  expect(await chip(page, 'in a row').getAttribute('aria-pressed')).toBe('true');
  // it never came: the tag that sends it is at hand
  await chip(page, 'Tag to paste').click();
  await page.getByText('data-heed-event="poker_win"').waitFor();
});

test('an answer to what is no longer asked is cancelled and never shown', async () => {
  world.mock.state.backtestMs = 60_000;
  const page = await go('/triggers/three-wins');
  const rail = page.getByTestId('backtest');
  await figure(page).getByText('about').waitFor();
  expect(await rail.getAttribute('aria-busy')).toBe('true');
  await chip(page, 'How often: 3 times').click();
  world.mock.state.backtestMs = 1500;
  await chip(page, '10 times').click();
  await figure(page).getByText('about 240 times').waitFor();
  await expect.poll(() => world.mock.state.cancelled).toBe(1);
  await expect.poll(() => figure(page).getAttribute('data-exact')).toBe('true');
  await expect.poll(() => rail.getAttribute('aria-busy')).toBe('false');
  expect(await figure(page).textContent()).toContain('240 times');
  // a description changes nothing about the past
  const asked = world.mock.state.backtests.length;
  await page.getByLabel('Description').fill('Three of them');
  await page.waitForTimeout(500);
  expect(world.mock.state.backtests.length).toBe(asked);
});

test('the YAML twin: back and forth without loss, mistakes with their line', async () => {
  const before = world.mock.stored('trigger', 'everything')?.spec;
  const page = await go('/triggers/everything');
  await page.getByTestId('kept').getByText('from_the_future').waitFor();
  await page.getByText('YAML', { exact: true }).click();
  const text = page.getByLabel('The trigger as YAML');
  const yaml = await text.inputValue();
  expect(yaml).toContain('from_the_future');
  await text.fill(yaml.replace('within: 10m', 'within: 20m'));
  await page.getByText('Sentence', { exact: true }).click();
  await chip(page, 'Within: 20 min').waitFor();
  await chip(page, 'Save').click();
  await page.getByText('everything is saved').waitFor();
  expect(world.mock.stored('trigger', 'everything')?.spec).toEqual({ ...before, within: '20m' });

  await page.getByText('YAML', { exact: true }).click();
  await text.fill(`${yaml}\nwithin: 5m`);
  await page.getByText(/^Line \d+: Map keys must be unique/).waitFor();
  await accessible(page);
  expect(await page.getByLabel('Sentence', { exact: true }).isDisabled()).toBe(true);
  expect(await chip(page, 'Save').isDisabled()).toBe(true);
  await text.fill(yaml.replace('audience: vip', 'audience: nobody'));
  await page.getByText(/^Line \d+: audience: there is no audience nobody/).waitFor();
  await page.getByText('Sentence', { exact: true }).click();
  // at the place
  await page.getByTestId('rules').getByText('there is no audience nobody').waitFor();
  await page.getByText('Not while something is wrong with it').waitFor();
  await accessible(page);
});

test('what somebody saved meanwhile is shown, and either can be kept', async () => {
  const page = await go('/triggers/three-wins');
  await figure(page).waitFor();
  // nothing typed: theirs is simply taken over
  world.mock.save('trigger', 'three-wins', {
    pattern: [{ event: 'win', times: 2 }],
    within: '10m',
  });
  await chip(page, 'How often: 2 times').waitFor();
  await chip(page, 'Within: 10 min').click();
  await chip(page, '1 hour').click();
  world.mock.save('trigger', 'three-wins', {
    pattern: [{ event: 'win', times: 5 }],
    within: '10m',
  });
  await page.getByText('grace@example.com saved version 5').waitFor();
  await chip(page, 'See the difference').click();
  const difference = page.getByTestId('difference');
  await difference.getByText('− within: 10m').waitFor();
  await difference.getByText('+ within: 1h').waitFor();
  await accessible(page);
  await chip(page, 'Take theirs').click();
  await chip(page, 'How often: 5 times').waitFor();
  await chip(page, 'Saved').waitFor();
});

test('leaving with changes asks first', async () => {
  const page = await go('/triggers/three-wins');
  await chip(page, /^How often/).click();
  await chip(page, '2 times').click();
  await page.getByRole('link', { name: 'Live', exact: true }).click();
  await page.getByText('Leave without saving?').waitFor();
  await accessible(page);
  await chip(page, 'Stay').last().click();
  await chip(page, 'How often: 2 times').waitFor();
  await page.getByRole('link', { name: 'Live', exact: true }).click();
  await chip(page, 'Leave').click();
  await page.getByRole('heading', { name: 'Live', exact: true }).waitFor();
});

test('a condition takes the type that its property has', async () => {
  const page = await go('/new/trigger?event=win');
  await chip(page, 'Event: win').waitFor();
  await page.keyboard.press('Escape');
  await chip(page, 'Add to step 1').click();
  await page.getByRole('menuitem', { name: /only where/ }).click();
  await page.getByRole('combobox', { name: 'Property' }).fill('properties.price');
  await page.getByLabel('Comparison').selectOption('gte');
  await page.getByRole('textbox', { name: 'Value', exact: true }).fill('25');
  await accessible(page);
  await fits(page);
  await chip(page, 'Done').click();
  await chip(page, 'Condition: price is at least 25').waitFor();
  await chip(page, 'Save').click();
  await page.getByRole('heading', { name: 'win', exact: true }).waitFor();
  expect(world.mock.stored('trigger', 'win')?.spec.pattern).toEqual([
    { event: 'win', where: { all: [{ field: 'properties.price', op: 'gte', value: 25 }] } },
  ]);
});

test('a key event is named, and its tag comes back', async () => {
  const page = await go('/data/events', 390);
  await chip(page, 'New key event').click();
  await page.getByLabel('Name').fill('poker win');
  await page.getByText('1 to 64 letters').waitFor();
  await accessible(page);
  await page.getByLabel('Name').fill('poker_win');
  await chip(page, 'Make it, and show its tag').click();
  const details = page.getByTestId('event-details');
  await details.getByText('data-heed-event="poker_win"').waitFor();
  await details.getByText('A page opens').click();
  await details.getByText('["track", "poker_win"]').waitFor();
  expect(await details.getByTestId('origins').textContent()).toContain('https://shop.example');
  expect(world.mock.stored('event', 'poker_win')?.spec).toEqual({ key: true });
  await fits(page);
  await accessible(page);
});
