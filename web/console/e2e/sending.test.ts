import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { accessibleInBoth, fits } from './browser';
import { mocked } from './mocked';

// each of them looks at several widths in both colours
const slow = 180_000;

// Schedules, limits, launching, and the switch over everything, against the mock.

const world = mocked();
const { go } = world;

async function presentable(page: Page): Promise<void> {
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
    await accessibleInBoth(page);
  }
}

test('a scheduled campaign with its limits, from the editor to the list', {
  timeout: slow,
}, async () => {
  const page = await go('/new/campaign');
  await page.keyboard.press('Escape'); // the picker of an event is open
  await page.getByText('A schedule', { exact: true }).click();
  await page.getByRole('button', { name: 'Schedule: every day at 09:00' }).click();
  await page.getByRole('button', { name: 'on weekdays at 09:00' }).click();
  await page.getByLabel('Time zone').fill('Europe/Berlin');
  await presentable(page);
  await page.keyboard.press('Enter');
  await page.getByText('by the clock of Europe/Berlin').waitFor();
  await page.getByRole('button', { name: 'not at once' }).click();
  await page.getByRole('button', { name: 'Delay: 30 min' }).waitFor();
  await page.getByRole('button', { name: 'Purpose: marketing' }).click();
  await page.getByRole('menuitem', { name: 'transactional' }).click();
  await page.getByText('it needs no consent').waitFor();
  await page.getByRole('button', { name: /^Template/ }).click();
  await page.getByRole('option').first().click();
  await page.getByRole('button', { name: 'once, ever', pressed: true }).click();
  await page.getByRole('button', { name: 'Quiet hours: as in the settings' }).click();
  await page.getByLabel('From', { exact: true }).fill('22:00');
  await presentable(page);
  await page.getByLabel('From', { exact: true }).press('Enter');
  await page.getByRole('button', { name: 'Quiet hours: 22:00 to 08:00' }).waitFor();
  await page.getByLabel('Name', { exact: true }).fill('weekdays');
  await page.getByRole('button', { name: 'Review' }).click();
  await page.getByTestId('review').getByText('22:00 to 08:00').waitFor();
  await presentable(page);
  await page.getByRole('button', { name: 'Launch', exact: true }).click();
  await page.getByText('weekdays is saved.').waitFor();
  expect(world.mock.stored('campaign', 'weekdays')?.spec).toMatchObject({
    when: { schedule: '0 9 * * 1-5', zone: 'Europe/Berlin' },
    delay: '30m',
    purpose: 'transactional',
    limits: { once: false, quiet: { from: '22:00', to: '08:00' } },
    status: 'live',
  });
  // its page says what was decided, and the list when it runs
  await page.getByText('Next run').waitFor();
  await presentable(page);
  await page.getByRole('link', { name: 'All campaigns' }).click();
  await page.getByTestId('next-run').waitFor();
  await presentable(page);
});

test('launching on an audience includes who is in it already only if somebody says so', {
  timeout: slow,
}, async () => {
  const spec = {
    when: { audience: 'vip' },
    what: [{ channel: 'web', template: 'wow' }],
    status: 'draft',
  };
  for (const name of ['winners', 'left-cart']) world.mock.save('campaign', name, spec);
  let page = await go('/campaigns/winners');
  await page.getByRole('button', { name: 'Launch' }).click();
  await page.getByText('3,412 users are in it already').waitFor();
  await presentable(page);
  await page.getByRole('dialog').getByRole('button', { name: 'Launch', exact: true }).click();
  await page.getByText('winners is live now.').waitFor();
  expect(world.mock.state.included).toEqual([]);

  page = await go('/campaigns/left-cart');
  await page.getByRole('button', { name: 'Launch' }).click();
  await page.getByRole('button', { name: /^Launch, and include/ }).click();
  await page.getByText('It is started for 3,412 users, too.').waitFor();

  world.mock.save('campaign', 'winners', spec);
  page = await go('/campaigns/winners/edit');
  await page.getByRole('button', { name: 'Review' }).click();
  await page.getByLabel(/^Include the \d+ already in vip/).check();
  await presentable(page);
  await page.getByRole('button', { name: 'Launch', exact: true }).click();
  await page.getByText('It is started for 3,412 users, too.').waitFor();
  expect(world.mock.state.included.map(([name]) => name)).toEqual(['left-cart', 'winners']);
});

test('all sending is stopped after a question, which everybody sees, and goes on', {
  timeout: slow,
}, async () => {
  const page = await go('/live');
  await page.getByRole('button', { name: 'Stop all sending' }).click();
  await page.getByText(/Within a second nothing leaves/).waitFor();
  await presentable(page);
  await page.getByRole('button', { name: 'Keep sending' }).click();
  expect(world.mock.state.sending.stopped).toBe(false);
  await page.getByRole('button', { name: 'Stop all sending' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop all sending' }).click();
  await page.getByText('All sending is stopped.').waitFor();
  expect(world.mock.state.sending.stopped).toBe(true);
  const stopped = page.getByRole('button', { name: 'Sending is stopped: go on' });
  await stopped.waitFor();
  await presentable(page);
  // another console learns of it by itself
  world.mock.state.sending = { stopped: false };
  await page.getByRole('button', { name: 'Stop all sending' }).waitFor();
  await page.getByRole('button', { name: 'Stop all sending' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop all sending' }).click();
  await stopped.click();
  await page.getByText(/^ada@example\.com stopped it \(\d\d:\d\d:\d\d\)\. What waited/).waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Go on sending' }).click();
  await page.getByText('Sending goes on.').waitFor();
  expect(world.mock.state.sending.stopped).toBe(false);
});

const store = (path: string, spec: object) =>
  fetch(`${world.mock.url}/api/v1/definitions/${path}`, {
    method: 'PUT',
    headers: { 'If-None-Match': '*', 'Content-Type': 'application/json' },
    body: JSON.stringify(spec),
  });

test('what a local channel sent is in the Outbox, and is as much as the review said', async () => {
  await store('channel/local-sms', { type: 'sms', local: true });
  const page = await go('/explore');
  await page.locator('[data-bar] button:last-child').last().click();
  const composer = page.getByTestId('composer');
  await composer.getByText('Local-sms', { exact: true }).click();
  await composer.getByRole('textbox', { name: 'Text' }).fill('Come back');
  await composer.getByRole('button', { name: 'Review' }).click();
  const matched = await composer.getByTestId('matched').textContent();
  const sending = await composer.getByTestId('sending').textContent();
  expect(sending).not.toBe(matched); // a tenth is held back
  await composer.getByRole('button', { name: /^Send to/ }).click();
  const sent = page.getByTestId('sent');
  await sent.getByText(`It is on its way to ${sending} users of ${matched}`).waitFor();
  await sent.getByRole('link', { name: 'Outbox' }).click();
  await page.waitForURL(/\/outbox$/);
});

test('what was sent once is over, and says so', async () => {
  world.mock.save('campaign', 'winners', {
    when: { once: 'order-1' },
    what: [{ channel: 'web', template: 'wow' }],
    status: 'live',
  });
  const page = await go('/campaigns');
  const row = page.getByRole('link', { name: /^winners/ });
  await row.getByText('Sent once', { exact: true }).waitFor();
  await row.click();
  await page.locator('h1').getByText('Sent once', { exact: true }).waitFor();
});

test('on a phone all ways to start can be reached, and the mark is on the chosen one', async () => {
  const page = await go('/new/campaign', 390);
  await page.keyboard.press('Escape'); // the picker of an event is open
  const choices = page.getByRole('radiogroup', { name: 'What starts it' });
  const last = choices.getByText('A schedule', { exact: true });
  await last.scrollIntoViewIfNeeded();
  await last.click();
  await page.getByRole('button', { name: 'Schedule: every day at 09:00' }).waitFor();
  // what is chosen stands on its mark, wherever the row was scrolled to
  await expect
    .poll(async () => {
      const box = await last.boundingBox();
      const mark = await choices.locator('[class*=indicator]').boundingBox();
      if (!box || !mark) return 'not drawn';
      const inside = mark.x <= box.x + 1 && mark.x + mark.width >= box.x + box.width - 1;
      return inside ? 'on it' : 'beside it';
    })
    .toBe('on it');
  await fits(page);
});

test('where there is no campaign, one begins with a recipe', { timeout: slow }, async () => {
  world.mock.state.empty = true;
  world.mock.reset();
  const page = await go('/campaigns');
  await presentable(page);
  await page.getByRole('link', { name: /^Left the cart/ }).click();
  const when = page.getByTestId('when');
  await when.getByText('cart_add', { exact: true }).waitFor();
  await when.getByText('purchase', { exact: true }).waitFor();
  expect(await page.getByLabel('Name', { exact: true }).getAttribute('placeholder')).toBe(
    'left-the-cart',
  );
  await page.goBack();
  await page.getByRole('link', { name: /^A weekly letter/ }).click();
  await page.getByRole('button', { name: 'Schedule: on Mondays at 09:00' }).waitFor();
});

test('what two parts of the server say alike is said once', async () => {
  const page = await go('/live');
  await page.route('**/api/v1/health', async (route) => {
    const answer = await route.fetch();
    const notes = ['disk space runs short', 'disk space runs short'];
    await route.fulfill({ response: answer, json: { ...(await answer.json()), notes } });
  });
  await page.getByRole('link', { name: 'Settings', exact: true }).click();
  await page.getByText('Disk space runs short').first().waitFor();
  expect(await page.getByText('Disk space runs short').count()).toBe(1);
});

test('the settings for sending, in a form and as YAML', { timeout: slow }, async () => {
  await store('channel/news', { type: 'email', address: 'Shop Ltd, 1 High Street' });
  await store('template/confirm', { channel: 'news', body: '{{ confirm_url }}' });
  const page = await go('/settings?tab=channels');
  await page.getByRole('tab', { name: 'Sending' }).click();
  await page.getByLabel('Quiet hours, by the user’s clock:').check();
  await page.getByLabel('Quiet from').fill('22:00');
  await page.getByLabel('E-mail', { exact: true }).check();
  await page.getByText('Shop Ltd, 1 High Street').waitFor();
  await presentable(page);
  const text = () => page.getByText('YAML', { exact: true }).click();
  const form = () => page.getByText('Form', { exact: true }).click();
  await text();
  const yaml = page.getByLabel('The settings as YAML');
  expect(await yaml.inputValue()).toContain('quiet: {from: 22:00, to: 08:00}');
  await presentable(page);
  await yaml.fill('kind: settings\nname: sending\nholdout: [');
  await page.getByText(/^Line 3: /).waitFor();
  expect(await page.getByRole('button', { name: 'Save' }).isDisabled()).toBe(true);
  // a line that is being written takes nothing away
  await yaml.fill('kind: settings\nname: sending\nquiet:');
  await form();
  await page.getByText('none: marketing is sent at any hour').waitFor();
  await text();
  await yaml.fill('kind: settings\nname: sending\ncap: {count: 3, per: {}}');
  await page.getByText('Line 3: cap.per is text').waitFor();
  await yaml.fill(
    'kind: settings\nname: sending\nholdout: 5%\noptIn: {email: {channel: news, template: confirm}}\n',
  );
  await form();
  expect(await page.getByLabel('Held back from all marketing, in percent').inputValue()).toBe(
    '5 %',
  );
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('sending is saved.').waitFor();
  expect(world.mock.stored('settings', 'sending')?.spec).toMatchObject({
    holdout: '5%',
    optIn: { email: { channel: 'news', template: 'confirm' } },
  });
});
