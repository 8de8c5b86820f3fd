import type { Browser } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { event } from '../mock/data.mjs';
import { type Mock, type MockState, startMock } from '../mock/server.mjs';
import { accessible, fits, launch, open, tab, type Watched } from './browser';

let browser: Browser;
const mocks: Mock[] = [];
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
  for (const mock of mocks.splice(0)) await mock.close();
});

async function start(options: Partial<MockState> = {}): Promise<Mock> {
  const mock = await startMock(options);
  mocks.push(mock);
  return mock;
}

const rows = ({ page }: Pick<Watched, 'page'>) =>
  page.locator('[data-testid=events] > li[data-id]');

test('the first administrator is made with the printed token', async () => {
  const mock = await start({ setup: true, signedIn: false });
  const { page, trouble } = await open(browser, `${mock.url}/setup?token=first-token`);
  await page.getByRole('heading', { name: 'Set up Heed' }).waitFor();
  await accessible(page);
  await page.getByRole('button', { name: 'Create the administrator' }).click();
  await page.getByText('An e-mail address').waitFor();
  await accessible(page);
  expect(await page.getByLabel('One-time token').inputValue()).toBe('first-token');
  await page.getByLabel('E-mail').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill('short');
  expect(await page.getByTestId('strength').textContent()).toContain('5 to go');
  await page.getByLabel('Password', { exact: true }).fill('correct horse battery');
  await page.getByLabel('Password again').fill('correct horse');
  await page.getByRole('button', { name: 'Create the administrator' }).click();
  await page.getByText('The two passwords differ').waitFor();
  await page.getByLabel('Password again').fill('correct horse battery');
  await page.getByRole('button', { name: 'Create the administrator' }).click();
  await page.getByRole('heading', { name: 'Home' }).waitFor();
  expect(new URL(page.url()).pathname).toBe('/');
  expect(trouble).toEqual([]);
});

test('signing in leads to the page that was asked for, and out again', async () => {
  const mock = await start({ signedIn: false });
  const { page, trouble } = await open(browser, `${mock.url}/live?q=win`, {
    width: 390,
    scheme: 'dark',
  });
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await accessible(page);
  await fits(page);
  expect(trouble).toEqual([]);
  await page.getByLabel('E-mail').fill('ada@example.com');
  await page.getByLabel('Password', { exact: true }).fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('E-mail or password is wrong').waitFor();
  await accessible(page);
  await page.getByLabel('Password', { exact: true }).fill('correct horse');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Live' }).waitFor();
  expect(await page.getByLabel('Filter by event, user or property').inputValue()).toBe('win');
  await page.getByRole('button', { name: /^Account/ }).click();
  await page.getByRole('menuitem', { name: 'Log out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('a session that ends leads to the sign-in', async () => {
  const mock = await start();
  const { page } = await open(browser, mock.url);
  await page.getByTestId('checklist').waitFor();
  mock.state.signedIn = false;
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('plain http from another host is explained instead of a sign-in that loops', async () => {
  const mock = await start({ signedIn: false, plain: true });
  const { page } = await open(browser, mock.url);
  await page.getByTestId('plain-http').waitFor();
  expect(await page.getByLabel('E-mail').count()).toBe(0);
  expect(await page.getByTestId('plain-http').textContent()).toContain('ssh -L');
  await accessible(page);
});

test('an event shows once, and opens to everything it holds', async () => {
  const mock = await start({ empty: true });
  const watched = await open(browser, `${mock.url}/live`);
  const { page } = watched;
  await page.getByText('Waiting for events').waitFor();
  mock.send(event(1, 0, { event: 'signed_up', user: 'grace' }));
  await rows(watched).first().waitFor();
  await page.getByRole('button', { name: /Show everything about signed_up/ }).click();
  await page.getByText('"messageId"').waitFor();
  mock.send(event(1, 0, { event: 'signed_up', user: 'grace' }));
  mock.send(event(2));
  await page.locator('[data-id="2-2"]').waitFor();
  expect(await rows(watched).count()).toBe(2);
});

test('pause holds the view; resume shows what came', async () => {
  const mock = await start();
  const watched = await open(browser, `${mock.url}/live`);
  const { page } = watched;
  await rows(watched).first().waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  const before = await rows(watched).first().getAttribute('data-id');
  mock.send(event(5001));
  mock.send(event(5002));
  await page.getByRole('button', { name: 'Resume (2 new)' }).waitFor();
  expect(await rows(watched).first().getAttribute('data-id')).toBe(before);
  await page.getByRole('button', { name: 'Resume (2 new)' }).click();
  await page.locator('[data-id="2-5002"]').waitFor();
});

test('the filter lives in the address and survives a reload and Back', async () => {
  const mock = await start();
  const watched = await open(browser, `${mock.url}/live`);
  const { page } = watched;
  await rows(watched).first().waitFor();
  const all = await rows(watched).count();
  await page.getByTestId('rates').getByRole('button', { name: /^win/ }).click();
  await page.waitForURL(/name=win/);
  const some = await rows(watched).count();
  expect(some).toBeLessThan(all);
  await page.reload();
  await rows(watched).first().waitFor();
  expect(await rows(watched).count()).toBe(some);
  await rows(watched).first().getByRole('link').click();
  await page.getByTestId('user-trigger').first().waitFor();
  await page.goBack();
  await rows(watched).first().waitFor();
  expect(page.url()).toContain('name=win');
});

test('a user’s page says of each campaign why', async () => {
  const mock = await start();
  const { page, trouble } = await open(browser, `${mock.url}/users/ada`);
  const campaigns = page.getByTestId('user-campaign');
  await campaigns.first().waitFor();
  await campaigns.filter({ hasText: 'Sent by web' }).waitFor();
  const refused = campaigns.filter({ hasText: 'held back' }).first();
  await refused.getByRole('button', { name: /^Why/ }).click();
  await refused.getByText('it would be sent by web').waitFor();
  await accessible(page);
  await page.setViewportSize({ width: 390, height: 860 });
  await fits(page);
  expect(trouble).toEqual([]);
});

test('a template is shown as a user would read it, and what is missing is said', async () => {
  const mock = await start();
  const { page, trouble } = await open(browser, `${mock.url}/templates`);
  await page.getByTestId('templates').getByRole('button').first().click();
  const who = page.getByRole('dialog').getByRole('combobox');
  await who.fill('ada');
  const body = page.frameLocator('[role=dialog] iframe').getByText('Ada: +50 %');
  await body.waitFor();
  expect(await page.getByTestId('missing').count()).toBe(0);
  await who.fill('bob');
  await page.getByTestId('missing').getByText('event.properties.stake').waitFor();
  await accessible(page);
  await page.setViewportSize({ width: 390, height: 860 });
  await fits(page);
  await who.fill('');
  await page.getByText('Without a value for somebody unknown').waitFor();
  expect(trouble).toEqual([]);
});

test('a server that goes away is noticed, and nothing shows twice after', async () => {
  let mock = await start();
  const watched = await open(browser, `${mock.url}/live`);
  const { page } = watched;
  await rows(watched).first().waitFor();
  const badge = page.getByTestId('live-badge');
  expect(await badge.textContent()).toBe('Live');
  const port = Number(new URL(mock.url).port);
  const newest = await rows(watched).first().getAttribute('data-id');
  await mock.close();
  mocks.splice(mocks.indexOf(mock), 1);
  await page.getByText('Reconnecting').waitFor();
  mock = await startMock({ port });
  mocks.push(mock);
  await page.waitForFunction(
    () => document.querySelector('[data-testid=live-badge]')?.textContent === 'Live',
  );
  mock.send(event(6000));
  await page.locator('[data-id="0-6000"]').waitFor();
  const ids = await rows(watched).evaluateAll((all) =>
    all.map((li) => (li as HTMLElement).dataset.id),
  );
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toContain(newest);
});

test('a stream that falls silent counts as broken', async () => {
  const mock = await start();
  const { page } = await open(browser, `${mock.url}/live`);
  await page.locator('[data-testid=events]').waitFor();
  mock.state.hang = ['/live'];
  mock.drop();
  await page.getByText('Reconnecting').waitFor();
});

test('seven tabs share one stream, and another tab takes over', async () => {
  const mock = await start();
  const first = await open(browser, `${mock.url}/live`);
  await rows(first).first().waitFor();
  const others = [];
  for (let i = 0; i < 6; i++) {
    const other = await tab(first.context, `${mock.url}/live`);
    await rows(other).first().waitFor();
    others.push(other);
  }
  expect(mock.streams()).toBe(1);
  mock.send(event(7001));
  for (const each of [first, ...others]) await each.page.locator('[data-id="1-7001"]').waitFor();
  await first.page.close();
  const heir = others[5];
  if (!heir) throw new Error('no heir');
  await heir.page.waitForFunction(
    () => document.querySelector('[data-testid=live-badge]')?.textContent === 'Live',
  );
  await expect.poll(() => mock.streams()).toBe(1);
  mock.send(event(7002));
  await heir.page.locator('[data-id="2-7002"]').waitFor();
});

test('waiting turns into done with the first event, without a reload', async () => {
  const mock = await start({ empty: true, demo: false });
  const { page } = await open(browser, mock.url);
  await page.getByText('Waiting for the first event').waitFor();
  expect(await page.locator('[data-step=send_event]').getAttribute('data-done')).toBe('false');
  expect(await page.getByText('wk_3f9a1c52e8').count()).toBeGreaterThan(1);
  mock.state.empty = false;
  await page.locator('[data-step=send_event][data-done=true]').waitFor();
  expect(await page.getByText('Waiting for the first event').count()).toBe(0);
});

test('the crowd can be sent home', async () => {
  const mock = await start();
  const { page } = await open(browser, mock.url);
  await page.getByRole('switch').click();
  await page.getByText('The crowd is at home').waitFor();
  expect(mock.state.crowd).toBe(false);
});

test('your own events are marked', async () => {
  const mock = await start();
  const { page } = await open(browser, `${mock.url}/live`);
  await page.evaluate(() => localStorage.setItem('heed_id', 'anon-me'));
  mock.send(event(8000, 0, { anonymousId: 'anon-me' }));
  await page.locator('[data-id="0-8000"][data-mine]').getByText('You').waitFor();
});

test('a campaign is paused, and not over somebody else’s change', async () => {
  const mock = await start();
  const { page } = await open(browser, `${mock.url}/campaigns/winners`);
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Resume' }).waitFor();
  const other = await fetch(`${mock.url}/api/v1/definitions/campaign/winners`, {
    method: 'PUT',
    body: JSON.stringify({ when: { trigger: 'three-wins' }, what: [], status: 'paused' }),
  });
  expect(other.ok).toBe(true);
  await page.getByRole('button', { name: 'Resume' }).click();
  await page.getByText('Somebody else changed it meanwhile').waitFor();
});

test('an analyst cannot change campaigns and sees no keys of others', async () => {
  const mock = await start({ role: 'analyst' });
  const { page } = await open(browser, `${mock.url}/campaigns/winners`);
  await page.getByTestId('report').waitFor();
  expect(await page.getByRole('button', { name: 'Pause' }).isDisabled()).toBe(true);
  await page.goto(`${mock.url}/settings?tab=tokens`);
  await page.getByText('All is well').waitFor();
  expect(await page.getByRole('tab', { name: 'API tokens' }).count()).toBe(0);
});

test('a message’s HTML can do nothing to the console', async () => {
  const mock = await start();
  const { page } = await open(browser, `${mock.url}/outbox?open=o-2`);
  const frame = page.locator('[role=dialog] iframe');
  await frame.waitFor();
  expect(await frame.getAttribute('sandbox')).toBe('');
  await frame.contentFrame().getByText('Your cart waits').waitFor();
  expect(await page.title()).toBe('Outbox · Heed');
  await page.keyboard.press('Escape');
  await frame.waitFor({ state: 'detached' });
  expect(page.url()).not.toContain('open=');
});

test('a user is found and read by keyboard alone', async () => {
  const mock = await start();
  const { page } = await open(browser, mock.url);
  await page.getByTestId('checklist').waitFor();
  await page.keyboard.press('Control+k');
  await page.locator('input[placeholder="Search pages, campaigns and users"]:focus').waitFor();
  await page.keyboard.type('u-1042');
  await page.getByText('u-1042', { exact: true }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/users\/u-1042/);
  await page.getByTestId('searched').getByText('Searched back to').waitFor();
  await page.getByRole('button', { name: 'Look further back' }).focus();
  await page.keyboard.press('Enter');
  await page.getByText('Nothing older is kept').waitFor();
});
