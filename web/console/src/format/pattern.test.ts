import { expect, test } from 'vitest';
import { conditionWords, list, periodWords, some, triggerWords } from './pattern';

test('periods', () => {
  expect(['10m', '1h', '200ms', '7d'].map(periodWords)).toEqual([
    '10 minutes',
    '1 hour',
    '200 milliseconds',
    '7 days',
  ]);
});

test('a trigger in a sentence', () => {
  expect(
    triggerWords({
      pattern: [{ event: 'win', times: 3, consecutive: true }],
      within: '10m',
      reset: ['loss'],
    }),
  ).toBe('win 3 times in a row, within 10 minutes; loss starts over');
  expect(
    triggerWords({ pattern: [{ event: 'cart_add' }, { absent: 'purchase', for: '60s' }] }),
  ).toBe('cart_add, then no purchase for 60 seconds');
  expect(
    triggerWords({ pattern: [{ event: 'view' }, { idle: '10m' }], by: 'properties.product_id' }),
  ).toBe('view, then nothing at all for 10 minutes, with the same product_id');
});

test('conditions', () => {
  expect(
    conditionWords({
      all: [
        { field: 'properties.stake', op: 'gte', value: 10 },
        {
          any: [
            { field: 'traits.plan', op: 'in', value: ['pro', 'team'] },
            { field: 'traits.email', op: 'exists' },
          ],
        },
      ],
    }),
  ).toBe('stake is at least 10 and (plan is one of pro or team or email is there)');
  expect(conditionWords({ not: { field: 'traits.bot', op: 'eq', value: true } })).toBe(
    'not (bot is true)',
  );
  expect(list(['a', 'b', 'c'], 'or')).toBe('a, b or c');
  expect(some(['a', 'b', 'c', 'd'])).toBe('a, b, c, d');
  expect(some(['a', 'b', 'c', 'd', 'e'])).toBe('a, b, c and 2 others');
});
