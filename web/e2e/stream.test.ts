import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { launch, type Profile, profile, setUp } from './browser';
import { type Kafka, kafka } from './kafka';
import { type Heed, start } from './server';

// Somebody else's topic, from its brokers to a message, in the console.

let browser: Browser;
let heed: Heed;
let broker: Kafka | undefined;
let admin: Profile;
let page: Page;
beforeAll(async () => {
  [browser, heed, broker] = await Promise.all([launch(), start({ admin: false }), kafka()]);
  admin = await profile(browser, heed, { calm: true });
  page = await setUp(admin);
}, 300_000); // where everything is slow, the broker takes a while
afterAll(async () => {
  await admin?.context.close();
  await Promise.all([browser?.close(), heed?.remove(), broker?.close()]);
  expect(admin?.trouble).toEqual([]);
});

const registration = (id: string, first: string, plan: string) => ({
  customer: { id, first },
  plan,
});

test('a stream is connected, picked as segment and as field, and its message goes out', {
  timeout: 120_000,
}, async ({ skip }) => {
  if (!broker) return skip('there is no Kafka here');
  const topic = 'crm.registrations';
  await broker.write(topic, '1', registration('old-1', 'Grace', 'silver'));
  const button = (name: string | RegExp, on = page) =>
    on.getByRole('button', { name, exact: typeof name === 'string' });
  const pick = async (chip: string | RegExp, option: string | RegExp) => {
    await button(chip).click();
    await page.getByRole('option', { name: option }).click();
  };
  const save = () => button('Save').click();
  const shows = (what: string) => page.getByRole('heading', { name: what }).waitFor();

  // where streams will be picked, before there is one
  const segment = await admin.open('/new/audience');
  await button('a condition', segment).click();
  expect(await segment.getByRole('menuitem', { name: /^Came by/ }).count()).toBe(0);
  await segment.keyboard.press('Escape');
  await page.bringToFront();

  await page.getByRole('link', { name: 'Data' }).click();
  await page.getByRole('link', { name: 'Streams' }).click();
  await page.getByRole('link', { name: 'Connect Kafka' }).first().click();
  await page.getByLabel('Addresses').fill(broker.Addrs.join(', '));
  await page.getByText('TLS', { exact: true }).click();
  await page.getByText('Certificates').click();
  await page.getByLabel('Certificate authority').fill(broker.CA);
  await page.getByLabel('Sign in').selectOption('SCRAM-SHA-512');
  await page.getByLabel('User', { exact: true }).fill(broker.User);
  await page.getByLabel('Password', { exact: true }).fill(broker.Password);
  await button('Connect').click();
  await page.getByText('Connected: 1 topic.').waitFor();
  await pick('Topic: pick a topic', topic);
  await page.getByTestId('newest').getByText('"Grace"').waitFor();
  const use = async (place: string, as: string) => {
    await page.getByTestId('fields').getByRole('button', { name: place }).click();
    await page.getByRole('menuitem', { name: as, exact: true }).click();
  };
  await use('value.customer.id', 'The user’s key');
  await use('value.customer.first', 'A trait of the user');
  await page.getByLabel('Take value.customer.id').uncheck();
  await button('Event: pick an event').click();
  await page.keyboard.type('registered');
  await page.getByRole('option', { name: 'New event: registered' }).click();
  await button('Test').click();
  await page.getByTestId('messages').getByText('old-1 · registered').waitFor();
  await save();
  await shows('registrations');
  // what is stored is not shown again, and keeps working
  expect(await page.getByLabel('Password', { exact: true }).inputValue()).toBe('***');
  await button('Test').click();
  await page.getByTestId('messages').getByText('old-1 · registered').waitFor();
  await page.getByText('follows', { exact: true }).waitFor();

  // as a segment, on the page that was open all the time
  await button('a condition', segment).click();
  await segment.getByRole('menuitem', { name: /^Came by registrations/ }).click();
  await segment.getByLabel('Name', { exact: true }).fill('registered');
  await button('Save', segment).click();
  await segment.getByRole('heading', { name: 'registered' }).waitFor();

  // as a field of what is said
  await page.getByRole('link', { name: 'Templates' }).click();
  await page.getByRole('link', { name: 'New template' }).click();
  await page.getByRole('link', { name: 'outbox', exact: true }).click();
  const text = page.getByRole('textbox', { name: 'Text', exact: true });
  await text.fill('Your plan: ');
  await pick('Insert a field: Insert a field', 'event.properties.plan');
  expect(await text.inputValue()).toBe('Your plan: {{ event.properties.plan }}');
  await page.getByLabel('Name', { exact: true }).fill('welcome');
  await save();
  await shows('welcome');
  const applied = await admin.context.request.post(`${heed.url}/api/v1/definitions:apply`, {
    headers: { 'content-type': 'application/yaml', origin: heed.url },
    data: `kind: campaign
name: welcome
purpose: transactional
when: {stream: registrations}
what: [{channel: outbox, template: welcome}]
status: live
`,
  });
  expect(applied.status()).toBe(200);

  await broker.write(topic, '2', registration('new-1', 'Ada', 'gold'));
  await page.getByRole('link', { name: 'Outbox' }).click();
  await page.getByTestId('outbox').getByText('new-1').click();
  await page.getByText('Your plan: gold').first().waitFor();
  await segment.getByTestId('size').getByText('1', { exact: true }).waitFor();
});
