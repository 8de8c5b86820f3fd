import type { Browser, BrowserContext } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { accessible, accessibleInBoth, fits, launch, tab } from './browser';

// Against a running Heed: HEED_SERVER, and either SETUP_TOKEN (nobody is there
// yet) or HEED_EMAIL and HEED_PASSWORD.
const { HEED_SERVER: base = '', HEED_SETUP_TOKEN: token } = process.env;
const email = process.env.HEED_EMAIL ?? 'ada@example.com';
const password = process.env.HEED_PASSWORD ?? 'correct horse battery';

describe.runIf(base !== '')('a running Heed', () => {
  let browser: Browser;
  let context: BrowserContext;

  beforeAll(async () => {
    browser = await launch();
    context = await browser.newContext({
      viewport: { width: 1280, height: 860 },
      reducedMotion: 'reduce',
    });
    const { page, trouble } = await tab(context, `${base}/`);
    await page.locator('h1').waitFor();
    await accessible(page);
    if (token) {
      await page.getByLabel('One-time token').fill(token);
      await page.getByLabel('Password again').fill(password);
    }
    await page.getByLabel('E-mail').fill(email);
    await page.getByLabel('Password', { exact: true }).fill(password);
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Home' }).waitFor();
    expect(trouble).toEqual([]);
    await page.close();
  });
  afterAll(() => browser?.close());

  test.each([
    '/',
    '/live',
    '/explore',
    '/boards',
    '/boards/shop',
    '/audiences',
    '/users',
    '/campaigns',
    '/templates',
    '/data/events',
    '/data/traits',
    '/dimensions/engagement',
    '/new/audience?starter=gone-quiet',
    '/outbox',
    '/settings',
    '/settings?tab=keys',
    '/settings?tab=tokens',
    '/settings?tab=members',
    '/settings?tab=audit',
  ])('%s', async (path) => {
    const { page, trouble } = await tab(context, base + path);
    await page.locator('main h1').waitFor();
    await page.locator('[data-testid=loading]').first().waitFor({ state: 'detached' });
    await accessibleInBoth(page);
    for (const width of [390, 768, 1280]) {
      await page.setViewportSize({ width, height: 860 });
      await fits(page);
    }
    expect(trouble).toEqual([]);
    await page.close();
  });

  test('one POST shows on Live, then in the user’s timeline', async () => {
    const { page, trouble } = await tab(context, `${base}/live`);
    await page.getByTestId('behind').waitFor();
    const home = await (await context.request.get(`${base}/api/v1/home`)).json();
    const user = `visitor-${Date.now()}`;
    // the rows of the crowd would push this one away from under the pointer
    await page.getByLabel('Filter by event, user or property').fill(user);
    const answer = await fetch(`${base}/v1/track`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        Authorization: `Basic ${Buffer.from(`${home.source.writeKey}:`).toString('base64')}`,
      },
      body: JSON.stringify({ anonymousId: user, event: 'hello' }),
    });
    expect(answer.ok).toBe(true);
    // the visit's beginning is a row, too
    const row = page
      .locator('[data-testid=events] > li', { hasText: user })
      .filter({ hasText: 'hello' });
    await row.waitFor();
    await row.getByRole('link').click();
    await page.getByTestId('searched').waitFor();
    await page.locator('[data-testid=events] > li', { hasText: 'hello' }).waitFor();
    expect(trouble).toEqual([]);
    await page.close();
  });
});
