import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { launch, type Profile, profile } from './browser';
import { ADMIN_TOKEN, type Heed, start } from './server';
import { anonymousId, inPopup, popup, settled } from './shop';

// Pop-ups that wait: one at a time, only on a tab that is seen, never over a field that is typed
// in; and shown is what was there to be seen for a second.

let browser: Browser;
let heed: Heed;
let visitor: Profile;

const names = ['first', 'second'];
const definitions = names
  .map(
    (name) => `
{kind: trigger, name: ${name}, pattern: [{event: ${name}}]}
---
{kind: template, name: ${name}, channel: web, as: popup, expires: 1h, body: "<h2>The ${name}</h2>"}
---
kind: campaign
name: ${name}
when: {trigger: ${name}}
what: [{channel: web, template: ${name}}]
limits: {holdout: 0%}
status: live
`,
  )
  .join('---');

beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true })]);
  const applied = await fetch(`${heed.url}/api/v1/definitions:apply`, {
    method: 'POST',
    headers: { 'content-type': 'application/yaml', authorization: `Bearer ${ADMIN_TOKEN}` },
    body: definitions,
  });
  expect(applied.status, await applied.text()).toBe(200);
});
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
});
beforeEach(async () => {
  visitor = await profile(browser, heed);
  // a browser without a window has no tab in the background, so the page is told that it is one
  await visitor.context.addInitScript(() => {
    const tab = window as unknown as { away?: boolean };
    Object.defineProperty(document, 'hidden', { get: () => tab.away === true });
  });
});
afterEach(() => visitor.close());

/** Sends the tab to the background, or brings it back. */
const away = (page: Page, yes: boolean) =>
  page.evaluate((yes) => {
    (window as unknown as { away?: boolean }).away = yes;
    document.dispatchEvent(new Event('visibilitychange'));
  }, yes);

/** What the server says became of the visitor's pop-ups: "sent first", "shown first", ... */
async function said(page: Page): Promise<string[]> {
  const { items } = await heed.admin<{
    items: { delivery?: { status: string; campaign: string } }[];
  }>(`/users/${await anonymousId(page)}/timeline?limit=100`);
  return items.flatMap(({ delivery: d }) => (d ? [`${d.status} ${d.campaign}`] : []));
}

/** The visitor does something that a pop-up answers, and it is on its way to the page. */
async function sent(page: Page, event: string): Promise<void> {
  await heed.track({ writeKey: 'shop-key', anonymousId: await anonymousId(page), event });
  await expect.poll(() => said(page)).toContain(`sent ${event}`);
  await settled(heed, page);
}

const close = (page: Page) => popup(page).getByRole('button', { name: 'Close' }).click();

test('two pop-ups wait for a field to be left, and come one after the other', async () => {
  const page = await visitor.open('/shop/');
  await page.evaluate(() => document.body.prepend(document.createElement('input')));
  const field = page.locator('body > input');
  await field.focus();
  await page.keyboard.type('what I am looking');
  for (const name of names) await sent(page, name);
  expect(await popup(page).count()).toBe(0);
  await page.keyboard.type(' for');
  expect(await field.inputValue()).toBe('what I am looking for');
  await field.blur();
  await inPopup(page, /The first/).waitFor();
  await settled(heed, page);
  expect(await popup(page).count()).toBe(1);
  await close(page);
  await inPopup(page, /The second/).waitFor();
  expect(await popup(page).count()).toBe(1);
  await close(page);
  await expect.poll(() => said(page)).toContain('dismissed second');
  await settled(heed, page);
  expect(await popup(page).count()).toBe(0);
});

test('a tab in the background shows nothing until it is looked at', async () => {
  const page = await visitor.open('/shop/');
  await away(page, true);
  await sent(page, 'first');
  expect(await popup(page).count()).toBe(0);
  await away(page, false);
  await inPopup(page, /The first/).waitFor();
  await expect.poll(() => said(page)).toContain('shown first');
});

test('what is gone within a second was not shown, nor what nobody could see for one', async () => {
  const page = await visitor.open('/shop/');
  // closed as soon as it is there
  await page.evaluate(() => {
    document.addEventListener(
      'heed:shown',
      () => {
        for (const host of document.querySelectorAll('div'))
          host.shadowRoot?.querySelector('button')?.click();
      },
      { once: true },
    );
  });
  await sent(page, 'first');
  await expect.poll(() => said(page)).toContain('dismissed first');
  // put aside as soon as it is there
  await page.evaluate(() => {
    document.addEventListener(
      'heed:shown',
      () => {
        (window as unknown as { away?: boolean }).away = true;
      },
      { once: true },
    );
  });
  await sent(page, 'second');
  await inPopup(page, /The second/).waitFor();
  await page.waitForTimeout(2500); // more than a second, but not seen
  expect(await said(page)).not.toContain('shown second');
  const back = Date.now();
  await away(page, false);
  await expect.poll(() => said(page)).toContain('shown second');
  // the page looks five times a second whether it is seen
  expect(Date.now() - back).toBeGreaterThanOrEqual(800);
  expect(await said(page)).not.toContain('shown first');
});
