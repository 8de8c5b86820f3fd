import { expect, test } from 'vitest';
import {
  addBucket,
  bins,
  blank,
  bucketAt,
  complete,
  edges,
  oddities,
  putBehavior,
  turn,
  words,
} from './spec';

test('says what a dimension is of', () => {
  expect(words(blank)).toBe('Active days, in the last 28 days');
  expect(words({ events: { event: 'win', during: { last: '7d' } } })).toBe(
    'How often they did win, in the last 7 days',
  );
  expect(words({ sum: { event: 'purchase', field: 'properties.revenue' } })).toBe(
    'Sum of revenue over purchase',
  );
  expect(words({ field: 'traits.plan' })).toBe('Trait plan');
});

test('keeps what still means something when it is of something else', () => {
  const days = { description: 'd', days: { event: 'win', during: { last: '7d' } }, buckets: [] };
  expect(turn(days, 'events')).toEqual({
    description: 'd',
    events: { event: 'win', during: { last: '7d' } },
  });
  expect(complete(turn(days, 'sum'))).toBe(false);
  expect(turn(days, 'field')).toEqual({ description: 'd', field: '' });
  expect(putBehavior(days, { event: undefined as never })).toMatchObject({
    days: { during: { last: '7d' } },
  });
});

test('bins cover all numbers once, and whole numbers stay apart', () => {
  const points = [0, 1, 1, 7, 900].map((at) => ({ at, users: 1 }));
  expect(bins(points).reduce((n, b) => n + b.users, 0)).toBe(5);
  expect(bins([3, 4, 9].map((at) => ({ at, users: 2 }))).map((b) => b.users)).toEqual([
    2, 2, 0, 0, 0, 0, 2,
  ]);
  expect(bins([{ at: 5, users: 1 }])).toEqual([{ from: 5, below: 6, users: 1 }]);
  expect(
    bins([
      { at: -0.5, users: 1 },
      { at: 0.25, users: 1 },
    ]).length,
  ).toBeLessThan(40);
  expect(edges(0, 900).length).toBeLessThan(35);
  expect(bins([])).toEqual([]);
});

test('a number falls into the first bucket that holds it', () => {
  const buckets = [
    { name: 'low', from: 1, below: 2 },
    { name: 'high', from: 2 },
  ];
  expect([0, 1, 1.9, 2, 99].map((n) => bucketAt(buckets, n))).toEqual([undefined, 0, 0, 1, 1]);
  expect(oddities(buckets)).toEqual([]);
  expect(oddities([...buckets, { name: 'x', from: 3, below: 3 }])).toEqual(['x holds no number']);
  expect(oddities([...buckets, { name: 'x', from: 5 }])).toEqual([
    'x overlaps high: what fits both is high',
  ]);
});

test('one more bucket goes on where the last one ends', () => {
  expect(addBucket([])).toEqual([{ name: 'bucket-1', from: 0 }]);
  expect(addBucket([{ name: 'a', from: 0, below: 5 }])).toEqual([
    { name: 'a', from: 0, below: 5 },
    { name: 'bucket-2', from: 5 },
  ]);
  expect(addBucket([{ name: 'a', from: 10 }])).toEqual([
    { name: 'a', from: 10, below: 20 },
    { name: 'bucket-2', from: 20 },
  ]);
});
