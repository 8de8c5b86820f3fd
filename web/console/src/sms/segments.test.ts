import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Count, segmentsOf, segmentWords } from './segments';

type Vector = Count & { name: string; parts: [string, number][] };

const vectors: Vector[] = JSON.parse(
  readFileSync(
    new URL('../../../../internal/channel/sms/segment/testdata/vectors.json', import.meta.url),
    'utf8',
  ),
);

test('texts take what the channel says they take', () => {
  expect(vectors.length).toBeGreaterThan(10);
  for (const { name, parts, ...want } of vectors) {
    const text = parts.map(([part, times]) => part.repeat(times)).join('');
    expect({ name, ...segmentsOf(text) }).toEqual({ name, ...want });
  }
});

test('the count in words', () => {
  expect(segmentWords(segmentsOf('Hello'))).toBe('1 segment · 5 of 160 characters');
  expect(segmentWords(segmentsOf('a'.repeat(161)))).toBe('2 segments · 161 of 306 characters');
  expect(segmentWords(segmentsOf('Жук'))).toMatch(/^1 segment · 3 of 70 characters, fewer/);
});
