import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import avro from 'avsc';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, presentable, profile } from './browser';
import { type Heed, start } from './server';

// `heed run` without any configuration.

let browser: Browser;
let heed: Heed;
let visitor: Profile;
beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start()]);
  visitor = await profile(browser, heed);
});
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
  expect(visitor.trouble).toEqual([]);
});

/** The names of the events that another reader finds in the data folder's Avro files. */
async function written(): Promise<string[]> {
  const names: string[] = [];
  for (const path of readdirSync(join(heed.dir, 'avro')).filter((name) => name.endsWith('.avro')))
    await new Promise<void>((done, failed) => {
      avro
        .createFileDecoder(join(heed.dir, 'avro', path))
        .on('data', (event) => names.push((event as { event: string }).event))
        .on('end', done)
        .on('error', failed);
    });
  return names;
}

test('the test page: a button for each kind of event, and what it sent lies in an Avro file', async () => {
  const page = await visitor.open('/test');
  for (const kind of ['track', 'page', 'screen', 'identify', 'group', 'alias', 'batch of 3']) {
    const before = await page.locator('#log tr').count();
    await page.getByRole('button', { name: kind, exact: true }).click();
    await page.locator('#log tr').nth(before).waitFor();
    const row = page.locator('#log tr').first();
    expect(await row.locator('td').nth(2).textContent(), kind).toBe('200');
  }
  const clicked = Date.now();
  await expect.poll(written, { timeout: 30_000, interval: 500 }).toContain('test_clicked');
  expect(Date.now() - clicked).toBeLessThan(30_000);
  await presentable(page);
  // what is refused is said, too; the browser itself logs the answer of 400
  visitor.away = true;
  await page.getByRole('button', { name: 'broken JSON' }).click();
  await page.locator('#log tr.bad').waitFor();
});
