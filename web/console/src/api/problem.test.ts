import { expect, test } from 'vitest';
import { messageOf, Problem } from './problem';

const said = (status: number, body: unknown, retryAfter: string | null = null) =>
  messageOf(Problem.from(status, body, retryAfter));

test('what the server says comes first, with its hint', () => {
  expect(
    said(404, { error: { code: 'not_found', message: 'no such user', hint: 'check the id' } }),
  ).toBe('No such user. Check the id.');
});

test('every problem of a definition is told', () => {
  const problems = [
    { name: 'a', message: 'no trigger "x"', hint: 'did you mean "y"?' },
    { message: 'unknown key' },
  ];
  expect(said(422, { error: { code: 'invalid', message: 'invalid', problems } })).toBe(
    'A: no trigger "x"\nunknown key. Did you mean "y"?',
  );
});

test('a body that says nothing gets words', () => {
  expect(said(502, '<html>')).toBe('Heed could not answer (502).');
  expect(said(429, null, '30')).toBe('Too many tries. Try again in 30 s.');
});

test('no answer at all', () => {
  expect(messageOf(new TypeError('Failed to fetch'))).toMatch(/^Heed does not answer\./);
});
