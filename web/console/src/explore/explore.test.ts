import { expect, test } from 'vitest';
import { bodyOf, letterOf } from './Composer';
import { added, alike, all, type Query, readAnswer, stamp } from './measure';
import { audienceSpec, validName } from './SaveAudience';
import {
  chipQuery,
  finished,
  mainQuery,
  openQuery,
  rangeOf,
  readSearch,
  type Search,
  unitOf,
} from './state';
import {
  chipOf,
  dimensionTitle,
  funnelWords,
  lasting,
  markWords,
  rangeWords,
  suggest,
  valueWords,
} from './words';

const engaged = {
  words: 'Engagement: Medium-high',
  node: { is: { dimension: { dimension: 'engagement' }, values: ['medium-high'] } },
};
const may = {
  words: 'Acquisition month: May 2026',
  node: { is: { dimension: { dimension: 'acquisition-month' }, values: ['2026-05'] } },
};
const steps = [{ event: 'session_start' }, { event: 'click_event1' }, { event: 'custom_event2' }];

/** What the URL gives back of a state. */
const reload = (s: Search) => readSearch(JSON.parse(JSON.stringify(s)));

test('a URL gives back what was put into it', () => {
  const s: Search = {
    chips: [engaged, may],
    view: 'funnel',
    by: 'acquisition-month',
    funnel: {
      steps: [
        { event: 'page' },
        {
          event: 'win',
          where: { field: 'properties.stake', op: 'gte', value: 10 },
          without: [{ event: 'loss' }],
        },
      ],
      window: '30m',
      strict: true,
    },
    trend: { events: ['win'], count: 'events', per: 'hour' },
    retention: { first: 'page', return: '', per: 'day', unbounded: true },
    paths: { from: 'page', before: true },
    range: { from: '2026-05-01', to: '2026-06-01' },
    zone: 'Europe/Berlin',
    bots: true,
    table: true,
    open: { at: 1795797608575530, n: 430, mark: { step: 2, state: 'stuck' } },
  };
  expect(reload(s)).toEqual(s);
  expect(reload({})).toEqual({});
  expect(reload({ range: {} })).toEqual({ range: {} });
});

test('a URL that says nonsense shows the beginning', () => {
  expect(
    readSearch({
      chips: [{ words: 'x' }, 7, null, { node: {} }],
      view: 'everything',
      by: 12,
      funnel: {
        steps: [{ event: 'a', where: { all: 3 }, without: 'b' }, { where: {} }],
        window: 9,
      },
      trend: [],
      retention: 'x',
      range: { from: '2026-99-99', to: 'x' },
      open: { at: 'now', mark: {} },
      bots: 'yes',
      zone: {},
    }),
  ).toEqual({ by: '12', funnel: { steps: [{ event: 'a' }], window: '9' } });
  // the router would keep what is not named
  expect('chips' in readSearch({ chips: '{' })).toBe(true);
  expect(readSearch({ range: { last: 'ever' }, funnel: { steps: 'all' } })).toEqual({
    funnel: { steps: [], window: '1h' },
  });
  expect(
    readSearch({ open: { at: 1, mark: { values: [7, null, 'a'], step: '2', state: 'lost' } } })
      .open,
  ).toEqual({ at: 1, mark: { values: [null, 'a'] } });
});

test('chips narrow one after the other', () => {
  const s: Search = { chips: [engaged, may] };
  expect(chipQuery(s, 'UTC', 0)).toEqual({ zone: 'UTC', users: { limit: 0 } });
  expect(chipQuery(s, 'UTC', 1).audience).toEqual(engaged.node);
  expect(chipQuery(s, 'UTC', 2).audience).toEqual({ all: [engaged.node, may.node] });
});

test('what the walk asks', () => {
  expect(mainQuery({}, 'Europe/Berlin')).toEqual({
    zone: 'Europe/Berlin',
    breakdown: { by: [{ dimension: 'engagement' }], top: 50 },
  });
  expect(mainQuery({ view: 'funnel' }, 'UTC')).toBeUndefined();
  expect(
    mainQuery({ chips: [engaged], view: 'funnel', funnel: { steps, window: '1h' } }, 'UTC'),
  ).toEqual({
    zone: 'UTC',
    audience: engaged.node,
    range: { last: '28d' },
    funnel: { steps, window: '1h' },
  });
});

test('each view asks its measure, of its time', () => {
  const of = (s: Search) => mainQuery(s, 'UTC');
  expect(of({ by: 'traits.plan' })?.breakdown?.by).toEqual([{ field: 'traits.plan' }]);
  expect(of({ by: 'traits.plan' })?.range).toBeUndefined();
  expect(of({ by: 'event.event' })).toMatchObject({
    range: { last: '28d' },
    breakdown: { of: {}, count: 'users' },
  });
  expect(of({ view: 'trend' })?.series).toEqual({ of: [{}], count: 'users', per: 'day' });
  expect(
    of({ view: 'trend', trend: { events: ['a', 'b'], count: 'events' }, range: { last: '12mo' } }),
  ).toMatchObject({
    series: { of: [{ event: 'a' }, { event: 'b' }], count: 'events', per: 'week' },
  });
  expect(of({ view: 'retention' })).toMatchObject({
    range: { last: '8w' },
    retention: { first: {}, return: {}, per: 'week', periods: 7 },
  });
  expect(of({ view: 'paths' })).toBeUndefined();
  // a place for every unit of all time would be too many
  expect(rangeOf({ view: 'trend', range: {} })).toEqual({ last: '28d' });
  expect(rangeOf({ view: 'funnel', range: {} })).toEqual({});
});

test('how fine a series is', () => {
  expect(
    ['1h', '24h', '7d', '90d', '12mo', '5y'].map((last) => unitOf({ last }, undefined)),
  ).toEqual(['minute', 'hour', 'day', 'day', 'week', 'month']);
  expect(unitOf({ last: '1h' }, 'day')).toBe('day');
  expect(unitOf({ from: '2026-05-01', to: '2026-05-03' }, undefined)).toBe('hour');
});

test('comparisons that are not finished are not asked', () => {
  const whole = { field: 'properties.a', op: 'eq', value: 1 };
  expect(finished({ all: [whole, { field: '', op: 'eq', value: '' }] })).toEqual({ all: [whole] });
  expect(finished({ all: [{ field: '', op: 'eq', value: '' }] })).toBeUndefined();
  expect(finished(whole)).toEqual(whole);
  expect(finished({ not: whole })).toEqual({ not: whole });
  const query = mainQuery(
    {
      view: 'funnel',
      funnel: {
        window: '1h',
        steps: [
          { event: 'a', where: { all: [{ field: '', op: 'eq' }] }, without: [{ event: 'x' }] },
        ],
      },
    },
    'UTC',
  );
  // nothing comes before the first step
  expect(query?.funnel?.steps).toEqual([{ event: 'a' }]);
});

test('what is open asks what was asked', () => {
  const s: Search = { chips: [engaged, may], view: 'funnel', funnel: { steps, window: '1h' } };
  const mark = { step: 2, state: 'stuck' as const };
  expect(openQuery(s, 'UTC', { at: 1, mark })).toEqual({ query: mainQuery(s, 'UTC'), mark });
  expect(openQuery(s, 'UTC', { at: 1, chips: 1 })).toEqual({
    query: chipQuery(s, 'UTC', 1),
    mark: {},
  });
  expect(openQuery({ view: 'funnel' }, 'UTC', { at: 1, mark })).toBeUndefined();
});

test('a time keeps its microseconds', () => {
  expect(stamp(1795797608575530)).toBe('2026-11-27T16:40:08.575530Z');
  expect(stamp(1795797608000007)).toBe('2026-11-27T16:40:08.000007Z');
});

test('trees', () => {
  const [a, b, c] = [{ a: 1 }, { b: 1 }, { c: 1 }];
  expect([all([]), all([a]), all([a, b])]).toEqual([undefined, a, { all: [a, b] }]);
  expect(added({ all: [a, b] }, true)).toEqual(b);
  expect(added({ all: [a, b, c] }, true)).toEqual({ all: [b, c] });
  expect(added({ all: [a, b] }, false)).toEqual({ all: [a, b] });
});

test('an old answer stands only for the same question', () => {
  const of = (s: Search): Query => mainQuery(s, 'UTC') ?? {};
  const f = (...events: string[]) =>
    of({ view: 'funnel', funnel: { steps: events.map((event) => ({ event })), window: '1h' } });
  expect(alike(of({}), of({ chips: [engaged] }))).toBe(true);
  expect(alike(of({}), { ...of({}), asOf: '2026-11-27T16:40:08Z' })).toBe(true);
  expect(alike(of({}), of({ by: 'country' }))).toBe(false);
  expect(alike(of({}), f('a'))).toBe(false);
  expect(alike(undefined, of({}))).toBe(false);
  expect([
    alike(f('a'), f('a', 'b')),
    alike(f('a', 'b'), f('a')),
    alike(f('a', 'b'), f('b', 'a')),
  ]).toEqual([true, true, false]);
});

test('answers are held against their types', () => {
  const whole = { kind: 'breakdown', asOf: 1, breakdown: { rows: null, total: 0 } };
  expect(readAnswer(whole).breakdown?.rows).toEqual([]);
  for (const body of [null, [], 'x', { kind: 1, asOf: 1 }, { kind: 'funnel', asOf: 1, funnel: 3 }])
    expect(() => readAnswer(body)).toThrow();
  expect(() => readAnswer({ kind: 'funnel', asOf: 1, funnel: { steps: {} } })).toThrow();
});

test('bars become chips', () => {
  expect(chipOf({}, ['medium-high'], false)).toEqual(engaged);
  expect(chipOf({ by: 'acquisition-month' }, ['2026-05'], false)).toEqual(may);
  expect(chipOf({ by: 'country' }, ['DE', null], true)).toEqual({
    words: 'Country: all others',
    node: { is: { dimension: { dimension: 'country' }, values: ['DE', null], not: true } },
  });
  expect(chipOf({ by: 'event.event' }, ['win'], false)).toEqual({
    words: 'Did win in the last 28 days',
    node: { did: { event: 'win', during: { last: '28d' } } },
  });
  expect(chipOf({ by: 'properties.category', range: {} }, ['lamps'], false)).toEqual({
    words: 'Category: lamps at any time',
    node: {
      did: { is: [{ dimension: { field: 'properties.category' }, values: ['lamps'] }], during: {} },
    },
  });
});

test('marks in words: both readings of a drop', () => {
  expect(funnelWords(steps, { step: 2, state: 'stuck' })).toBe(
    'Stuck at level 2: did click_event1, not custom_event2',
  );
  expect(funnelWords(steps, { step: 1, state: 'stuck' })).toBe(
    'Stuck at level 1: did session_start, not click_event1',
  );
  expect(funnelWords(steps, { step: 2, state: 'progress' })).toBe(
    'In progress at level 2: did click_event1, and still has time for custom_event2',
  );
  expect(funnelWords(steps, { step: 3 })).toBe('Reached level 3: custom_event2');
  const base = { from: 0, to: 0, asOf: 0, zone: 'UTC', excluded: { bots: 0, internal: 0 } };
  const start = Date.UTC(2026, 4, 4) * 1000;
  expect(
    markWords(
      { view: 'retention' },
      { cohort: 0, period: 2 },
      {
        kind: 'retention',
        ...base,
        retention: { cohorts: [{ start, cells: [3, 2, 1] }] },
      },
    ),
  ).toMatch(/^First did anything \(week of .*4.*\), came back week 2$/);
  expect(
    markWords(
      { view: 'paths', paths: { from: 'page' } },
      { depth: 1, node: 0 },
      {
        kind: 'paths',
        ...base,
        paths: { users: 1, depths: [[{ event: 'win', users: 1 }]], links: [] },
      },
    ),
  ).toBe('Did win right after page');
});

test('words', () => {
  expect([{ last: '28d' }, { last: '1d' }, { last: '1mo' }, {}, undefined].map(rangeWords)).toEqual(
    ['in the last 28 days', 'today', 'in the last month', 'at any time', 'at any time'],
  );
  expect(['country', 'traits.plan_name', 'constructor'].map(dimensionTitle)).toEqual([
    'Country',
    'Plan name',
    'Constructor',
  ]);
  expect(valueWords('engagement', null)).toBe('Not active in 28 days');
  expect(valueWords('country', null)).toBe('No country');
  expect(valueWords('traits.plan', '')).toBe('(empty)');
  expect([59e6, 83e6, 3_700e6, 90_000e6].map(lasting)).toEqual([
    '59 s',
    '1 min 23 s',
    '1 h 1 min',
    '1 d 1 h',
  ]);
});

test('names for audiences', () => {
  expect(suggest('Stuck at level 2: did click_event1, not custom_event2', [])).toBe(
    'stuck-at-level-2-did-click-event1-not-custom',
  );
  expect(suggest('Länder: Österreich', ['lander-osterreich'])).toBe('lander-osterreich-2');
  expect(suggest('…', [])).toBe('audience');
  expect(['a', 'a.b-c_9', '-a', '', 'a b', 'x'.repeat(65)].map(validName)).toEqual([
    true,
    true,
    false,
    false,
    false,
    false,
  ]);
});

test('an audience is the tree, with or without the time', () => {
  expect(audienceSpec(may.node, 'May', 'UTC')).toEqual({
    description: 'May',
    zone: 'UTC',
    ...may.node,
  });
  expect(audienceSpec(may.node, 'May', 'UTC', 1795797608575530)).toMatchObject({
    frozen: '2026-11-27T16:40:08.575530Z',
  });
});

test('a text is no markup', () => {
  expect(bodyOf('Hello {{ name }} <b>\nyou & I\n\nBye ')).toBe(
    '<p>Hello {{ name }} &lt;b><br>you &amp; I</p>\n<p>Bye</p>',
  );
});

test('an e-mail ends with the link that marketing needs, once', () => {
  expect(letterOf('Hello')).toBe(
    '<p>Hello</p>\n<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>',
  );
  expect(letterOf('No more? {{ unsubscribe_url }}')).toBe('<p>No more? {{ unsubscribe_url }}</p>');
});
