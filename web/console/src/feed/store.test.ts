import { expect, test } from 'vitest';
import { LiveStore, merge, partly } from './store';

const item = (id: string, second: number) => ({
  id,
  at: `2026-11-20T12:00:${String(second).padStart(2, '0')}Z`,
});
const ids = (items: readonly { id: string }[]) => items.map((each) => each.id).join(' ');

test('newest first, each once', () => {
  const at = (i: { at: string }) => i.at;
  const first = merge([], [item('a', 1), item('b', 2)], at);
  expect(ids(first)).toBe('b a');
  const second = merge(first, [item('b', 2), item('c', 3), item('c', 3)], at);
  expect(ids(second)).toBe('c b a');
  expect(merge(second, [item('a', 1)], at)).toBe(second);
});

test('what was missed during a break falls into place', () => {
  const at = (i: { at: string }) => i.at;
  expect(ids(merge([item('d', 9), item('a', 1)], [item('b', 4), item('e', 10)], at))).toBe(
    'e d b a',
  );
});

test('a recap rebuilds the same view', () => {
  const store = new LiveStore();
  store.apply({ type: 'events', data: { events: [item('a', 1), item('b', 2)] } });
  store.apply({ type: 'stats', data: { events: 2 } });
  const other = new LiveStore();
  for (const message of store.recap()) other.apply(message);
  expect(other.live).toEqual(store.live);
});

test('it says how much is missing', () => {
  const of = (partitions: number) => partly({ asOf: '', triggers: [], partitions, of: 16 });
  expect(of(12)).toMatch(/^About 25 % of all users are missing here/);
  expect(of(15)).toMatch(/^About 7 %/);
  expect(of(0)).toMatch(/^All users are missing/);
});
