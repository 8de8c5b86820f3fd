import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Mock, startMock } from '../mock/server.mjs';
import { accessibleInBoth, launch, open, overflow, type Watched } from './browser';

// Campaigns and the switch over all of them, against the mock.

let browser: Browser;
let mock: Mock;
let watched: Watched | undefined;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());
beforeEach(async () => {
  mock = await startMock();
});
afterEach(async () => {
  await watched?.context.close();
  await mock.close();
  const trouble = watched?.trouble;
  watched = undefined;
  expect(trouble ?? []).toEqual([]);
});

async function go(path: string): Promise<Page> {
  watched = await open(browser, mock.url + path);
  await watched.page.locator('main h1').waitFor();
  return watched.page;
}

async function presentable(page: Page): Promise<void> {
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    expect(await overflow(page), `wider than ${width} px`).toBeLessThanOrEqual(0);
    await accessibleInBoth(page);
  }
}

const pick = async (page: Page, chip: RegExp, option: string | RegExp) => {
  await page.getByRole('button', { name: chip }).click();
  await page.getByRole('option', { name: option }).first().click();
};

test('a scheduled campaign is written in sentences, and saved as a draft', async () => {
  const page = await go('/campaigns');
  await page.getByRole('link', { name: 'New campaign' }).click();
  await page.getByRole('heading', { name: 'New campaign' }).waitFor();
  await page.getByRole('button', { name: 'Starts: when a trigger fires' }).click();
  await page.getByRole('menuitem', { name: 'on a schedule' }).click();
  await page.getByRole('button', { name: /^Schedule: every day at 09:00/ }).click();
  await page.getByRole('button', { name: 'on weekdays at 09:00' }).click();
  await page.getByLabel('Time zone').fill('Europe/Berlin');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Delay: at once' }).click();
  await page.getByRole('button', { name: '30 minutes later' }).click();
  await pick(page, /^Template: pick/, /./);
  await page.getByRole('button', { name: 'Add a variant' }).click();
  await pick(page, /^Template of variant 2/, /./);
  await page.getByRole('button', { name: 'Weight of variant 2: 50 %' }).click();
  await page.getByLabel(/^Weight, beside/).fill('3');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Weight of variant 2: 75 %' }).waitFor();
  await page.getByRole('button', { name: /^Cap:/ }).click();
  await presentable(page);
  await page.getByLabel('At most').fill('2');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Cap: at most 2 per 24 hours' }).waitFor();
  await page.getByRole('button', { name: 'once only', pressed: true }).click();
  await page.getByRole('button', { name: 'Quiet hours: as in the settings' }).click();
  await page.getByLabel('From').fill('22:00');
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Quiet hours: 22:00 to 08:00' }).waitFor();
  await page.getByRole('button', { name: 'Held back: 10%' }).click();
  await page.getByRole('button', { name: '20%' }).click();
  await page.getByRole('button', { name: 'Set a goal' }).click();
  await pick(page, /^Goal:/, /./);
  await page.getByLabel('Name', { exact: true }).fill('weekdays');
  await presentable(page);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('weekdays is saved.').waitFor();
  expect(mock.stored('campaign', 'weekdays')?.spec).toMatchObject({
    when: { schedule: '0 9 * * 1-5', zone: 'Europe/Berlin' },
    delay: '30m',
    what: [{ channel: expect.any(String) }, { weight: 3 }],
    limits: {
      cap: { count: 2, per: '24h' },
      once: false,
      quiet: { from: '22:00', to: '08:00' },
      holdout: '20%',
    },
    goal: { within: '3d' },
    status: 'draft',
  });
  // its page says what was decided, and the list when it runs
  await page.getByText('22:00 to 08:00').waitFor();
  await page.getByRole('button', { name: 'Launch' }).click();
  await page.getByText('weekdays is live now.').waitFor();
  await page.getByRole('link', { name: 'All campaigns' }).click();
  await page.getByTestId('next-run').waitFor();
  await presentable(page);
});

test('an edited campaign keeps what the sentences do not say, and YAML is the same', async () => {
  const page = await go('/campaigns/winners');
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByRole('button', { name: 'Purpose: marketing' }).click();
  await page.getByRole('menuitem', { name: /^transactional/ }).click();
  const before = mock.stored('campaign', 'winners')?.spec;
  await page.getByText('YAML').click();
  await page.getByText('purpose: transactional').waitFor();
  await presentable(page);
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('winners is saved.').waitFor();
  expect(mock.stored('campaign', 'winners')?.spec).toEqual({ ...before, purpose: 'transactional' });
});

test('launching on an audience includes who is in it already only if somebody says so', async () => {
  const spec = {
    when: { audience: 'vip', on: 'enter' },
    what: [{ channel: 'web', template: 'wow' }],
    status: 'draft',
  };
  mock.save('campaign', 'winners', spec);
  mock.save('campaign', 'left-cart', spec);
  let page = await go('/campaigns/winners');
  await page.getByRole('button', { name: 'Launch' }).click();
  await page.getByText('3,412 users are in it already').waitFor();
  await presentable(page);
  await page.getByRole('dialog').getByRole('button', { name: 'Launch', exact: true }).click();
  await page.getByText('winners is live now.').waitFor();
  expect(mock.state.included).toEqual([]);
  await watched?.context.close();
  page = await go('/campaigns/left-cart');
  await page.getByRole('button', { name: 'Launch' }).click();
  await page.getByRole('button', { name: /^Launch, and include/ }).click();
  await page.getByText('It is started for 3,412 users, too.').waitFor();
  expect(mock.state.included.map(([name]) => name)).toEqual(['left-cart']);
});

test('all sending is stopped after a question, which everybody sees, and goes on', async () => {
  const page = await go('/live');
  await page.getByRole('button', { name: 'Stop all sending' }).click();
  await page.getByText(/Within a second nothing leaves/).waitFor();
  await presentable(page);
  await page.getByRole('button', { name: 'Keep sending' }).click();
  expect(mock.state.sending.stopped).toBe(false);
  await page.getByRole('button', { name: 'Stop all sending' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Stop all sending' }).click();
  await page.getByText('All sending is stopped.').waitFor();
  expect(mock.state.sending.stopped).toBe(true);
  const stopped = page.getByRole('button', { name: 'Sending is stopped: go on' });
  await stopped.waitFor();
  await presentable(page);
  // another console learns of it by itself
  mock.state.sending = { stopped: false };
  await page.getByRole('button', { name: 'Stop all sending' }).waitFor();
  mock.state.sending = { stopped: true };
  await stopped.click();
  await page.getByRole('dialog').getByRole('button', { name: 'Go on sending' }).click();
  await page.getByText('Sending goes on.').waitFor();
  expect(mock.state.sending.stopped).toBe(false);
});
