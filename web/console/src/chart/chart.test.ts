import { expect, test } from 'vitest';
import { share } from './share';
import { ticks } from './TimeChart';

test('shares', () => {
  expect([
    share(1, 3),
    share(1, 30),
    share(1, 3000),
    share(0, 5),
    share(5, 5),
    share(0, 0),
  ]).toEqual(['33 %', '3.3 %', '< 0.1 %', '0 %', '100 %', '–']);
});

test('an axis ends above everything', () => {
  for (const top of [0, 1, 3, 7, 10, 11, 99, 292, 4001, 1e6]) {
    const axis = ticks(top);
    expect(axis.at(-1)).toBeGreaterThanOrEqual(top);
    expect(axis[0]).toBe(0);
    expect(axis.at(-1)).toBeLessThanOrEqual(Math.max(1, top * 2.5));
  }
  expect(ticks(292)).toEqual([0, 200, 400]);
  // numbers are counts: none of them is broken
  for (let top = 1; top < 200; top++) expect(ticks(top).every(Number.isInteger)).toBe(true);
});
