import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { accessible, accessibleInBoth, fits } from './browser';
import { mocked } from './mocked';

// Writing campaigns, against the mock.

const world = mocked();
const { go } = world;

const button = (page: Page, name: string | RegExp) =>
  page.getByRole('button', { name, exact: typeof name === 'string' });

test('an existing trigger, an audience, two contents, limits and a goal', async () => {
  const page = await go('/new/campaign?trigger=three-wins');
  await page.getByTestId('backtest-figure').waitFor();
  await button(page, /^Audience:/).click();
  await page.getByRole('option', { name: /^vip/ }).click();
  await page.keyboard.press('Escape');
  await button(page, /^Template:/).click();
  await accessible(page);
  await page.getByRole('option', { name: /^wow/ }).click();
  await button(page, 'Another content to compare').click();
  await page
    .getByTestId('what')
    .getByRole('button', { name: /^Template:/ })
    .nth(1)
    .click();
  await page.getByRole('option').last().click();
  await page.getByLabel('Weight').first().fill('3');
  await page.getByText('75 % of the users').waitFor();
  await button(page, 'at most').click();
  await button(page, 'its goal:').click();
  await page.getByRole('option', { name: /^purchase/ }).click();
  await page.getByLabel('Held back, in percent').fill('20');
  await page.getByLabel('Name', { exact: true }).fill('for-winners');
  await accessibleInBoth(page);
  for (const width of [390, 768, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
  }
  await button(page, 'Save as draft').click();
  await page.getByText('for-winners is saved.').waitFor();
  expect(world.mock.stored('campaign', 'for-winners')?.spec).toMatchObject({
    when: { trigger: 'three-wins' },
    who: ['vip'],
    what: [{ channel: 'web', template: 'wow', weight: 3 }, { channel: 'web' }],
    limits: { cap: { count: 1, per: '24h' }, holdout: '20%' },
    goal: { event: 'purchase', within: '3d' },
    status: 'draft',
  });
});

test('a trigger that is written with it is saved with it, once', async () => {
  const page = await go('/new/campaign');
  // the picker is open; how often is typed
  await page.getByRole('option', { name: /^win/ }).click();
  await page.keyboard.press('3');
  await button(page, 'How often: 3 times').waitFor();
  await button(page, /^Template:/).click();
  await page.getByRole('option', { name: /^wow/ }).click();
  await button(page, 'Review').click();
  const review = page.getByTestId('review');
  await review.getByText(/win 3 times/i).waitFor();
  await accessible(page);
  await button(page, 'Launch').click();
  await page.getByRole('heading', { name: /^wow-win-3-times/ }).waitFor();
  expect(world.mock.stored('trigger', 'win-3-times')?.spec).toEqual({
    pattern: [{ event: 'win', times: 3 }],
    within: '10m',
  });
  expect(world.mock.stored('campaign', 'wow-win-3-times')?.spec).toMatchObject({
    when: { trigger: 'win-3-times' },
    status: 'live',
  });
});

test('what is drafted is tried on oneself', async () => {
  const page = await go('/new/campaign?trigger=three-wins');
  expect(await button(page, 'Test on me').isDisabled()).toBe(true);
  await button(page, /^Template:/).click();
  await page.getByRole('option', { name: /^wow/ }).click();
  await page.getByLabel('On', { exact: true }).fill('ada');
  await button(page, 'Test on me').click();
  const seen = page.getByRole('dialog', { name: 'What is shown to ada' });
  await seen.locator('iframe').waitFor();
  await accessible(page);
  await page.keyboard.press('Escape');
  await page.getByTestId('tried').getByText('It counts nowhere').waitFor();
  await page.getByText('profile.traits.firstName').waitFor();
  expect(world.mock.state.trials).toMatchObject([
    {
      user: 'ada',
      event: 'win',
      documents: [{ kind: 'campaign', when: { trigger: 'three-wins' } }],
    },
  ]);
  // a mistake in the template is told in words
  world.mock.state.refused = 'The template failed or did too much while it was rendered.';
  await button(page, 'Test on me').click();
  await page
    .getByTestId('tried')
    .getByText(/^Not sent: The template failed/)
    .waitFor();
});

test('an audience that is entered starts it; the same as YAML', async () => {
  const page = await go('/new/campaign');
  await page.keyboard.press('Escape');
  await page.getByText('An audience', { exact: true }).click();
  await page.getByRole('option', { name: /^vip/ }).click();
  await button(page, /^Template:/).click();
  await page.getByRole('option', { name: /^wow/ }).click();
  await page.getByText('YAML', { exact: true }).click();
  const text = page.getByLabel('The campaign as YAML');
  expect(await text.inputValue()).toContain('audience: vip');
  // a line that is being written takes nothing away
  await text.fill('kind: campaign\nwhen:\nwhat:\nlimits:');
  await text.fill('kind: campaign\nwhat:\n-');
  await page.getByText('Line 3: what[0] is a map').waitFor();
  await text.fill(
    'kind: campaign\nname: by-hand\nwhen: {audience: vip, on: leave}\nwhat:\n  - {channel: web, template: wow}\nstatus: draft\n',
  );
  await page.getByText('Sentence', { exact: true }).click();
  await button(page, 'Way: leaves').waitFor();
  await button(page, 'Save as draft').click();
  await page.getByText('by-hand is saved.').waitFor();
  expect(world.mock.stored('campaign', 'by-hand')?.spec).toEqual({
    when: { audience: 'vip', on: 'leave' },
    what: [{ channel: 'web', template: 'wow' }],
    status: 'draft',
  });
});

test('one that exists is changed, unless somebody else was faster', async () => {
  const page = await go('/campaigns/winners');
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByLabel('Description').fill('Mine');
  world.mock.save('campaign', 'winners', {
    ...world.mock.stored('campaign', 'winners')?.spec,
    description: 'Theirs',
  });
  await button(page, 'Save').click();
  await page.getByTestId('difference').getByText('description: Theirs').waitFor();
  await accessible(page);
  await button(page, 'Save mine over it').click();
  await page.getByText('winners is saved.').waitFor();
  expect(world.mock.stored('campaign', 'winners')?.spec.description).toBe('Mine');
});

test('a channel is set up as YAML, saved, and tried', async () => {
  const page = await go('/settings?tab=channels');
  await button(page, 'New channel').click();
  await accessible(page);
  await page.getByRole('menuitem', { name: 'Webhook' }).click();
  const text = page.getByLabel('The channel as YAML');
  expect(await text.inputValue()).toContain('https://crm.example/heed');
  expect(await button(page, 'Test on me').isDisabled()).toBe(true);
  await text.fill('kind: channel\nname: crm\ntype: webhook\nurl: https://crm.example/in\n');
  await button(page, 'Save').click();
  await page.getByText('crm is saved.').waitFor();
  expect(world.mock.stored('channel', 'crm')?.spec).toEqual({
    type: 'webhook',
    url: 'https://crm.example/in',
  });
  await button(page, 'Test on me').click();
  await page.getByTestId('tried').waitFor();
  expect(world.mock.state.trials).toMatchObject([
    { documents: [{ kind: 'campaign', what: [{ channel: 'crm' }] }, { kind: 'template' }] },
  ]);
});

test('a campaign writes to Kafka without a template, or by one', async () => {
  let page = await go('/new/channel?type=kafka');
  const text = page.getByLabel('The channel as YAML');
  expect(await text.inputValue()).toContain('kafka-1.example:9093');
  await accessibleInBoth(page);
  await text.fill(
    'kind: channel\nname: warehouse\ntype: kafka\nkafka: {brokers: ["k1.example:9092"]}\ntopic: deliveries\n',
  );
  await button(page, 'Save').click();
  await page.getByText('warehouse is saved.').waitFor();
  page = await go('/new/campaign?trigger=three-wins');
  await page.getByText('Warehouse', { exact: true }).click();
  await button(page, 'Template: its usual document').waitFor();
  await page.getByText('Who, which campaign and event, as JSON').waitFor();
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
  }
  await accessibleInBoth(page);
  await page.getByLabel('Name', { exact: true }).fill('to-warehouse');
  await button(page, 'Save as draft').click();
  await page.getByText('to-warehouse is saved.').waitFor();
  const what = () => world.mock.stored('campaign', 'to-warehouse')?.spec.what;
  expect(what()).toEqual([{ channel: 'warehouse', template: '' }]);
  await page.getByText('Its usual document by warehouse').waitFor();
  page = await go('/new/template?channel=warehouse');
  await page.getByLabel('Document').waitFor();
});

test('an analyst reads it, and changes nothing', async () => {
  world.mock.state.role = 'analyst';
  const page = await go('/campaigns/winners/edit');
  await page.getByText('Your role cannot change campaigns.').waitFor();
  expect(await button(page, 'Another content to compare').count()).toBe(0);
});
