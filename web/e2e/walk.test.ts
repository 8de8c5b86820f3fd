import { readFileSync } from 'node:fs';
import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, presentable, profile, signIn } from './browser';
import { type Letter, mailbox, messageCentre, type Provider, type Text } from './providers';
import { ADMIN_TOKEN, type Heed, start } from './server';

// From a drop-off in a funnel to a message that leaves the house: what the servers
// of others took is what was reviewed, no more and no less.

let browser: Browser;
let heed: Heed;
let marketer: Profile;
let centre: Provider<Text>;
let mail: Provider<Letter>;

const day = 86_400_000;
const patient = { timeout: 180_000 };
const steps = ['page', 'click_event1', 'custom_event2'];
/** The last May that lies well before the days that make people engaged. */
const may = (() => {
  const before = new Date(Date.now() - 60 * day);
  return before.getUTCMonth() > 4 ? before.getUTCFullYear() : before.getUTCFullYear() - 1;
})();
/** Two weeks ago, when some of the sample's people came, too. */
const lately = Date.now() - 14 * day;
const monthOf = (ms: number) =>
  new Intl.DateTimeFormat('en-US', { month: 'long', year: 'numeric', timeZone: 'UTC' }).format(ms);

const definitions = () => `
{kind: source, name: crm, writeKey: crm-key, serverKey: crm-server-key-0123456789}
---
{kind: settings, name: sending, quiet: {off: true}}
---
kind: channel
name: texts
type: sms
smpp: {host: 127.0.0.1, port: ${centre.port}, systemId: heed, password: s3cret-pass, sender: Heed}
---
kind: channel
name: news
type: email
address: Hearth & Home Ltd, 1 High Street
smtp: {host: 127.0.0.1, port: ${mail.port}, tls: none, from: Hearth & Home <news@hearth.example>}
`;

/** What becomes of somebody, by what they said and left. */
const people = ['yes', 'yes', 'yes', 'yes', 'silent', 'no', 'nowhere', 'suppressed'] as const;
const person = (group: string, n: number) => ({
  id: `${group}-${n}-${people[n]}`,
  email: `${group}.${n}@walk.example`,
  phone: `+4670174${(group === 'often' ? 1605 : 1650) + n}`, // kept for films
});

/** Who clicked and never did what comes after it, on the days. */
function stuck(group: string, days: number[]): object[] {
  return people.flatMap((kind, n) => {
    const { id, email, phone } = person(group, n);
    const consent = kind === 'silent' ? {} : { email: kind !== 'no', sms: kind !== 'no' };
    const at = (ms: number, rest: object) => ({
      userId: id,
      timestamp: new Date(ms).toISOString(),
      ...rest,
    });
    return days.flatMap((then) => [
      at(then, { type: 'track', event: 'page' }),
      at(then, {
        type: 'identify',
        traits: kind === 'nowhere' ? { consent } : { consent, email, phone },
      }),
      at(then + 60_000, { type: 'track', event: 'click_event1' }),
    ]);
  });
}

async function post(path: string, body: string | object, type = 'application/json') {
  const r = await fetch(heed.url + path, {
    method: 'POST',
    headers: {
      'content-type': type,
      ...(path.startsWith('/api/') && { authorization: `Bearer ${ADMIN_TOKEN}` }),
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  expect(r.status, await r.clone().text()).toBe(200);
  return r.json();
}

beforeAll(async () => {
  [browser, heed, centre, mail] = await Promise.all([
    launch(),
    start({ demo: true, sample: 2000 }),
    messageCentre(),
    mailbox(),
  ]);
  marketer = await profile(browser, heed, { calm: true });
  await signIn(marketer, 'marketer');
  await post('/api/v1/definitions:apply', definitions(), 'application/yaml');
  await heed.sampleLoaded();
  const engaged = Array.from({ length: 6 }, (_, n) => Date.now() - (n + 1) * 2 * day);
  const batch = [
    ...stuck('often', [Date.UTC(may, 4, 15, 12), ...engaged]),
    ...stuck('once', [lately]),
  ];
  expect(await post('/v1/batch', { writeKey: 'crm-server-key-0123456789', batch })).toMatchObject({
    accepted: batch.length,
  });
  for (const group of ['often', 'once']) {
    const { email, phone } = person(group, people.indexOf('suppressed'));
    await post('/api/v1/suppressions', { type: 'email', address: email });
    await post('/api/v1/suppressions', { type: 'sms', address: phone });
  }
}, patient.timeout);
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
  centre?.close();
  mail?.close();
});

const number = (text: string | null) => Number((text ?? '').replaceAll(/\D/g, ''));

interface Walk {
  engagement: RegExp;
  month: string;
  channel: string;
  type: 'email' | 'sms';
  write: (composer: Locator, click: (what: Locator) => Promise<void>) => Promise<void>;
  /** The addresses that the provider has sent to. */
  taken: () => string[];
}

/** Walks from Home to the end of sending; gives the ids of those who were written to. */
async function walk(w: Walk): Promise<string[]> {
  const page = await marketer.open('/');
  await page.getByTestId('checklist').waitFor();
  let clicks = 0;
  const click = async (what: Locator) => {
    clicks++;
    await what.click();
  };
  await click(page.getByRole('link', { name: 'Explore' }));
  await page.getByTestId('bars').waitFor();
  await click(page.getByRole('button', { name: w.engagement }));
  await click(page.getByRole('link', { name: 'Acquisition month' }));
  await click(page.getByRole('button', { name: new RegExp(`^${w.month}`) }));
  await click(page.getByRole('link', { name: 'Funnel' }));
  const picker = page.getByTestId('picker');
  for (const [i, step] of steps.entries()) {
    await click(picker.getByRole('button', { name: new RegExp(`^${step}`) }));
    await page.locator(`[data-level="${i + 1}"]`).waitFor();
  }
  await click(page.getByRole('button', { name: /^Stuck at level 2: did click_event1, not/ }));
  await page.getByTestId('total').waitFor();
  const ids = await matched(page);
  const reached = (await Promise.all(ids.map((id) => reachOf(id, w)))).flatMap((r) => r ?? []);
  expect(reached.length).toBeGreaterThanOrEqual(4);
  expect(ids.length).toBeGreaterThanOrEqual(reached.length + 4);

  const composer = page.getByTestId('composer');
  await composer
    .getByTestId('reachable')
    .getByText(new RegExp(`\\b${w.channel} ${reached.length}\\b`))
    .waitFor();
  await click(composer.getByText(new RegExp(`^${w.channel}$`, 'i')));
  await w.write(composer, click);
  await click(composer.getByRole('button', { name: 'Review' }));
  const review = composer.getByTestId('review');
  expect(number(await review.getByTestId('matched').textContent())).toBe(ids.length);
  expect(number(await review.getByTestId('sending').textContent())).toBe(reached.length);
  for (const why of ['has not agreed', 'does not want', 'address', 'must not be written to'])
    await review.locator('dt', { hasText: why }).first().waitFor();
  await presentable(page);
  await page.setViewportSize({ width: 1280, height: 860 });
  clicks++;
  await composer.getByRole('button', { name: `Send to ${reached.length}` }).dblclick(); // sends once
  expect(clicks).toBeLessThanOrEqual(13);
  const campaign = await page.getByTestId('sent').getByRole('link').first().textContent();
  // all of them are decided: whatever was to be sent, was
  await expect
    .poll(async () => {
      const { deliveries } = await heed.admin<{ deliveries: { status: string }[] }>(
        `/deliveries?campaign=${campaign}&limit=500`,
      );
      const sent = deliveries.filter((d) => d.status === 'sent').length;
      return [sent, deliveries.length];
    }, patient)
    .toEqual([reached.length, ids.length]);
  expect(w.taken().sort()).toEqual(reached.map((r) => r.address).sort());
  await page.close();
  return reached.map((r) => r.id);
}

/** The ids of the drawer's file. */
async function matched(page: Page): Promise<string[]> {
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('dialog').getByRole('button', { name: 'CSV' }).click(),
  ]);
  const [, ...ids] = readFileSync(await saved.path(), 'utf8')
    .trimEnd()
    .split('\n');
  return ids;
}

/** Where a user may be written to, as their own page says; undefined: nowhere. */
async function reachOf(id: string, w: Walk) {
  const { channels } = await heed.admin<{
    channels: { channel: string; marketing: { allowed: boolean } }[];
  }>(`/users/${id}/reach`);
  if (!channels.find((c) => c.channel === w.channel)?.marketing.allowed) return undefined;
  const { email, phone } = await heed.admin<Record<'email' | 'phone', { value: string }>>(
    `/users/${id}`,
  );
  return { id, address: w.type === 'email' ? email.value : phone.value };
}

const own = (group: string) => [0, 1, 2, 3].map((n) => person(group, n).id).sort();

test('a text message reaches exactly those who were reviewed', patient, async () => {
  const text = 'You were nearly there.';
  const ids = await walk({
    engagement: /^Medium-high/,
    month: `May ${may}`,
    channel: 'texts',
    type: 'sms',
    write: async (composer) => {
      await composer.getByRole('textbox', { name: 'Text' }).waitFor();
      await composer.page().keyboard.type(text); // it has the focus
      await composer.getByText('1 segment · 22 of 160 characters').waitFor();
    },
    taken: () => centre.taken.map((t) => `+${t.to}`),
  });
  expect(ids).toEqual(expect.arrayContaining(own('often')));
  expect(new Set(centre.taken.map((t) => `${t.from}: ${t.text}`))).toEqual(
    new Set([`Heed: ${text}`]),
  );
  expect(mail.taken).toEqual([]);
});

test('an e-mail reaches exactly those who were reviewed', patient, async () => {
  const ids = await walk({
    engagement: /^Low/,
    month: monthOf(lately),
    channel: 'news',
    type: 'email',
    write: async (composer, click) => {
      const { keyboard } = composer.page();
      await click(composer.getByLabel('Subject'));
      await keyboard.type('Nearly there');
      await keyboard.press('Tab');
      await keyboard.type('Come back & look.');
    },
    taken: () => mail.taken.flatMap((l) => l.to),
  });
  expect(ids).toEqual(expect.arrayContaining(own('once')));
  // people of the sample history are among them
  expect(ids.filter((id) => id.startsWith('sample-'))).not.toEqual([]);
  for (const { to, text } of mail.taken) {
    expect(to).toHaveLength(1);
    expect(text).toMatch(/^Subject: Nearly there\r$/m);
    expect(text).toMatch(/^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r$/m);
    expect(text).toContain('Come back &amp; look.');
    expect(text).toMatch(/Hearth &amp; Home Ltd, 1 High\s*=?\s*Street/);
  }
  // nothing more was sent by either provider meanwhile
  expect(centre.taken.map((t) => t.text)).toEqual(centre.taken.map(() => 'You were nearly there.'));
  expect(new Set(centre.taken.map((t) => t.to)).size).toBe(centre.taken.length);
  expect(marketer.trouble).toEqual([]);
});
