import { expect, test } from 'vitest';
import { bytes, compact, plural, rate } from './number';
import { strength } from './password';
import { tags } from './tag';
import { ago, behind, shortTime, span } from './time';
import { eventLabel, reasonWords, sentence, statusWords } from './words';

test('spans have one unit', () => {
  expect([0, 59, 60, 3599, 3600, 86_400].map(span)).toEqual([
    '0 s',
    '59 s',
    '1 min',
    '59 min',
    '1 h',
    '1 d',
  ]);
});

test('how long ago', () => {
  const now = new Date('2026-11-20T12:00:00Z');
  expect(ago(new Date('2026-11-20T11:59:59Z'), now)).toBe('just now');
  expect(ago(new Date('2026-11-20T12:00:05Z'), now)).toBe('just now');
  expect(ago(new Date('2026-11-20T11:55:00Z'), now)).toBe('5 min ago');
});

test('a time says of which day it is, and of which year', () => {
  const now = new Date(2026, 10, 20, 12);
  expect(shortTime(new Date(2026, 10, 20, 11, 2, 3), now)).toBe('11:02:03');
  expect(shortTime(new Date(2026, 9, 5, 11, 2), now)).toMatch(/5.*11:02|11:02.*5/);
  expect(shortTime(new Date(2026, 9, 5, 11, 2), now)).not.toContain('2026');
  expect(shortTime(new Date(2025, 10, 20, 11, 2), now)).toContain('2025');
});

test('how far behind', () => {
  expect([-50, 400, 9960, 12_000].map(behind)).toEqual([
    '0.0 s behind',
    '0.4 s behind',
    '10.0 s behind',
    '12 s behind',
  ]);
});

test('numbers', () => {
  expect([0, 0.04, 0.5, 12, 1204.4].map(rate)).toEqual(['0', '< 0.1', '0.5', '12', '1,204']);
  expect([0, 99_999, 1_234_567].map(compact)).toEqual(['0', '99,999', '1.2M']);
  expect([plural(1, 'user'), plural(1200, 'user')]).toEqual(['1 user', '1,200 users']);
  expect([312, 4100, 120_000_000].map(bytes)).toEqual(['312 B', '4.1 kB', '120 MB']);
});

test('reasons are words, also the unknown ones', () => {
  expect(reasonWords('cap')).toBe('Already got this campaign as often as its cap allows');
  expect(reasonWords('quiet hours')).toBe('Quiet hours');
  expect(reasonWords('render: line 3')).toBe('The template failed to render: line 3');
  expect(reasonWords('some_new_reason')).toBe('Some new reason');
  expect(reasonWords(undefined)).toBe('');
});

test('statuses and events', () => {
  expect(statusWords('refused').label).toBe('Not sent');
  expect(statusWords('half_open').label).toBe('Half open');
  expect(eventLabel('heed.delivery')).toBe('Delivery');
  expect(eventLabel('purchase')).toBe('purchase');
  expect(sentence('')).toBe('');
});

test('password hints', () => {
  expect(
    ['short', 'aaaaaaaaaaaa', 'password1234', 'tulip-9-mango', 'correct horse battery'].map(
      (p) => strength(p).score,
    ),
  ).toEqual([0, 1, 1, 3, 3]);
  expect(strength('mangotulips').score).toBe(2);
});

test('the tag for an event', () => {
  const t = tags('https://heed.example', 'key-1', 'win');
  expect(t.loader).toBe(
    '<script async src="https://heed.example/heed.js" data-write-key="key-1"></script>',
  );
  expect(t.button).toBe('<button data-heed-event="win">…</button>');
  expect(t.page).toBe('<script>(window.heed = window.heed || []).push(["track", "win"]);</script>');
  // whatever the name, it stays within its quotes
  const odd = tags('http://a', "k'", `"</script>'&`);
  expect(odd.button).toContain('data-heed-event="&quot;&lt;/script>\'&amp;"');
  expect(odd.page.match(/<\/script>/g)).toHaveLength(1);
  expect(odd.curl).toContain(`-u 'k'\\''':`);
});
