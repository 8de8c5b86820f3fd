// @vitest-environment jsdom
import { beforeEach, expect, test } from 'vitest';
import { documentOf } from '../src/frame';
import { expiry, typing } from '../src/messages';

beforeEach(() => {
  document.body.innerHTML = '';
});

test('expiry is epoch milliseconds or a date; none is never', () => {
  const m = { id: '1', campaign: 'c', kind: 'popup' as const, html: '' };
  expect(expiry({ ...m, expires: 5 })).toBe(5);
  expect(expiry({ ...m, expires: '1970-01-01T00:00:01Z' })).toBe(1000);
  expect(expiry(m)).toBe(Number.POSITIVE_INFINITY);
});

test('typing is being in a text field', () => {
  const f = (html: string, want: boolean) => {
    document.body.innerHTML = html;
    (document.body.firstElementChild as HTMLElement).focus();
    expect(typing(), html).toBe(want);
  };
  f('<input>', true);
  f('<input type=email>', true);
  f('<input type=number>', true);
  f('<textarea></textarea>', true);
  f('<select></select>', true);
  f('<input type=checkbox>', false);
  f('<input type=submit>', false);
  f('<button>x</button>', false);
  f('<p>x</p>', false);
});

test('the policy and the bridge come before anything the author wrote', () => {
  const html = documentOf('<!--<script>x()</script>', 'n1');
  const at = (s: string) => html.indexOf(s);
  expect(at("default-src 'none'")).toBeGreaterThan(0);
  expect(at("default-src 'none'")).toBeLessThan(at('<script nonce="n1">'));
  expect(at('<script nonce="n1">')).toBeLessThan(at('<!--'));
  expect(html).toContain("script-src 'nonce-n1'");
});
