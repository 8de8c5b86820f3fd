import { expect, test } from 'vitest';
import { verdict } from './Achieved';

const arm = (users: number, converted: number) => ({ users, converted, value: 0 });

test('what two groups say, and how sure that is', () => {
  const lift = { difference: 0.031, low: 0.012, high: 0.05 };
  expect(verdict(arm(900, 90), arm(100, 7), lift)).toBe(
    'Lift: +3.1 points, with a confidence of 95 % between +1.2 and +5.0.',
  );
  expect(verdict(arm(90, 9), arm(10, 1), { ...lift, low: -0.2 })).toContain(
    'between −20.0 and +5.0. It cannot be told apart from chance yet.',
  );
  expect(verdict(arm(90, 9), arm(0, 0), undefined)).toContain('Nobody is held back');
  expect(verdict(arm(0, 0), arm(10, 1), undefined)).toContain('Nobody got it yet');
});
