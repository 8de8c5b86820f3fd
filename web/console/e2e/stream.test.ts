import { expect, test } from 'vitest';
import { mocked } from './mocked';

// Connecting a topic, against the mock.

const world = mocked();
const { go } = world;

test('a topic is connected by what its messages show', async () => {
  const page = await go('/data/streams');
  await page.getByTestId('streams').getByText('registrations', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Connect Kafka' }).click();
  await page.getByRole('button', { name: 'List topics' }).click();
  await page.getByTestId('topics').getByRole('button', { name: 'crm.registrations' }).click();
  const use = async (place: string, as: string) => {
    await page.getByRole('button', { name: `Use ${place}` }).click();
    await page.getByRole('menuitem', { name: as, exact: true }).click();
  };
  await use('value.customer.id', 'The user’s id');
  await use('value.plan', 'A property');
  await use('value.customer.email', 'A trait of the user');
  const text = page.getByRole('textbox').first();
  await text.fill(
    `${(await text.inputValue()).replace('name: registrations', 'name: signups')}event: registered\n`,
  );
  await page.getByRole('button', { name: 'Read messages' }).click();
  await page.getByTestId('messages').getByText('c42 · registered').waitFor();
  await page.getByTestId('messages').getByText('Left out: is not a JSON object').waitFor();
  await page.getByRole('button', { name: 'Save', exact: true }).click();
  await page.getByText('signups is saved.').waitFor();
  expect(world.mock.stored('stream', 'signups')?.spec).toEqual({
    kafka: { brokers: ['localhost:9092'] },
    topic: 'crm.registrations',
    userId: 'value.customer.id',
    properties: { plan: 'value.plan' },
    traits: { email: 'value.customer.email' },
    event: 'registered',
  });
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
