import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, presentable, profile, setUp } from './browser';
import { type Heed, start } from './server';

// Whom Heed may write to: imports, what a user's page says, suppression by hand,
// and the page behind an unsubscribe link.

let browser: Browser;
let heed: Heed;
let admin: Profile;
let page: Page;
beforeAll(async () => {
  browser = await launch();
  heed = await start({ admin: false });
  admin = await profile(browser, heed, { calm: true });
  page = await setUp(admin);
});
afterAll(async () => {
  await admin?.context.close();
  await heed?.remove();
  await browser?.close();
  expect(admin.trouble).toEqual([]);
});

const csv = `userId;Mail;Newsletter;Since;City
ann;ann@shop.example;yes;2026-05-01;Bonn
ben;not an address;yes;;
cy;cy@shop.example;no;;Köln
`;

test('users with their consent come from a file, after a dry run', async () => {
  await page.getByRole('link', { name: 'Users', exact: true }).first().click();
  await page.getByRole('link', { name: 'Import' }).click();
  await page.getByText('No file yet').waitFor();
  await presentable(page);
  await page.getByLabel('CSV file').setInputFiles({
    name: 'crm.csv',
    mimeType: 'text/csv',
    buffer: Buffer.from(csv),
  });
  const pick = async (column: string, what: string) => {
    await page.getByRole('combobox', { name: `What ${column} is` }).click();
    await page.getByRole('option', { name: what, exact: true }).click();
  };
  await pick('Newsletter', 'Consent to e-mail (yes or no)');
  await pick('Since', 'When consent was given');
  await pick('City', 'Trait of this name');
  await page.getByRole('button', { name: 'Dry run' }).click();
  await page.getByText('Say what', { exact: true }).waitFor();
  await presentable(page);
  await page.getByLabel('Where consent was given').fill('newsletter form');
  await page.getByLabel('What was agreed to, word by word').fill('Write to me.');
  await page.getByRole('button', { name: 'Dry run' }).click();
  const result = page.getByTestId('result');
  await result.getByText('3 rows: 2 would be imported, 1 left out.').waitFor();
  await result.getByText('Row 3, Mail: "not an address" is not an e-mail address').waitFor();
  await presentable(page);
  await page.getByRole('button', { name: 'Import 2 rows' }).click();
  await result.getByText('3 rows: 2 imported, 1 left out.').waitFor();
  await page.getByText('The file is not kept.').waitFor();
  await presentable(page);
});

test('a user’s page says by what they may be written to, and why not', async () => {
  await expect
    .poll(async () => (await admin.context.request.get(`${heed.url}/api/v1/users/ann`)).status())
    .toBe(200);
  const user = await admin.open('/users/ann');
  const reach = user.getByTestId('reach');
  await reach.getByText('given, ').waitFor();
  await reach.getByText('“Write to me.”').waitFor();
  await user.getByText('ann@shop.example (verified)').waitFor();
  await presentable(user);
  await user.close();
  const anonymous = await fetch(`${heed.url}/api/v1/users/ann/reach`);
  expect(anonymous.status).toBe(401);
});

test('an address is looked up, suppressed by hand and taken back', async () => {
  await page.goto(`${heed.url}/settings?tab=suppression`);
  await page.getByText('Nobody has unsubscribed').waitFor();
  await presentable(page);
  await page.getByLabel('The e-mail address').fill('ann');
  await page.getByRole('button', { name: 'Look up' }).click();
  await page.getByText('Like ann@shop.example').waitFor();
  await page.getByLabel('The e-mail address').fill('ann@shop.example');
  await page.getByRole('button', { name: 'Look up' }).click();
  await page.getByText('Nothing keeps messages from').waitFor();
  await page.getByLabel('Why (for the record)').fill('asked by phone');
  await page.getByRole('button', { name: 'Suppress by hand' }).click();
  const found = page.getByTestId('suppression');
  await found.getByText('Taken out by hand', { exact: true }).waitFor();
  await page.getByTestId('counts').getByText('E-mail: Taken out by hand').waitFor();
  await presentable(page);
  await page.getByRole('button', { name: 'Take back what was done by hand' }).click();
  await found.getByText('Nothing keeps messages from').waitFor();
});

/** A link as Heed would make it for an address: the data folder holds the secret. */
function link(address: string): string {
  const secret = readFileSync(join(heed.dir, 'secret.key'));
  const mac = (purpose: string, ...texts: (string | Buffer)[]) => {
    const h = createHmac('sha256', secret).update(`reach\0${purpose}`);
    for (const t of texts) h.update('\0').update(t);
    return h.digest().subarray(0, 16);
  };
  const hash = mac('address', 'email', address).toString('hex');
  const body = Buffer.concat([
    Buffer.from([1]),
    ...['email', 'letters', 'spring', 'd1', hash].map((s) =>
      Buffer.concat([Buffer.from([s.length]), Buffer.from(s)]),
    ),
  ]);
  return `/u/${Buffer.concat([mac('link', body), body]).toString('base64url')}`;
}

test('people unsubscribe without a script, and come back', async () => {
  const context = await browser.newContext({ javaScriptEnabled: false });
  try {
    const reader = await context.newPage();
    const url = heed.url + link('ann@shop.example');
    const scanned = await fetch(url);
    expect([scanned.status, scanned.headers.get('cache-control')]).toEqual([200, 'no-store']);
    await reader.goto(url);
    await reader.getByRole('heading', { name: 'Do you want to unsubscribe?' }).waitFor();
    await reader.getByRole('button', { name: 'Stop all e-mails' }).click();
    await reader.getByRole('status').getByText('You are unsubscribed').waitFor();
    await reader.goto(url);
    await reader.getByRole('button', { name: 'Send me e-mails again' }).click();
    await reader.getByRole('status').getByText('You are subscribed again').waitFor();
  } finally {
    await context.close();
  }
  // each state is presentable; scripts are only for the check itself
  const seen = await admin.open(link('ann@shop.example'));
  await presentable(seen);
  await seen.getByRole('button', { name: 'Stop only messages like this one' }).click();
  await seen.getByRole('heading', { name: 'Messages like this one have stopped' }).waitFor();
  await presentable(seen);
  await seen.close();
  const oneClick = await fetch(heed.url + link('ann@shop.example'), {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded',
      origin: 'https://mail.example',
    },
    body: 'List-Unsubscribe=One-Click',
  });
  expect(oneClick.status).toBe(200);
  await page.getByRole('button', { name: 'Look up' }).click();
  await page
    .getByTestId('suppression')
    .getByText('Its owner wants no marketing.')
    .first()
    .waitFor();
});
