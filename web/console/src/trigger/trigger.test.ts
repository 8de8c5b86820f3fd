import { expect, test } from 'vitest';
import { diff } from './diff';
import {
  addStep,
  complete,
  flat,
  otherOfSpec,
  otherOfStep,
  put,
  removeStep,
  renameStep,
  type Spec,
  same,
  suggestName,
} from './spec';
import { fromYaml, lineOf, readText, toYaml } from './yaml';

test('a renamed step keeps breaking its row', () => {
  const spec: Spec = {
    pattern: [{ event: 'win', times: 3, consecutive: true }],
    within: '1m',
    scope: ['win', 'loss'],
  };
  expect(renameStep(spec, 0, 'bingo').scope).toEqual(['bingo', 'loss']);
  const twice = { ...spec, pattern: [...spec.pattern, { event: 'win' }] };
  expect(renameStep(twice, 0, 'bingo').scope).toEqual(['win', 'loss']);
});

const everything = {
  description: 'Three wins, then a look around',
  pattern: [
    {
      event: 'poker_win',
      where: { all: [{ field: 'properties.stake', op: 'gte', value: 10 }] },
      times: 3,
      consecutive: true,
    },
    {
      event: 'lobby_view',
      strict: true,
      without: ['deposit'],
      gap: '5m',
      unheard_of: [1, { a: 2 }],
    },
    { absent: 'purchase', for: '30m', anchor: 'last' },
  ],
  within: '10m',
  scope: ['poker_win', 'poker_loss'],
  reset: ['logout'],
  by: { poker_win: 'properties.table', lobby_view: 'properties.tables[].id' },
  increasing: true,
  order: 'event',
  lateness: '10s',
  overlap: true,
  reentry: { cooldown: '24h' },
  limit: { count: 2, per: '1h' },
  max_age: '15m',
  max_stale: '1h',
  audience: 'vip',
  hold: true,
  from_the_future: { x: 1 },
} as unknown as Spec;

test('the YAML twin says the same, whatever it holds', () => {
  const text = toYaml('t', everything);
  expect(text).toContain('within: 10m');
  expect(text).toContain('where: {all: [{field: properties.stake, op: gte, value: 10}]}');
  const back = fromYaml(text);
  if (!('spec' in back)) throw new Error(back.message);
  expect(back.name).toBe('t');
  expect(same(back.spec, everything)).toBe(true);
  expect(toYaml('t', back.spec)).toBe(text);
  expect(otherOfSpec(back.spec)).toEqual({ from_the_future: { x: 1 } });
  expect(otherOfStep(back.spec.pattern[1] ?? {})).toEqual({ unheard_of: [1, { a: 2 }] });
});

test('long conditions are not one long line', () => {
  const value = Array.from({ length: 30 }, (_, i) => `value-${i}`);
  const text = toYaml('t', {
    pattern: [{ event: 'x', where: { field: 'properties.a', op: 'in', value } }],
  });
  expect(Math.max(...text.split('\n').map((l) => l.length))).toBeLessThan(100);
});

test('values keep their types in YAML', () => {
  const spec = {
    pattern: [
      {
        event: 'x',
        where: {
          any: ['10', 10, true, 'true', '2026-11-20', ['a', 1]].map((value) => ({
            field: 'properties.a',
            op: 'eq',
            value,
          })),
        },
      },
    ],
  } as unknown as Spec;
  const back = fromYaml(toYaml('t', spec));
  expect('spec' in back && back.spec).toEqual(spec);
});

test('YAML that cannot be read says where', () => {
  const at = (text: string) => {
    const parsed = fromYaml(text);
    return 'line' in parsed ? parsed.line : 0;
  };
  expect(at('kind: trigger\nname: x\npattern: [\n')).toBeGreaterThan(2);
  expect(at('kind: campaign\npattern: [{event: a}]')).toBe(1);
  expect(at('within: 1m\npattern: nothing')).toBe(2);
  expect(at('- a')).toBe(1);
  expect(at('')).toBe(1);
  expect(at('a: 1\na: 2\npattern: [{event: x}]')).toBe(2);
  expect(at('pattern: [{event: a}]')).toBe(0);
});

test('a path has a line', () => {
  const text = toYaml('t', everything);
  const line = (path: string) => text.split('\n')[lineOf(text, path) - 1]?.trim();
  expect(line('pattern[1].without[0]')).toBe('without: [deposit]');
  expect(line('pattern[2].for')).toBe('for: 30m');
  expect(line('within')).toBe('within: 10m');
  expect(line('pattern[0].nothing')).toBe('- event: poker_win');
});

test('steps come and go', () => {
  let spec: Spec = { pattern: [{ event: 'a' }] };
  spec = addStep(spec, { absent: 'b', for: '1m' });
  expect(spec.within).toBeUndefined();
  spec = addStep(spec, { event: 'c', strict: true, without: ['d'] });
  expect(spec).toEqual({
    pattern: [
      { event: 'a' },
      { event: 'c', strict: true, without: ['d'] },
      { absent: 'b', for: '1m' },
    ],
    within: '10m',
  });
  spec = addStep(spec, { idle: '5m' });
  expect(spec.pattern.at(-1)).toEqual({ idle: '5m' });
  // what needs a step before it does not outlive it
  spec = removeStep(spec, 0);
  expect(spec.pattern).toEqual([{ event: 'c' }, { idle: '5m' }]);
  expect(removeStep(spec, 0).pattern).toEqual([{ idle: '5m' }]);
  expect(removeStep({ pattern: [{ event: 'a' }] }, 0).pattern).toEqual([{ event: '' }]);
  expect(complete({ pattern: [{ event: '' }] })).toBe(false);
  expect(complete(spec)).toBe(true);
});

test('names', () => {
  const name = (...pattern: Spec['pattern']) => suggestName({ pattern });
  expect(name({ event: 'win', times: 3, consecutive: true })).toBe('win-3-in-a-row');
  expect(name({ event: 'Cart Add' }, { absent: 'purchase', for: '1m' })).toBe(
    'cart-add-no-purchase',
  );
  expect(name({ event: 'view', times: 2 }, { idle: '1m' })).toBe('view-2-times-then-idle');
  expect(name({ event: '' })).toBe('');
});

test('nothing to say is not said', () => {
  expect(put({ a: 1, b: ['x'] } as { a?: number; b?: string[] }, 'b', [])).toEqual({ a: 1 });
  expect(put({ a: 0 } as { a?: number }, 'a', 0)).toEqual({ a: 0 });
});

test('flat conditions are chips, deeper ones are not', () => {
  const one = { field: 'traits.a', op: 'exists' } as const;
  expect(flat(undefined)?.list).toEqual([]);
  expect(flat(one)?.list).toEqual([one]);
  expect(flat({ any: [one, one] })).toEqual({ join: 'any', list: [one, one] });
  expect(flat({ all: [one, { not: one }] })).toBeUndefined();
  expect(flat({ not: one })).toBeUndefined();
});

test('a difference is the shortest', () => {
  const marks = { both: ' ', old: '-', new: '+' };
  const words = (a: string, b: string) => diff(a, b).map((l) => `${marks[l.side]}${l.text}`);
  expect(words('a\nb\nc', 'a\nx\nc')).toEqual([' a', '-b', '+x', ' c']);
  expect(words('a', 'a\nb')).toEqual([' a', '+b']);
  expect(words('a\nb', 'b')).toEqual(['-a', ' b']);
});

const shape = {
  as: 'text',
  cap: { count: 'number' },
  locales: { '*': { body: 'text' } },
  what: [{ channel: 'text' }],
} as const;

test.each([
  ['as: 5', 2, 'as is text'],
  ['cap: 5', 2, 'cap is a map'],
  ['cap:\n  count: many', 3, 'cap.count is a number'],
  ['locales:\n  de: {body: hm}\n  fr: {body: [x]}', 4, 'locales.fr.body is text'],
  ['what: web', 2, 'what is a list'],
  ['what:\n- channel: web\n-', 4, 'what[1] is a map'],
])('what a page cannot draw is said with its line: %s', (text, line, message) => {
  expect(readText('template', `name: a\n${text}`, shape)).toEqual({ line, message });
});

test('a key that has no value yet is none, and what the page does not draw stays as it is', () => {
  expect(
    readText('template', 'name: a\nas:\ncap: {count:, per: }\nlocales: {de: }\nnew: [null]', shape),
  ).toMatchObject({ spec: { cap: { per: null }, locales: {}, new: [null] } });
});
