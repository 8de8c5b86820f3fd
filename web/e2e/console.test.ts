import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  accessible,
  EMAIL,
  launch,
  PASSWORD,
  type Profile,
  presentable,
  profile,
  setUp,
} from './browser';
import { type Heed, start } from './server';
import { anonymousId, inPopup, popup, spin } from './shop';

// The console beside a Heed that is really there.

let browser: Browser;
let heed: Heed;
let admin: Profile;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser?.close());

const rows = (page: Page) => page.locator('[data-testid=events] > li[data-id]');
/** The user's win; the beginning of the visit is a row, too. */
const event = (page: Page, user: string) =>
  rows(page).filter({ hasText: user }).filter({ hasText: 'win' });

describe('a Heed without any configuration', () => {
  beforeAll(async () => {
    heed = await start({ admin: false });
    admin = await profile(browser, heed, { calm: true });
  });
  afterAll(async () => {
    await admin?.context.close();
    await heed?.remove();
    expect(admin.trouble).toEqual([]);
  });

  test('from the printed token to the first event, which ticks its step', async () => {
    const first = await admin.open('/');
    await first.getByRole('heading', { name: 'Set up Heed' }).waitFor();
    await presentable(first);
    await first.close();
    const page = await setUp(admin);
    await page.getByText('Waiting for the first event').waitFor();
    await presentable(page);
    // what Home says to run is run, as a shell would
    const curl = page.getByText(/^curl /).first();
    const text = (await curl.textContent()) ?? '';
    const body = /-d '([^']+)'/.exec(text)?.[1];
    const url = /https?:\/\/[^\s'"]+/.exec(text)?.[0];
    const key = /-u (\S+)/.exec(text)?.[1];
    if (!body || !url || !key) throw new Error(`cannot read ${text}`);
    expect(new URL(url).origin).toBe(heed.url);
    const r = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Basic ${Buffer.from(key).toString('base64')}`,
      },
      body,
    });
    expect([r.status, await r.json()]).toMatchObject([200, { accepted: 1 }]);
    await page.locator('[data-step=send_event][data-done=true]').waitFor();
    expect(await page.getByText('Waiting for the first event').count()).toBe(0);
    await page.locator('[data-step=see_user][data-done=true]').waitFor();
    await page.close();
  });

  test('a named key event, its tag in a bare page of another origin, and the pop-up there', async () => {
    const page = await admin.open('/data/events');
    await page.getByRole('button', { name: 'New key event' }).click();
    await page.getByLabel('Name').fill('poker_win');
    await page.getByRole('button', { name: 'Make it, and show its tag' }).click();
    const details = page.getByTestId('event-details');
    const snippets = details.locator('pre');
    await details.getByText('data-heed-event="poker_win"').waitFor();
    const [loader = '', button = ''] = await snippets.allTextContents();
    await details.getByText('A page opens').click();
    await details.getByText('["track", "poker_win"]').waitFor();
    const opens = (await snippets.allTextContents())[1] ?? '';
    await presentable(page);

    const applied = await admin.context.request.post(`${heed.url}/api/v1/definitions:apply`, {
      headers: { 'content-type': 'text/yaml', origin: heed.url },
      data: [
        'kind: trigger\nname: poker-winner\npattern: [{event: poker_win}]',
        'kind: template\nname: hooray\nchannel: web\nas: popup\nbody: <p>What a win</p>',
        'kind: campaign\nname: poker\nwhen: {trigger: poker-winner}\nwhat: [{channel: web, template: hooray}]\nlimits: {holdout: 0%}\nstatus: live',
      ].join('\n---\n'),
    });
    expect([applied.status(), await applied.text()]).toMatchObject([200, expect.anything()]);

    const click = `<!doctype html><title>Bare</title>${loader}${button}`;
    const dir = mkdtempSync(join(tmpdir(), 'heed-e2e-'));
    writeFileSync(join(dir, 'bare.html'), click);
    const other = createServer((_, answer) => {
      answer
        .setHeader('content-type', 'text/html')
        .end(`<!doctype html><title>B</title>${loader}${opens}`);
    }).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    try {
      for (const url of [`file://${dir}/bare.html`, `http://127.0.0.1:${port}/`]) {
        const context = await browser.newContext();
        const bare = await context.newPage();
        const wrong: string[] = [];
        bare.on('console', (m) => m.type() === 'error' && wrong.push(m.text()));
        await bare.goto(url);
        if (url.startsWith('file:')) {
          // the tracker listens once it is there
          await bare.waitForFunction(() => 'v' in ((window as { heed?: object }).heed ?? {}));
          await bare.getByRole('button').click();
        }
        await inPopup(bare, /What a win/).waitFor();
        expect(wrong, url).toEqual([]);
        await context.close();
      }
    } finally {
      other.close();
      rmSync(dir, { recursive: true });
    }
    // what it carried and how often it came is there now
    await details.getByText(/^2 times$/).waitFor();
    await page.close();
  });

  test('out, and in again with the password', async () => {
    const page = await admin.open('/live');
    await page.getByRole('heading', { name: 'Live', exact: true }).waitFor();
    await page.getByRole('button', { name: /^Account/ }).click();
    await page.getByRole('menuitem', { name: 'Log out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await presentable(page);
    await page.getByLabel('E-mail').fill(EMAIL);
    admin.away = true; // the browser logs the answer to a wrong password
    await page.getByLabel('Password', { exact: true }).fill('not it at all');
    await page.keyboard.press('Enter');
    await page.getByText(/password is wrong/).waitFor();
    await accessible(page);
    await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
    await page.keyboard.press('Enter');
    await page.getByTestId('live-badge').waitFor();
    admin.away = false;
  });
});

describe('with the demo', () => {
  let shopper: Profile | undefined;
  beforeAll(async () => {
    heed = await start({ demo: true, admin: false });
    admin = await profile(browser, heed, { calm: true });
    await setUp(admin);
  });
  afterEach(async () => {
    await shopper?.close();
    shopper = undefined;
    // what stays open is kept up to date, which takes time from those that follow
    for (const page of admin.context.pages()) await page.close();
  });
  afterAll(async () => {
    await admin?.context.close();
    await heed?.remove();
    expect(admin.trouble).toEqual([]);
  });

  test('Home has live figures', async () => {
    const page = await admin.open('/');
    await page.locator('[data-step=send_event][data-done=true]').waitFor();
    await page.getByTestId('tour').waitFor();
    // the crowd makes the figure move, without a reload
    const figures = () => page.getByText(/^the newest at [\d:]+/).textContent();
    const before = await figures();
    await expect.poll(figures).not.toBe(before);
    await presentable(page);
  });

  test('Live: an event, then what became of it', async () => {
    const page = await admin.open('/live');
    await rows(page).first().waitFor();
    await page.waitForTimeout(500);
    const user = `visitor-${Date.now()}`;
    const post = (name: string) =>
      heed.track({
        writeKey: 'shop-key',
        anonymousId: user,
        event: name,
        properties: { stake: 10 },
      });
    // only this visitor's rows, however many shoppers are about
    await page.getByLabel('Filter by event, user or property').fill(user);
    await post('win');
    await event(page, user).first().waitFor();
    await post('win');
    await post('win');
    const delivery = page.locator('[data-testid=deliveries] > li', { hasText: user });
    await delivery.getByText('winners').waitFor();
    const progress = page.getByTestId('trigger-progress').filter({ hasText: 'three-wins' });
    await progress.getByText(/fired [1-9]/).waitFor();
    await event(page, user).first().getByRole('button').click();
    await page.getByText('"messageId"').waitFor();
    await presentable(page);
  });

  test('Users: one visitor’s timeline, progress, deliveries and reasons', async () => {
    shopper = await profile(browser, heed);
    const shop = await shopper.open('/shop/spin?luck=win');
    for (let i = 0; i < 3; i++) await spin(shop, 'win');
    await inPopup(shop, /three in a row/).waitFor();
    await shop.keyboard.press('Escape');
    await popup(shop).waitFor({ state: 'detached' });
    for (let i = 0; i < 2; i++) await spin(shop, 'win');
    const visitor = await anonymousId(shop);

    const page = await admin.open('/users');
    await page.getByLabel('Search users').fill(visitor);
    await page.getByTestId('users').getByRole('link').filter({ hasText: visitor }).click();
    await page.getByTestId('searched').waitFor();
    await expect.poll(() => rows(page).filter({ hasText: 'win' }).count()).toBe(5);
    const progress = page.getByTestId('user-trigger').filter({ hasText: 'three-wins' });
    await progress.getByText('2 of 3', { exact: true }).waitFor();
    expect(await progress.textContent()).not.toContain('not fired');
    await progress.getByText(/waits for win until \d/).waitFor();
    await progress.getByRole('button', { name: /^Why/ }).click();
    await progress.getByText(/^Fired \(win\)/).waitFor();
    await presentable(page);
    // it appends by itself
    await spin(shop, 'win');
    await expect.poll(() => rows(page).filter({ hasText: 'win' }).count()).toBe(6);
    await page.getByText(/^Deliveries \d/).click();
    const deliveries = page.locator('[data-testid=deliveries] > li');
    await deliveries.filter({ hasText: 'winners' }).first().waitFor();
    await deliveries.filter({ hasText: 'Dismissed' }).first().waitFor();
    await presentable(page);
  });

  test('a trigger is written in eight clicks, with what it would have done beside it', async () => {
    const page = await admin.open('/triggers');
    // the crowd has won and lost, but nobody thrice in a row by the thousand
    for (let i = 0; i < 4; i++)
      await heed.track({ writeKey: 'shop-key', anonymousId: 'lucky', event: 'win' }, '?wait=2s');
    const figure = page.getByTestId('backtest-figure');
    const times = async () =>
      Number(/fired ([\d,]+) time/.exec((await figure.textContent()) ?? '')?.[1]);
    await page.getByRole('link', { name: 'New trigger' }).click();
    await page.getByRole('option', { name: /^win/ }).click();
    await figure.waitFor();
    await expect.poll(times).toBeGreaterThanOrEqual(4);
    const once = await times();
    await page.getByRole('button', { name: 'How often: once' }).click();
    await page.getByRole('button', { name: '3 times' }).click();
    await page.getByRole('button', { name: 'in a row' }).click();
    await page.getByRole('option', { name: /^loss/ }).click();
    await expect.poll(times).toBeLessThanOrEqual(once / 3);
    expect(await times()).toBeGreaterThan(0);
    await presentable(page);
    await page.getByRole('button', { name: 'Save' }).click();
    await page.getByRole('heading', { name: 'win-3-in-a-row' }).waitFor();
    await page.getByText('No campaign: it fires, and nothing is sent').waitFor();
    await page.getByRole('link', { name: 'Campaigns', exact: true }).click();
    await page.getByRole('link', { name: 'Triggers', exact: true }).click();
    await page.getByTestId('triggers').getByText('win-3-in-a-row').waitFor();
    await presentable(page);
  });

  test('a reason stands beside what was not sent', async () => {
    // the offer in the checkout is capped at 20 an hour
    const visitor = `eager-${Date.now()}`;
    for (let i = 0; i < 21; i++)
      await heed.track(
        { writeKey: 'shop-key', anonymousId: visitor, event: 'checkout_start' },
        '?wait=2s',
      );
    const page = await admin.open(`/users/${visitor}?show=deliveries`);
    const refused = page.locator('[data-testid=deliveries] > li', { hasText: 'Not sent' });
    await refused.getByText('as often as its cap allows').waitFor();
    await presentable(page);
  });

  test('a killed server is noticed; what comes after shows once', async () => {
    const page = await admin.open('/live');
    await rows(page).first().waitFor();
    const badge = page.getByTestId('live-badge');
    await expect.poll(() => badge.textContent()).toBe('Live');
    const before = `before-${Date.now()}`;
    await heed.track({ writeKey: 'shop-key', anonymousId: before, event: 'win' });
    await event(page, before).waitFor();
    admin.away = true;
    await heed.kill();
    await page.getByTestId('live-badge').getByText('Reconnecting').waitFor();
    await heed.start();
    await expect.poll(() => badge.textContent()).toBe('Live');
    admin.away = false;
    const after = `after-${Date.now()}`;
    await heed.track({ writeKey: 'shop-key', anonymousId: after, event: 'win' });
    await event(page, after).waitFor();
    const ids = await rows(page).evaluateAll((all) =>
      all.map((li) => (li as HTMLElement).dataset.id),
    );
    expect(new Set(ids).size).toBe(ids.length);
    await page.getByLabel('Filter by event, user or property').fill(after);
    expect(await event(page, after).count()).toBe(1);
  });

  test('seven tabs of the console, all kept up to date by one stream', async () => {
    const tabs: Page[] = [];
    for (let i = 0; i < 7; i++) {
      const page = await admin.open('/live');
      await rows(page).first().waitFor();
      tabs.push(page);
    }
    // the crowd's rows would push this one out of the last tabs before they are looked at
    const home = await admin.context.request.post(`${heed.url}/api/v1/demo/crowd`, {
      headers: { origin: heed.url },
      data: { running: false },
    });
    expect(home.ok()).toBe(true);
    const user = `everywhere-${Date.now()}`;
    await heed.track({ writeKey: 'shop-key', anonymousId: user, event: 'win' });
    for (const page of tabs) {
      await page.bringToFront();
      await event(page, user).waitFor();
    }
    for (const page of tabs) await page.close();
  });
});
