import type { Page } from 'playwright-core';
import type { Heed } from './server';

// What the tests do in the demo shop.

export const popup = (page: Page) => page.locator('dialog[open]');
export const inPopup = (page: Page, text: RegExp) =>
  page.frameLocator('dialog[open] iframe').getByText(text);

export const spinButton = (page: Page) => page.getByRole('button', { name: /^Spin/ });

/** Who the page is for the tracker. */
export const anonymousId = (page: Page): Promise<string> =>
  page.evaluate(() =>
    (window as unknown as { heed: { anonymousId(): string } }).heed.anonymousId(),
  );

/** Resolves once the server has acknowledged an event of this name from the page. */
export async function acknowledged(page: Page, event: string): Promise<void> {
  await page.waitForResponse(
    (r) =>
      r.url().includes('/v1/batch') &&
      r.ok() &&
      !!r.request().postData()?.includes(`"event":"${event}"`),
  );
}

/** One spin whose outcome the server has acknowledged. */
export async function spin(page: Page, outcome: 'win' | 'loss'): Promise<void> {
  await Promise.all([acknowledged(page, outcome), spinButton(page).click()]);
}

/**
 * Resolves once Heed has decided on everything that the page has sent so far,
 * and what it decided on has had ample time to show.
 */
export async function settled(heed: Heed, page: Page): Promise<void> {
  await heed.track(
    { writeKey: 'shop-key', anonymousId: await anonymousId(page), event: 'settled' },
    '?wait=2s',
  );
  await page.waitForTimeout(400);
}
