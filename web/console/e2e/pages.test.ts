import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mock, startMock } from '../mock/server.mjs';
import { accessible, accessibleInBoth, fits, launch, open } from './browser';

const pages: { path: string; ready: string; api: string; empty?: string }[] = [
  { path: '/', ready: '[data-testid=checklist]', api: '/home' },
  { path: '/live', ready: '[data-testid=events]', api: '' },
  { path: '/explore', ready: '[data-testid=bars]', api: '/measures' },
  { path: '/boards', ready: '[data-testid=boards]', api: '/definitions' },
  { path: '/boards/shop', ready: '[data-testid=funnel]', api: '/measures' },
  { path: '/new/board', ready: '[data-testid=empty]', api: '' },
  { path: '/users', ready: '[data-testid=users]', api: '/users' },
  { path: '/users/ada', ready: '[data-testid=user-trigger]', api: '/users' },
  { path: '/audiences', ready: '[data-testid=audiences]', api: '/audiences' },
  { path: '/audiences/nearly', ready: '[data-testid=changes]', api: '/audiences/' },
  { path: '/audiences/vip?as=yaml', ready: 'textarea', api: '/definitions' },
  { path: '/new/audience?starter=gone-quiet', ready: '[data-testid=size]', api: '' },
  { path: '/campaigns', ready: '[data-testid=campaigns]', api: '/definitions' },
  { path: '/campaigns/winners', ready: '[data-testid=report]', api: '/campaigns' },
  { path: '/campaigns/winners/edit', ready: '[data-testid=limits]', api: '/definitions' },
  { path: '/new/campaign?trigger=three-wins', ready: '[data-testid=backtest-figure]', api: '' },
  { path: '/triggers', ready: '[data-testid=triggers]', api: '/definitions' },
  { path: '/triggers/everything', ready: '[data-testid=backtest-examples]', api: '/definitions' },
  { path: '/templates', ready: '[data-testid=templates]', api: '/definitions' },
  { path: '/templates/wow', ready: 'textarea', api: '/definitions' },
  { path: '/templates/wow?as=yaml', ready: 'textarea', api: '/definitions' },
  { path: '/new/template', ready: '[data-testid=starters]', api: '/templates:starters' },
  { path: '/new/template?starter=email-offer', ready: 'textarea', api: '/templates:starters' },
  { path: '/data/events', ready: '[data-testid=event-names]', api: '/event-names' },
  { path: '/data/streams', ready: '[data-testid=streams]', api: '/streams' },
  { path: '/data/streams/registrations', ready: '[data-testid=fares]', api: '/definitions' },
  { path: '/data/streams/contracts?as=yaml', ready: 'textarea', api: '/definitions' },
  { path: '/new/stream', ready: '[data-testid=mapping]', api: '' },
  { path: '/data/traits', ready: '[data-testid=traits]', api: '/traits' },
  { path: '/dimensions/engagement', ready: '[data-testid=bucket]', api: '/dimensions' },
  { path: '/dimensions/spending?as=yaml', ready: 'textarea', api: '/definitions' },
  { path: '/dimensions/country', ready: '[data-testid=bars]', api: '/measures' },
  { path: '/new/dimension', ready: '[data-testid=histogram]', api: '/measures' },
  { path: '/outbox', ready: '[data-testid=outbox]', api: '/outbox' },
  { path: '/settings', ready: 'text=All is well', api: '/health' },
  { path: '/settings?tab=channels', ready: '[data-testid=channels]', api: '/definitions' },
  { path: '/new/channel?type=webhook', ready: 'textarea', api: '' },
  { path: '/new/channel?type=kafka', ready: 'textarea', api: '' },
  { path: '/settings/sending', ready: 'text=Double opt-in', api: '/definitions' },
  { path: '/settings?tab=suppression', ready: 'text=Look up an address', api: '' },
  { path: '/settings?tab=keys', ready: 'text=Write key (public)', api: '/definitions' },
  { path: '/settings?tab=tokens', ready: '[data-testid=tokens]', api: '/tokens' },
  { path: '/settings?tab=members', ready: '[data-testid=members]', api: '/members' },
  { path: '/settings?tab=audit', ready: 'text=signed in', api: '/audit' },
  { path: '/nowhere', ready: 'text=There is no page here', api: '' },
];

let browser: Browser;
let mock: Mock;
beforeAll(async () => {
  browser = await launch();
  mock = await startMock();
});
afterAll(async () => {
  await browser.close();
  await mock.close();
});

describe.each(pages)('$path', ({ path, ready, api }) => {
  test('shows what there is', async () => {
    const { page, trouble, context } = await open(browser, mock.url + path);
    await page.locator(ready).first().waitFor();
    for (const width of [1280, 768, 390]) {
      await page.setViewportSize({ width, height: 860 });
      await fits(page);
      if (width !== 768) await accessibleInBoth(page);
    }
    expect(trouble).toEqual([]);
    await context.close();
  });

  test('says why when there is nothing', async () => {
    const bare = await startMock({ empty: true, demo: false });
    try {
      const { page, trouble, context } = await open(browser, bare.url + path, { width: 390 });
      await page.locator('main h1').waitFor();
      await page.waitForLoadState('load');
      await page.locator('[data-testid=loading]').first().waitFor({ state: 'detached' });
      await accessibleInBoth(page);
      for (const empty of await page.locator('[data-testid=empty]').all()) {
        expect(await empty.locator('a, button').count(), 'one primary button').toBeGreaterThan(0);
        expect(((await empty.textContent()) ?? '').trim().length).toBeGreaterThan(30);
      }
      await fits(page);
      expect(trouble).toEqual([]);
      await context.close();
    } finally {
      await bare.close();
    }
  });

  test.runIf(api !== '')('says what went wrong', async () => {
    const broken = await startMock({ fail: [api] });
    try {
      const { page, context } = await open(browser, broken.url + path);
      await page.locator('[data-testid=failure]').first().waitFor();
      await accessibleInBoth(page);
      broken.state.fail = [];
      const there = page.locator(ready).first();
      const again = page.getByRole('button', { name: 'Try again' }).first();
      await again.click({ timeout: 10_000 }).catch(async (missed: unknown) => {
        // some pages ask again by themselves, and may be faster than the click
        if (await again.isVisible()) throw missed;
      });
      await there.waitFor();
      await context.close();
    } finally {
      await broken.close();
    }
  });

  test.runIf(api !== '')('shows that it is loading', async () => {
    const slow = await startMock({ hang: [api] });
    try {
      const { page, trouble, context } = await open(browser, slow.url + path);
      await page.locator('[data-testid=loading]').first().waitFor();
      await accessible(page);
      expect(trouble).toEqual([]);
      await context.close();
    } finally {
      await slow.close();
    }
  });
});
