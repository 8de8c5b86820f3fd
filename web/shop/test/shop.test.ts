import { describe, expect, test } from 'vitest';
import type { Product } from '../src/api';
import { clean, totals } from '../src/cart';
import { luckOf } from '../src/luck';

const product = (id: string, cents: number): Product => ({
  id,
  cents,
  name: id,
  category: 'x',
  stock: 9,
  summary: '',
  specs: [],
  docs: [],
});
const products = [product('mug', 1450), product('chair', 24900)];

describe('luck', () => {
  const play = (search: string, n: number) => {
    const luck = luckOf(search);
    return Array.from({ length: n }, luck);
  };
  test('plays the list, then starts over', () => {
    expect(play('?luck=win,win,lose', 4)).toEqual([true, true, false, true]);
  });
  test('is the same for the same seed', () => {
    expect(play('?seed=7', 50)).toEqual(play('?seed=7', 50));
    expect(play('?seed=7', 50)).not.toEqual(play('?seed=8', 50));
  });
  test('wins about as often as it says', () => {
    const wins = play('?seed=1', 10_000).filter(Boolean).length;
    expect(wins / 10_000).toBeCloseTo(0.45, 1);
  });
});

describe('cart', () => {
  test('totals are those of the server', () => {
    expect(totals({ mug: 2 }, products, 'BOOST50')).toEqual({
      subtotal: 2900,
      discount: 1450,
      shipping: 490,
      total: 1940,
    });
    expect(totals({ chair: 1 }, products, '').shipping).toBe(0);
    expect(totals({ mug: 1 }, products, 'SHIPFREE').total).toBe(1450);
    expect(totals({}, products, '').total).toBe(0);
  });
  test('takes only what makes sense from storage', () => {
    expect(clean({ mug: 1.5, chair: -1, nothing: 3 }, products)).toEqual({ mug: 1 });
    expect(clean({ mug: 1000 }, products)).toEqual({ mug: 99 });
    expect(clean('spoilt', products)).toEqual({});
    expect(clean(null, products)).toEqual({});
  });
});
