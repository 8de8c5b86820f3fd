import { expect, test } from 'vitest';
import { event } from '../mock/data.mjs';
import { accessibleInBoth, fits } from './browser';
import { mocked } from './mocked';

// What an installation looks like that has been used for a year: long lists, long names, names of others.

const world = mocked();
const { go } = world;

const many = 130;
const name = (n: number) => `autumn-${String(n).padStart(3, '0')}`;

/** As many campaigns as a busy year leaves behind. */
async function campaigns(): Promise<void> {
  await Promise.all(
    Array.from({ length: many }, (_, n) =>
      fetch(`${world.mock.url}/api/v1/definitions/campaign/${name(n)}`, {
        method: 'PUT',
        headers: { 'If-None-Match': '*', 'Content-Type': 'application/json' },
        body: JSON.stringify({
          description: n === 77 ? 'For whom the ferry waits' : 'One of many',
          when: { trigger: 'three-wins' },
          what: [{ channel: 'web', template: 'wow' }],
          status: 'draft',
        }),
      }),
    ),
  );
}

test('a long list is drawn a part at a time, and searched', { timeout: 120_000 }, async () => {
  await campaigns();
  const page = await go('/campaigns');
  const asked = new Set<string>();
  page.on('request', (r) => {
    const found = /campaigns\/([^/]+)\/report/.exec(r.url());
    if (found?.[1]) asked.add(found[1]);
  });
  const rows = page.getByTestId('campaigns').getByRole('listitem');
  await expect.poll(() => rows.count()).toBe(50);
  await page.getByText(/^50 of 1\d\d campaigns$/).waitFor();
  // a row that nobody sees asks for nothing
  expect(asked.size).toBeLessThanOrEqual(50);
  await page.getByRole('button', { name: 'Show more' }).click();
  await expect.poll(() => rows.count()).toBe(100);

  await page.getByLabel('Search the campaigns').pressSequentially('ferry autumn');
  await expect.poll(() => rows.count()).toBe(1);
  await rows.getByText(name(77)).waitFor();
  await page.getByText(/^1 of 1\d\d$/).waitFor();
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 860 });
    await fits(page);
    await accessibleInBoth(page);
  }
  // the link leads others there, and Back leads back
  expect(new URL(page.url()).searchParams.get('q')).toBe('ferry autumn');
  await rows.getByRole('link').click();
  await page.getByTestId('report').waitFor();
  await page.goBack();
  await expect.poll(() => rows.count()).toBe(1);
  expect(await page.getByLabel('Search the campaigns').inputValue()).toBe('ferry autumn');
  await page.reload();
  await expect.poll(() => rows.count()).toBe(1);

  await page.getByLabel('Search the campaigns').fill('zeppelin');
  await page.getByText('Nothing that is listed here matches “zeppelin”.').waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await expect.poll(() => rows.count()).toBe(50);
});

test('what is typed into a search stays where it is typed', async () => {
  const page = await go('/live?q=purse');
  const field = page.getByLabel('Filter by event, user or property');
  await field.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.type('ch', { delay: 30 });
  await expect.poll(() => field.inputValue()).toBe('purchse');
  // another address of the same page is another search
  await page.getByRole('link', { name: 'Live', exact: true }).click();
  await expect.poll(() => field.inputValue()).toBe('');
});

test('users are searched for by what the address says', async () => {
  const page = await go('/users?q=ada');
  const field = page.getByLabel('Search users');
  expect(await field.inputValue()).toBe('ada');
  await page.getByRole('link', { name: 'Users', exact: true }).click();
  await expect.poll(() => field.inputValue()).toBe('');
});

test('the search of the header finds what is defined, and Enter opens it', async () => {
  await campaigns();
  const page = await go('/');
  await page.keyboard.press('Control+k');
  const field = page.getByPlaceholder('Search pages, campaigns and users');
  await field.fill('ferry');
  await page.getByText(name(77), { exact: true }).waitFor();
  await accessibleInBoth(page);
  await page.keyboard.press('Enter');
  await page.waitForURL(new RegExp(`/campaigns/${name(77)}$`));
});

test('a timeline says of which day what happened is, newest first', async () => {
  const page = await go('/live');
  const at = (days: number, hour: number) => {
    const d = new Date();
    d.setDate(d.getDate() - days);
    d.setHours(hour, 0, 0, 0);
    return d;
  };
  const past = at(500, 9);
  const item = (n: number, when: Date, properties: object) => ({
    kind: 'event',
    at: when.toISOString(),
    event: {
      ...event(9000 + n, 0, { receivedAt: when.toISOString(), properties }),
      user: 'quiet-one',
    },
  });
  // as they were brought in, which is not as they happened
  const items = [
    item(0, at(1, 10), { order: 'second' }),
    item(1, at(1, 11), { order: 'first', note: '\u202edrawkcab' }),
    item(2, past, { order: 'third' }),
  ];
  await page.route('**/users/quiet-one/timeline*', (route) =>
    route.fulfill({ json: { items, complete: true } }),
  );
  await page.goto(`${world.mock.url}/users/quiet-one`);
  await page.getByTestId('events').waitFor();
  const order = await page.locator('[data-testid=events] > li[data-id]').allTextContents();
  expect(order.map((t) => /order: (\w+)/.exec(t)?.[1])).toEqual(['first', 'second', 'third']);
  // nobody's value turns the rest of the line around
  expect(order[0]).toContain('note: drawkcab');
  const days = await page.getByTestId('day').allTextContents();
  expect(days).toHaveLength(2);
  expect(days[1]).toContain(String(past.getFullYear()));
  await fits(page);
  await accessibleInBoth(page);
});
