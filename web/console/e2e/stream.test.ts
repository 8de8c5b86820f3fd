import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { accessible, accessibleInBoth, fits } from './browser';
import { mocked } from './mocked';

// Connecting a topic, against the mock.

const world = mocked();
const { go } = world;

const button = (page: Page, name: string | RegExp) =>
  page.getByRole('button', { name, exact: typeof name === 'string' });
const option = (page: Page, name: string | RegExp) => page.getByRole('option', { name });
const use = async (page: Page, place: string, as: string) => {
  await page.getByTestId('fields').getByRole('button', { name: place }).click();
  await page.getByRole('menuitem', { name: as, exact: true }).click();
};
/** It fits, and axe finds nothing, in light and dark. */
const presentable = async (page: Page) => {
  for (const width of [390, 768, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
    if (width !== 768) await accessibleInBoth(page);
  }
};
const slow = 120_000;

test('a topic is connected by clicking what its messages show', { timeout: slow }, async () => {
  const page = await go('/data/streams');
  await page.getByTestId('streams').getByText('registrations', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Connect Kafka' }).click();
  expect(await button(page, 'Connect').isDisabled()).toBe(true);
  expect(await button(page, 'Test').isDisabled()).toBe(true);
  await page.getByLabel('Addresses').fill('k1.example:9092, k2.example:9092,');
  await button(page, 'Connect').click();
  await page.getByText('Connected: 3 topics.').waitFor();
  await button(page, 'Topic: pick a topic').click();
  await accessible(page);
  await option(page, 'crm.registrations').click();
  await page.getByTestId('newest').getByText('"ada@example.com"').waitFor();
  await page.getByText('The newest 2 messages. Pick the field that says who did it').waitFor();
  expect(await button(page, 'Save').getAttribute('title')).toBe(
    'Pick the field that says who did it',
  );

  await use(page, 'value.customer.id', 'The user’s key');
  await button(page, 'User key: value.customer.id').waitFor();
  await button(page, 'Event: pick an event').click();
  await page.keyboard.type('signed up');
  await option(page, 'New event: signed up').click();
  await use(page, 'value.at', 'When it happened');
  await button(page, 'Time is given as: milliseconds since 1970').waitFor();
  await use(page, 'value.customer.email', 'A trait of the user');
  await page.getByTestId('fields').getByText('Trait email').waitFor();
  await page.getByLabel('Take value.at').uncheck();
  await page.getByLabel('Take key').check();
  await page.getByText('Changed since they were read').waitFor();
  await button(page, 'Test').click();
  await page.getByTestId('messages').getByText('c42 · signed up').waitFor();
  await page.getByTestId('messages').getByText('Left out: is not a JSON object').waitFor();
  await page.getByText('1 would become events, 1 would not').waitFor();
  await presentable(page);

  await page.getByLabel('Name', { exact: true }).fill('signups');
  await button(page, 'Save').click();
  await page.getByText('signups is saved.').waitFor();
  expect(world.mock.stored('stream', 'signups')?.spec).toEqual({
    kafka: { brokers: ['k1.example:9092', 'k2.example:9092'] },
    topic: 'crm.registrations',
    userId: 'value.customer.id',
    event: 'signed up',
    time: 'value.at',
    timeFormat: 'ms',
    properties: {
      email: 'value.customer.email',
      id: 'value.customer.id',
      plan: 'value.plan',
      key: 'key',
    },
    traits: { email: 'value.customer.email' },
  });
  await page.getByTestId('fares').waitFor();
});

test('brokers with TLS and a password, a schema registry, and a start', {
  timeout: slow,
}, async () => {
  const page = await go('/new/stream');
  world.refusing();
  await page.getByLabel('Addresses').fill('nowhere.example:9092');
  await button(page, 'Connect').click();
  await page.getByText(/no broker answers at nowhere/).waitFor();
  await accessible(page);
  await page.getByLabel('Addresses').fill('k1.example:9093');
  await page.getByLabel('Sign in').selectOption('PLAIN');
  // it would say the password to everybody on the way
  expect(await page.getByLabel('TLS').isChecked()).toBe(true);
  await page.getByLabel('User', { exact: true }).fill('heed');
  await page.getByLabel('Password', { exact: true }).fill('hush');
  await page.getByText('Certificates').click();
  await page.getByLabel('Certificate authority').fill('/etc/heed/ca.pem');
  await button(page, 'Topic: pick a topic').click();
  await page.keyboard.type('crm.empty');
  await option(page, 'The topic crm.empty').click();
  await page.getByText('The topic is empty').waitFor();
  await button(page, 'Format: JSON').click();
  await page.getByRole('menuitem', { name: 'Avro' }).click();
  await page.getByLabel('Written', { exact: true }).selectOption({ index: 1 });
  await page.getByLabel('Registry', { exact: true }).fill('https://schemas.example');
  await button(page, /^Begins with:/).click();
  await page.getByRole('menuitem', { name: 'messages since' }).click();
  await page.getByLabel('Since', { exact: true }).fill('2026-11-01T00:00');
  // places can be typed, too
  await button(page, 'User key: pick a field').click();
  await page.keyboard.type('key.id');
  await option(page, 'The place key.id').click();
  await button(page, 'Event name: always').click();
  await page.getByRole('menuitem', { name: 'as a field says:' }).click();
  await button(page, 'Name from: pick a field').click();
  await page.keyboard.type('headers.type');
  await option(page, 'The place headers.type').click();
  await page.getByText('not in what was read').first().waitFor();
  await accessible(page);
  await page.setViewportSize({ width: 390, height: 860 });
  await fits(page);
  await button(page, 'Save').click();
  await page.getByText('empty is saved.').waitFor();
  expect(world.mock.stored('stream', 'empty')?.spec).toEqual({
    kafka: {
      brokers: ['k1.example:9093'],
      tls: { ca: '/etc/heed/ca.pem' },
      sasl: { mechanism: 'plain', user: 'heed', password: 'hush' },
    },
    topic: 'crm.empty',
    start: new Date('2026-11-01T00:00').toISOString().replace('.000', ''),
    format: 'avro',
    avro: { framing: 'confluent', registry: 'https://schemas.example' },
    userId: 'key.id',
    eventFrom: 'headers.type',
  });
});

test('a stream can be connected by keyboard alone', { timeout: slow }, async () => {
  const page = await go('/new/stream');
  const { keyboard } = page;
  const focused = () =>
    page.evaluate(() => {
      const at = document.activeElement;
      return at?.getAttribute('aria-label') ?? at?.textContent ?? '';
    });
  /** Goes on to what is called so. */
  const to = async (name: RegExp) => {
    for (let n = 0; n < 60; n++) {
      await keyboard.press('Tab');
      if (name.test(await focused())) return;
    }
    throw new Error(`nothing called ${name} is reached`);
  };
  await page.getByLabel('Name', { exact: true }).focus();
  await keyboard.type('by-keys');
  await page.getByLabel('Addresses').focus();
  await keyboard.type('k1.example:9092');
  await keyboard.press('Shift+Tab');
  expect(await focused()).toBe('Connect');
  await keyboard.press('Enter');
  await page.getByText('Connected: 3 topics.').waitFor();
  await to(/^Topic: pick a topic/);
  await keyboard.press('Enter');
  await page.keyboard.type('registr');
  await keyboard.press('ArrowDown');
  await keyboard.press('Enter');
  await page.getByTestId('newest').waitFor();
  await to(/^User key/);
  await keyboard.press('Enter');
  await page.keyboard.type('customer.id');
  await keyboard.press('ArrowDown');
  await keyboard.press('Enter');
  await button(page, 'User key: value.customer.id').waitFor();
  await to(/^Event: pick/);
  await keyboard.press('Enter');
  await page.keyboard.type('registered');
  await keyboard.press('ArrowDown');
  await keyboard.press('Enter');
  await to(/^value\.customer\.email/);
  await keyboard.press('Enter');
  const inMenu = () => page.evaluate(() => document.activeElement?.closest('[role=menu]') !== null);
  await expect.poll(inMenu).toBe(true);
  for (let n = 0; (await focused()) !== 'A trait of the user' && n < 10; n++)
    await keyboard.press('ArrowDown');
  await keyboard.press('Enter');
  await page.getByTestId('fields').getByText('Trait email').waitFor();
  await button(page, 'Save').focus();
  await keyboard.press('Enter');
  await page.getByText('by-keys is saved.').waitFor();
  expect(world.mock.stored('stream', 'by-keys')?.spec).toEqual({
    kafka: { brokers: ['k1.example:9092'] },
    topic: 'crm.registrations',
    userId: 'value.customer.id',
    event: 'registered',
    traits: { email: 'value.customer.email' },
  });
});

test('a stream says how it fares, and is written as text, too', { timeout: slow }, async () => {
  const page = await go('/data/streams/registrations');
  const fares = page.getByTestId('fares');
  await fares.getByText('Nothing waits').waitFor();
  await page.getByTestId('left-out').getByText('Is not a JSON object').waitFor();
  await button(page, 'Test').click();
  await page.getByTestId('newest').waitFor();
  expect(await page.getByLabel('Take value.plan').isChecked()).toBe(true);
  // without any, all would be meant
  expect(await page.getByLabel('Take value.plan').isDisabled()).toBe(true);
  await page.getByText('YAML', { exact: true }).click();
  const text = page.getByLabel('The stream as YAML');
  const yaml = await text.inputValue();
  await text.fill(`${yaml}event: [1]\n`.replace('event: registered\n', ''));
  await page.getByText(/event is text$/).waitFor();
  expect(await button(page, 'Save').isDisabled()).toBe(true);
  expect(await page.getByLabel('Form', { exact: true }).isDisabled()).toBe(true);
  await text.fill(`${yaml}paused: true\n`);
  await page.getByText('Form', { exact: true }).click();
  await button(page, /^Whether it is read: paused/).waitFor();
  // nothing that was typed is lost without a question
  await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link').click();
  await page.getByRole('dialog', { name: 'Leave without saving?' }).waitFor();
  await button(page, 'Stay').last().click();
  await button(page, 'Save').click();
  await page.getByText('registrations is saved.').waitFor();
  expect(world.mock.stored('stream', 'registrations')?.spec.paused).toBe(true);
  await page.getByRole('navigation', { name: 'Breadcrumb' }).getByRole('link').click();
  await page.getByTestId('streams').waitFor();
});

test('who is no administrator sees it, and asks no broker', async () => {
  world.mock.state.role = 'marketer';
  const page = await go('/data/streams/contracts');
  await page
    .getByTestId('fares')
    .getByText(/The schema registry cannot be asked/)
    .waitFor();
  await page.getByText('Your role cannot change streams.').waitFor();
  await page.getByTestId('mapping').getByText('value.type').waitFor();
  expect(await button(page, 'Test').count()).toBe(0);
  expect(await button(page, 'Connect').count()).toBe(0);
  expect(await page.getByLabel('Addresses').getAttribute('readonly')).not.toBe(null);
});

test('a stream starts a campaign', async () => {
  const page = await go('/new/campaign');
  await page.keyboard.press('Escape'); // what is offered first
  await page.getByText('A stream', { exact: true }).click();
  await page.getByRole('option', { name: /registrations/ }).click();
  await page.getByTestId('when').getByText('Each time a message comes by').waitFor();
  await page.getByTestId('when').getByText('registrations').waitFor();
});

test('who came by a stream is an audience', async () => {
  const page = await go('/audiences');
  await page.getByRole('link', { name: 'New audience' }).click();
  await page.getByRole('button', { name: 'a condition', exact: true }).click();
  await page.getByRole('menuitem', { name: /^Came by registrations/ }).click();
  await page.getByLabel('Name', { exact: true }).fill('registered-lately');
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('registered-lately is saved.').waitFor();
  expect(world.mock.stored('audience', 'registered-lately')?.spec).toEqual({
    did: {
      event: 'registered',
      where: { all: [{ field: 'event.source', op: 'eq', value: 'registrations' }] },
      during: { last: '28d' },
    },
  });
});

test('what a stream carries is a field of templates', async () => {
  const page = await go('/new/template');
  await page.getByTestId('starters').getByRole('button').first().click();
  const text = page.getByRole('textbox', { name: 'Text', exact: true });
  await text.fill('');
  await page.getByRole('button', { name: 'Insert a field' }).click();
  await page.getByRole('option', { name: 'event.properties.plan' }).click();
  await expect.poll(() => text.inputValue()).toBe('{{ event.properties.plan }}');
});
