// @vitest-environment jsdom
import { beforeEach, expect, test } from 'vitest';
import { anonymousId, identity, load, loadList, save, session, setUser, uid } from '../src/store';

const expire = (name: string) => {
  // biome-ignore lint/suspicious/noDocumentCookie: as the tracker does
  document.cookie = `${name}=;path=/;max-age=0`;
};

beforeEach(() => {
  localStorage.clear();
  expire('heed_id');
});

test('the anonymous id lives in cookie and storage, either restores the other', () => {
  const id = anonymousId();
  expect(id).toMatch(/^[0-9a-f]{32}$/);
  expect(document.cookie).toContain(`heed_id=${id}`);
  expect(load('heed_id')).toBe(id);
  expire('heed_id');
  expect(anonymousId()).toBe(id);
  expect(document.cookie).toContain(id);
  localStorage.clear();
  expect(anonymousId()).toBe(id);
  expect(load('heed_id')).toBe(id);
  const fresh = anonymousId(undefined, true);
  expect(fresh).not.toBe(id);
  expect(anonymousId()).toBe(fresh);
});

test('an identity holds nothing undefined', () => {
  expect(Object.keys(identity())).toEqual(['anonymousId']);
  setUser('ada');
  expect(identity()).toMatchObject({ userId: 'ada' });
  setUser('ada', 'sig');
  expect(identity()).toMatchObject({ userId: 'ada', signature: 'sig' });
  setUser();
  expect(Object.keys(identity())).toEqual(['anonymousId']);
});

test('a session ends after 30 minutes of silence', () => {
  const t = 1_700_000_000_000;
  const s = session(t);
  expect(session(t + 29 * 60_000)).toBe(s);
  expect(session(t + 58 * 60_000)).toBe(s); // 29 after the last
  expect(session(t + 88 * 60_000)).not.toBe(s);
  const s2 = session(t + 89 * 60_000);
  expect(session(t + 89 * 60_000, true)).not.toBe(s2);
});

test('spoilt lists count as empty', () => {
  save('x', '{broken');
  expect(loadList('x')).toEqual([]);
});

test('ids differ', () => {
  expect(new Set(Array.from({ length: 1000 }, uid)).size).toBe(1000);
});
