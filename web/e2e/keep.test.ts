import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, presentable, profile, signIn } from './browser';
import { ADMIN_TOKEN, type Heed, start } from './server';

// The composer beside a drop-off, over a history that is really there: who that is can be meant in
// two ways, each reads their own language, and it goes on to those who drop out later.

let browser: Browser;
let heed: Heed;
let marketer: Profile;

const day = 86_400_000;
const patient = { timeout: 180_000 };
const steps = ['page', 'click_event1', 'custom_event2'];
/** Languages of the people who are stuck behind the click. */
const readers: Record<string, string | undefined> = {
  anna: 'de-AT',
  bert: 'de',
  kari: 'no',
  olaf: 'nn-NO',
  zoe: undefined,
};

const post = async (path: string, body: string | object, type = 'application/json') => {
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
};

/** Somebody clicks, days ago, and never does what comes after it. */
const dropsOut = (userId: string, locale?: string) =>
  post('/v1/batch', {
    writeKey: 'crm-server-key-0123456789',
    batch: ['page', 'identify', 'click_event1'].map((event, i) => ({
      userId,
      timestamp: new Date(Date.now() - 14 * day + i * 60_000).toISOString(),
      ...(event === 'identify'
        ? { type: 'identify', traits: locale ? { locale } : {} }
        : { type: 'track', event }),
    })),
  });

beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true, sample: 300 })]);
  marketer = await profile(browser, heed, { calm: true });
  await signIn(marketer, 'marketer');
  await post(
    '/api/v1/definitions:apply',
    '{kind: source, name: crm, writeKey: crm-key, serverKey: crm-server-key-0123456789}',
    'application/yaml',
  );
  await heed.sampleLoaded();
  for (const [id, locale] of Object.entries(readers)) await dropsOut(id, locale);
}, patient.timeout);
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
});

const number = (text: string | null) => Number((text ?? '').replaceAll(/\D/g, ''));
const total = async (page: Page) => number(await page.getByTestId('total').textContent());

/** Explore, with the drawer of those who are stuck at level 2 open. */
async function stuck(): Promise<Page> {
  const page = await marketer.open('/explore?view=funnel');
  const picker = page.getByTestId('picker');
  for (const [i, step] of steps.entries()) {
    await picker.getByRole('button', { name: new RegExp(`^${step}`) }).click();
    await page.locator(`[data-level="${i + 1}"]`).waitFor();
  }
  await page.getByRole('button', { name: /^Stuck at level 2/ }).click();
  await page.getByTestId('total').waitFor();
  return page;
}

/** The ids of the drawer's file. */
async function listed(page: Page): Promise<string[]> {
  const [saved] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('dialog').getByRole('button', { name: 'CSV' }).click(),
  ]);
  return readFileSync(await saved.path(), 'utf8')
    .trimEnd()
    .split('\n')
    .slice(1);
}

/** What the outbox holds of a campaign, by user. */
async function letters(campaign: string): Promise<Map<string, string>> {
  const { messages } = await heed.admin<{
    messages: { user: string; text: string; campaign: string }[];
  }>('/outbox?limit=500');
  const ours = messages.filter((m) => m.campaign === campaign);
  expect(new Set(ours.map((m) => m.user)).size).toBe(ours.length); // to each once
  return new Map(ours.map((m) => [m.user, m.text]));
}

/** Who enters an audience is told from when it has been counted. */
const counted = (audience: string) =>
  expect
    .poll(async () => {
      const { audiences } = await heed.admin<{ audiences: { name: string; state: string }[] }>(
        '/audiences',
      );
      return audiences.find((a) => a.name === audience)?.state;
    }, patient)
    .toBe('ready');

test('each reads their own language, and new drop-outs get it too', patient, async () => {
  const page = await stuck();
  const readings = page.getByTestId('readings');
  const ids = await listed(page);
  expect(ids).toEqual(expect.arrayContaining(Object.keys(readers)));
  // the other reading of it is another group
  await readings.getByText('did not get to level 2: did page, not click_event1').click();
  await page.getByRole('heading', { name: /^Stuck at level 1/ }).waitFor();
  await page.getByTestId('total').waitFor();
  const others = await listed(page);
  expect(others.length).toBe(await total(page));
  expect(others.filter((id) => ids.includes(id))).toEqual([]);
  await readings.getByText('got to level 2 and no further').click();
  await expect.poll(() => total(page).catch(() => 0)).toBe(ids.length);

  const composer = page.getByTestId('composer');
  await composer.getByText('Outbox SMS', { exact: true }).click();
  const text = composer.getByRole('textbox', { name: 'Text' });
  await text.fill('Hello');
  const language = async (chip: RegExp, tag: string, option: string) => {
    await composer.getByRole('button', { name: chip }).click();
    await page.keyboard.type(tag);
    await page.getByRole('option', { name: option }).first().click();
  };
  await language(/^Language/, 'en', 'English');
  await language(/^Another language/, 'de', 'German');
  await text.fill('Hallo');
  await language(/^Another language/, 'nb', 'Norwegian Bokmål');
  await text.fill('Hei');
  await composer.getByRole('button', { name: 'Review' }).click();
  const review = composer.getByTestId('review');
  const users = async (of: string) =>
    number(await review.locator(`[data-text="${of}"] dd`).textContent());
  const counts = {
    Hallo: await users('de'),
    Hei: await users('nb'),
    Hello: await users('everybody'),
  };
  expect(counts.Hallo).toBeGreaterThanOrEqual(2);
  expect(counts.Hei).toBeGreaterThanOrEqual(2);
  expect(counts.Hallo + counts.Hei + counts.Hello).toBe(ids.length);
  await review.getByText(/is not known\)$/).waitFor();
  await review.getByText('German', { exact: true }).click();
  await review.getByTestId('read').getByText('Hallo').waitFor();
  await presentable(page);
  await page.setViewportSize({ width: 1280, height: 860 });
  if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/review.png` });

  await review.getByRole('button', { name: 'Keep sending to new drop-outs' }).dblclick();
  const sent = page.getByTestId('sent');
  await sent.getByText('and goes on to new drop-outs').waitFor();
  await presentable(page);
  if (process.env.PICTURES) await page.screenshot({ path: `${process.env.PICTURES}/kept.png` });
  const campaign = (await sent.getByRole('link').first().textContent()) ?? '';
  await expect.poll(async () => (await letters(campaign)).size, patient).toBe(ids.length);
  const got = await letters(campaign);
  expect([...got.keys()].sort()).toEqual([...ids].sort());
  const texts = [...got.values()];
  for (const [said, n] of Object.entries(counts))
    expect(texts.filter((t) => t === said).length, said).toBe(n);
  expect(Object.keys(readers).map((id) => got.get(id))).toEqual([
    'Hallo',
    'Hallo',
    'Hei',
    'Hei',
    'Hello',
  ]);
  // who drops out now gets it, in their language
  await counted(campaign);
  await dropsOut('nora', 'nb-NO');
  await dropsOut('dora', 'de-CH');
  await expect
    .poll(async () => {
      const now = await letters(campaign);
      return [now.size, now.get('nora'), now.get('dora')];
    }, patient)
    .toEqual([ids.length + 2, 'Hei', 'Hallo']);
  await page.close();
  expect(marketer.trouble).toEqual([]);
});

test(
  'the audience that is left keeps updating, is frozen, and is taken back',
  patient,
  async () => {
    const page = await stuck();
    const n = await total(page);
    const composer = page.getByTestId('composer');
    await composer.getByText('Outbox SMS', { exact: true }).click();
    await composer.getByRole('textbox', { name: 'Text' }).fill('Once');
    await composer.getByRole('button', { name: 'Review' }).click();
    await composer.getByRole('button', { name: `Send to ${n}` }).click();
    const sent = page.getByTestId('sent');
    await sent.getByText('which keeps updating').waitFor();
    const campaign = (await sent.getByRole('link').first().textContent()) ?? '';
    await expect.poll(async () => (await letters(campaign)).size, patient).toBe(n);
    const spec = async (kind: string) => {
      const { definitions } = await heed.admin<{
        definitions: { name: string; spec: Record<string, unknown> }[];
      }>(`/definitions/${kind}`);
      return definitions.find((d) => d.name === campaign)?.spec;
    };
    await sent.getByRole('button', { name: `Keep just these ${n}` }).click();
    await sent.getByText('as they were then').waitFor();
    expect(await spec('audience')).toHaveProperty('frozen');
    await sent.getByRole('button', { name: 'Undo' }).click();
    await sent.getByText('They are not kept as an audience').waitFor();
    expect(await spec('audience')).toBeUndefined();
    expect(await spec('campaign')).not.toHaveProperty('who');
    await page.close();
    expect(marketer.trouble).toEqual([]);
  },
);

test('it goes on to whom the profile alone tells apart', patient, async () => {
  const vip = (userId: string) =>
    post('/v1/batch', {
      writeKey: 'crm-server-key-0123456789',
      batch: [{ type: 'identify', userId, traits: { vip: true, locale: 'pt' } }],
    });
  await vip('rita');
  const draft = {
    name: 'vips',
    channel: 'outbox',
    as: 'sms',
    body: 'Hello',
    locales: { 'pt-BR': { body: 'Oi' } },
    audience: { where: { field: 'traits.vip', op: 'eq', value: true } },
    keep: true,
  };
  const review = () => post('/api/v1/sends:review', draft);
  await expect.poll(async () => (await review()).matched, patient).toBe(1);
  const { languages } = await review();
  expect(languages).toMatchObject([
    { locale: 'pt-BR', users: 1, preview: { user: 'rita', body: 'Oi' } },
    { fallback: true, users: 0 },
  ]);
  const order = { ...draft, id: 'order-of-vips', matched: 1 };
  await post('/api/v1/sends', order);
  expect(await post('/api/v1/sends', order)).toMatchObject({ users: 1, audience: 'vips' });
  await expect.poll(async () => [...(await letters('vips'))], patient).toEqual([['rita', 'Oi']]);
  await counted('vips-entering');
  await vip('sara');
  await expect.poll(async () => (await letters('vips')).get('sara'), patient).toBe('Oi');
  // everybody is in it already
  const { audience: _, ...all } = draft;
  const refused = await fetch(`${heed.url}/api/v1/sends:review`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${ADMIN_TOKEN}` },
    body: JSON.stringify({ ...all, name: 'all' }),
  });
  expect(refused.status).toBe(400);
});
