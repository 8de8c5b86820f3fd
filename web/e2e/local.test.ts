import type { Browser, Locator, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, presentable, profile, signIn } from './browser';
import { messageCentre } from './providers';
import { ADMIN_TOKEN, type Heed, start } from './server';

// Walk 1 on a demo as it ships, without any provider: the people of the sample history get
// a text message and an e-mail by the channels that are local, and the Outbox shows both.

let browser: Browser;
let heed: Heed;
let marketer: Profile;

const patient = { timeout: 180_000 };
/** Of these days there is most to tell of people who come rarely. */
const lately = new Intl.DateTimeFormat('en-US', {
  month: 'long',
  year: 'numeric',
  timeZone: 'UTC',
}).format(Date.now() - 14 * 86_400_000);

beforeAll(async () => {
  [browser, heed] = await Promise.all([launch(), start({ demo: true, sample: 2000 })]);
  marketer = await profile(browser, heed, { calm: true });
  await signIn(marketer, 'marketer');
  await heed.sampleLoaded();
}, patient.timeout);
afterAll(async () => {
  await browser?.close();
  await heed?.remove();
});

const number = (text: string | null) => Number((text ?? '').replaceAll(/\D/g, ''));

/** Walks from Home to the end of sending; gives how many were written to. */
async function walk(
  channel: string,
  write: (composer: Locator, page: Page) => Promise<void>,
): Promise<{ page: Page; sending: number; campaign: string }> {
  const page = await marketer.open('/');
  let clicks = 0;
  const click = async (what: Locator) => {
    clicks++;
    await what.click();
  };
  await page.getByTestId('checklist').waitFor();
  await click(page.getByRole('link', { name: 'Explore' }));
  await page.getByTestId('bars').waitFor();
  await click(page.getByRole('button', { name: /^Low/ }));
  await click(page.getByRole('link', { name: 'Acquisition month' }));
  await click(page.getByRole('button', { name: new RegExp(`^${lately}`) }));
  await click(page.getByRole('link', { name: 'Funnel' }));
  for (const [i, step] of ['page', 'click_event1', 'custom_event2'].entries()) {
    await click(page.getByTestId('picker').getByRole('button', { name: new RegExp(`^${step}`) }));
    await page.locator(`[data-level="${i + 1}"]`).waitFor();
  }
  await click(page.getByRole('button', { name: /^Stuck at level 2: did click_event1, not/ }));
  await page.getByTestId('total').waitFor();
  const composer = page.getByTestId('composer');
  await click(composer.getByText(new RegExp(`^${channel}$`, 'i')));
  await write(composer, page);
  await click(composer.getByRole('button', { name: 'Review' }));
  const review = composer.getByTestId('review');
  const sending = number(await review.getByTestId('sending').textContent());
  expect(sending).toBeGreaterThan(0);
  expect(number(await review.getByTestId('matched').textContent())).toBeGreaterThan(sending);
  clicks++;
  await composer.getByRole('button', { name: `Send to ${sending}` }).click();
  expect(clicks).toBeLessThanOrEqual(13);
  const sent = page.getByTestId('sent');
  await sent.getByText(new RegExp(`^ ?It is on its way to ${sending} users? of \\d`)).waitFor();
  const campaign = await sent.getByRole('link').first().textContent();
  await expect
    .poll(async () => {
      const { deliveries } = await heed.admin<{ deliveries: { status: string }[] }>(
        `/deliveries?campaign=${campaign}&status=sent&limit=500`,
      );
      return deliveries.length;
    }, patient)
    .toBe(sending);
  await sent.getByRole('link', { name: 'Outbox', exact: true }).click();
  return { page, sending, campaign: campaign ?? '' };
}

/** The messages of a campaign that the Outbox holds. */
async function caught(campaign: string) {
  const { messages } = await heed.admin<{
    messages: { campaign: string; channel: string; as: string; to: string }[];
  }>('/outbox?limit=500');
  return messages.filter((m) => m.campaign === campaign);
}

test('a text message ends on the phone in the Outbox', patient, async () => {
  const { page, sending, campaign } = await walk('local-sms', async (composer) => {
    await composer.getByRole('textbox', { name: 'Text' }).fill('You were nearly there.');
    await composer.getByText('1 segment · 22 of 160 characters').waitFor();
  });
  const texts = await caught(campaign);
  expect(texts.length).toBe(sending);
  for (const m of texts) {
    expect(m).toMatchObject({ channel: 'local-sms', as: 'sms' });
    expect(m.to).toMatch(/^\+\d+$/);
  }
  await page.getByTestId('outbox').getByRole('button').first().click();
  const phone = page.getByTestId('phone');
  await phone.getByText('You were nearly there.').waitFor();
  await phone.getByText(/^to \+\d+$/).waitFor();
  await phone.getByText('1 segment').waitFor();
  await presentable(page);
  await page.close();
});

test('an e-mail ends in the Outbox as its reader would see it', patient, async () => {
  const { page, sending, campaign } = await walk('local-email', async (composer) => {
    await composer.getByLabel('Subject').fill('Nearly there');
    await composer.getByRole('textbox', { name: 'Text' }).fill('Come back & look.');
  });
  const letters = await caught(campaign);
  expect(letters.length).toBe(sending);
  for (const m of letters) expect(m).toMatchObject({ channel: 'local-email', as: 'email' });
  await page.getByTestId('outbox').getByRole('button').first().click();
  const letter = page.getByRole('dialog').frameLocator('iframe');
  await letter.getByText('Come back & look.').waitFor();
  await letter.getByRole('link', { name: 'Unsubscribe' }).waitFor();
  await letter.getByText('Hearth & Home Ltd, 1 High Street, Anytown').waitFor();
  await presentable(page);
  await page.close();
});

test('a message centre that is down is seen, and the process stays ready', patient, async () => {
  const centre = await messageCentre();
  const smpp = (port: number) =>
    `{host: 127.0.0.1, port: ${port}, systemId: heed, password: s3cret, sender: Heed}`;
  const applied = await fetch(`${heed.url}/api/v1/definitions:apply`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/yaml' },
    body: `{kind: channel, name: centre-up, type: sms, smpp: ${smpp(centre.port)}}
---
{kind: channel, name: centre-down, type: sms, smpp: ${smpp(1)}}`,
  });
  expect(applied.status, await applied.text()).toBe(200);
  const page = await marketer.open('/settings?tab=health');
  const sessions = page.getByTestId('sessions');
  await sessions.getByText('Bound', { exact: true }).waitFor();
  await sessions.getByText('Down', { exact: true }).waitFor();
  await sessions.getByText('connection refused').waitFor();
  await presentable(page);
  expect((await fetch(`${heed.url}/readyz`)).status).toBe(200);
  const metrics = await (await fetch(`${heed.url}/metrics`)).text();
  expect(metrics).toContain('heed_smpp_bound{channel="centre-up"} 1');
  expect(metrics).toContain('heed_smpp_bound{channel="centre-down"} 0');
  await page.goto(`${heed.url}/settings?tab=channels`);
  await page
    .getByTestId('channels')
    .getByRole('link', { name: /^centre-down.*connection refused.*Down/ })
    .waitFor();
  await presentable(page);
  await page.close();
  centre.close();
});

test('the channels say that they are local', patient, async () => {
  const page = await marketer.open('/settings?tab=channels');
  for (const name of ['local-sms', 'local-email'])
    await page
      .getByTestId('channels')
      .getByRole('link', { name: new RegExp(`^${name}.*goes to the Outbox and nowhere else`) })
      .waitFor();
  await presentable(page);
  expect(marketer.trouble).toEqual([]);
  await page.close();
});
