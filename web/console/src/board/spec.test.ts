import { expect, test } from 'vitest';
import { mainQuery, readSearch, type Search } from '../explore/state';
import { lineWords, partWords } from '../explore/words';
import { csvOf } from '../ui/file';
import { isWhole, lookOf, readBoard, searchOf, withSteps } from './spec';

const engaged = {
  words: 'Engagement is Medium-high',
  node: { is: { dimension: { dimension: 'engagement' }, values: ['medium-high'] } },
};
const states: Search[] = [
  {},
  { by: 'traits.plan', chips: [engaged], bots: true },
  { by: 'event.event', range: { last: '7d' } },
  {
    view: 'funnel',
    funnel: {
      steps: [{ event: 'page' }, { event: 'win', without: [{ event: 'loss' }] }],
      window: '30m',
      strict: true,
      by: 'country',
    },
    range: { from: '2026-05-01', to: '2026-06-01' },
  },
  {
    view: 'trend',
    trend: { events: ['win', 'loss'], count: 'events', per: 'day', by: 'traits.plan' },
  },
  { view: 'trend', trend: { events: [], count: 'users' }, range: { last: '2d' } },
  { view: 'retention', retention: { first: 'page', return: '', per: 'week', unbounded: true } },
  { view: 'paths', paths: { from: 'page', before: true }, chips: [engaged, engaged] },
];

test.each(states)('what Explore asks comes back as its state: %j', (s) => {
  const query = mainQuery(s, 'Europe/Berlin');
  expect(query).toBeDefined();
  if (!query) return;
  const back = searchOf(query);
  expect(mainQuery(back, 'UTC')).toEqual(query);
  expect(isWhole(query, back)).toBe(true);
  // the URL can hold it
  expect(readSearch(JSON.parse(JSON.stringify(back)))).toEqual({ ...readSearch({}), ...back });
});

test('what Explore cannot ask is not said to be the same there', () => {
  for (const query of [
    { breakdown: { by: [{ dimension: 'country' }, { dimension: 'device' }] } },
    {
      series: {
        of: [{ event: 'win', where: { field: 'properties.x', op: 'exists' } }],
        per: 'day',
      },
    },
    { paths: { from: { event: 'page' }, depth: 5, window: '1h' } },
  ] as const) {
    expect(isWhole(query as never, searchOf(query as never))).toBe(false);
  }
});

test('the steps of a saved funnel stand in the place of its name', () => {
  const named = () => ({
    description: 'x',
    steps: [{ event: 'a' }, { event: 'b' }],
    window: '1h',
    by: { dimension: 'country' },
  });
  const query = { funnel: { funnel: 'walk', by: { field: 'traits.plan' } } };
  expect(withSteps(query, named)).toEqual({
    funnel: { steps: [{ event: 'a' }, { event: 'b' }], window: '1h', by: { field: 'traits.plan' } },
  });
  expect(withSteps(query, () => undefined)).toBe(query);
});

test('an answer is shown in its usual way unless somebody says another', () => {
  expect(lookOf({ title: '', query: { users: {} } })).toBe('number');
  expect(lookOf({ title: '', query: { funnel: { funnel: 'x' } } })).toBe('funnel');
  expect(lookOf({ title: '', query: { breakdown: { by: [] } }, as: 'table' })).toBe('table');
});

test('lines and parts in words', () => {
  const one = { events: ['win'], count: 'users' as const, by: 'country' };
  expect(lineWords(one, { match: 0, value: 'DE' })).toBe('Germany');
  expect(
    lineWords({ ...one, events: ['win', 'loss'] }, { match: 1, value: null, other: true }),
  ).toBe('loss: all others');
  expect(lineWords({ events: [], count: 'users' }, { match: 0 })).toBe('anything');
  expect(partWords(undefined, { value: 'DE' })).toBeUndefined();
});

test('a table as a file', () => {
  expect(
    csvOf(
      ['a', 'b'],
      [
        ['x,"y"\n', null],
        [1, true],
        ['=1+1', -2],
        ['+49 1', '@x'],
      ],
    ),
  ).toBe('a,b\r\n"x,""y""\n",\r\n1,true\r\n\'=1+1,-2\r\n+49 1,\'@x\r\n');
});

test.each([
  ['kind: board\nname: b\ncharts: many', 3, 'The charts are a list'],
  ['name: b\ncharts:\n- title: no query', 3, 'The charts are a list'],
  ['name: b\ncharts: [5]', 2, 'The charts are a list'],
  ['name: b\ntitle: {a: 1}', 2, 'The title is text'],
  ['name: b\ndescription: [a]', 2, 'The description is text'],
  ['kind: funnel\nname: b', 1, 'This page edits a board'],
  ['- a', 1, 'A board is a map'],
])('what is no board is said with its line: %s', (text, line, said) => {
  const read = readBoard(text);
  expect(read).toMatchObject({ line });
  expect('message' in read && read.message).toContain(said);
});

test('a board without charts is one, and keys that the page does not know are kept', () => {
  expect(readBoard('name: b\nfromTheFuture: 1')).toEqual({
    name: 'b',
    spec: { fromTheFuture: 1, charts: [] },
  });
});
