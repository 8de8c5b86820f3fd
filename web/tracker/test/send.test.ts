// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Sender, sender } from '../src/send';
import { loadList } from '../src/store';

interface Call {
  batch: { n: number }[];
  keepalive: boolean;
  size: number;
}

let calls: Call[];
let beacons: number;
let answer: () => Promise<Response>;
let s: Sender;

const ok = () => Promise.resolve(new Response('{"accepted":1,"rejected":[]}'));
const status =
  (n: number, headers = {}) =>
  () =>
    Promise.resolve(new Response('', { status: n, headers }));
const numbers = () => calls.flatMap((c) => c.batch.map((e) => e.n));

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
  calls = [];
  beacons = 0;
  answer = ok;
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  vi.spyOn(console, 'warn').mockImplementation(() => {});
  vi.stubGlobal('fetch', (_url: string, o: { body: string; keepalive: boolean }) => {
    calls.push({ batch: JSON.parse(o.body).batch, keepalive: o.keepalive, size: o.body.length });
    return answer();
  });
  Object.assign(navigator, { sendBeacon: () => ++beacons > 0 });
  s = sender('http://c', 'k');
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

test('events gather for 10 ms, in order', async () => {
  for (let n = 0; n < 5; n++) s.add({ n });
  await vi.advanceTimersByTimeAsync(9);
  expect(calls).toHaveLength(0);
  await vi.advanceTimersByTimeAsync(1);
  expect(calls).toHaveLength(1);
  expect(numbers()).toEqual([0, 1, 2, 3, 4]);
});

test('a request never passes the one before it', async () => {
  const answers: (() => void)[] = [];
  answer = () => new Promise((r) => answers.push(() => r(new Response('{}'))));
  s.add({ n: 0 });
  await vi.advanceTimersByTimeAsync(10);
  s.add({ n: 1 });
  await vi.advanceTimersByTimeAsync(1000);
  s.add({ n: 2 });
  await vi.advanceTimersByTimeAsync(1000);
  expect(numbers()).toEqual([0]);
  answers[0]?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(calls.map((c) => c.batch)).toEqual([[{ n: 0 }], [{ n: 1 }, { n: 2 }]]);
});

test('what failed goes before what came after it', async () => {
  let fail = () => {};
  answer = () => new Promise((_, f) => (fail = () => f(new TypeError('offline'))));
  s.add({ n: 0 });
  await vi.advanceTimersByTimeAsync(10);
  s.add({ n: 1 });
  answer = ok;
  fail();
  await vi.advanceTimersByTimeAsync(2000);
  expect(numbers()).toEqual([0, 0, 1]);
});

test('a request that hangs holds the others back for 5 s, and them alone', async () => {
  answer = () => new Promise(() => {});
  s.add({ n: 0 });
  await vi.advanceTimersByTimeAsync(10);
  s.add({ n: 1 });
  await vi.advanceTimersByTimeAsync(4999);
  expect(numbers()).toEqual([0]);
  answer = ok;
  await vi.advanceTimersByTimeAsync(1);
  expect(numbers()).toEqual([0, 1]);
  s.add({ n: 2 });
  await vi.advanceTimersByTimeAsync(10);
  expect(numbers()).toEqual([0, 1, 2]);
});

test('batches stay within what a keepalive request may hold; others are kept as well', async () => {
  answer = () => new Promise(() => {});
  for (let n = 0; n < 40; n++) s.add({ n, x: 'x'.repeat(4000) });
  await vi.advanceTimersByTimeAsync(20_000);
  expect(numbers()).toHaveLength(40);
  expect(Math.max(...calls.map((c) => c.size))).toBeLessThan(50 * 1024);
  expect(calls.map((c) => c.keepalive)).toEqual([true, false, false, false]);
  // what would die with the page is in storage until it is answered
  expect(loadList('heed_q').length).toBeGreaterThan(0);
});

test('it backs off, twice as long each time, and then sends all at once', async () => {
  answer = status(503);
  s.add({ n: 0 });
  await vi.advanceTimersByTimeAsync(10);
  const at: number[] = [];
  for (let t = 0; t < 8000; t += 10) {
    const before = calls.length;
    await vi.advanceTimersByTimeAsync(10);
    if (calls.length > before) at.push(t);
  }
  expect(at.length).toBe(4); // after 0.5, 1, 2, 4 s
  s.add({ n: 1 });
  answer = ok;
  await vi.advanceTimersByTimeAsync(31_000);
  expect(calls.at(-1)?.batch).toEqual([{ n: 0 }, { n: 1 }]);
  expect(loadList('heed_q')).toEqual([]);
});

test('Retry-After is honoured', async () => {
  answer = status(429, { 'retry-after': '7' });
  s.add({ n: 0 });
  await vi.advanceTimersByTimeAsync(10);
  answer = ok;
  await vi.advanceTimersByTimeAsync(6900);
  expect(calls).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(200);
  expect(calls).toHaveLength(2);
});

test('400, 401, 403 and 413 are never tried again', async () => {
  for (const code of [400, 401, 403, 413]) {
    answer = status(code);
    const before = calls.length;
    s.add({ n: code });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(calls.length).toBe(before + 1);
  }
  expect(loadList('heed_q')).toEqual([]);
  expect(console.warn).toHaveBeenCalledTimes(4);
});

test('a batch that breaks the collector is given up', async () => {
  answer = status(500);
  s.add({ n: 0 });
  await vi.advanceTimersByTimeAsync(600_000);
  expect(calls).toHaveLength(5);
  answer = ok;
  s.add({ n: 1 });
  await vi.advanceTimersByTimeAsync(10);
  expect(calls.at(-1)?.batch).toEqual([{ n: 1 }]);
});

test('an answer that cannot be read is still an answer', async () => {
  answer = () => Promise.resolve(new Response('<html>'));
  s.add({ n: 0 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(calls).toHaveLength(1);
});

test('one huge event does not block the others', async () => {
  s.add({ n: 0, x: 'x'.repeat(33_000) });
  s.add({ n: 1 });
  await vi.advanceTimersByTimeAsync(10);
  expect(numbers()).toEqual([1]);
});

test('offline, the queue in storage is bounded and keeps the newest', async () => {
  answer = () => Promise.reject(new TypeError('offline'));
  for (let n = 0; n < 300; n++) s.add({ n, x: 'é"'.repeat(500) });
  await vi.advanceTimersByTimeAsync(10);
  s.leave();
  expect(localStorage.heed_q.length).toBeLessThanOrEqual(100_000);
  const kept = loadList('heed_q').map((e) => JSON.parse(e).n);
  expect(kept.at(-1)).toBe(299);
  expect(kept.length).toBeGreaterThan(30);
  // the next page sends them, each once
  answer = ok;
  calls = [];
  sender('http://c', 'k');
  await vi.advanceTimersByTimeAsync(20);
  expect([...numbers()].sort((a, b) => a - b)).toEqual(kept);
  expect(loadList('heed_q')).toEqual([]);
});

test('leaving sends by beacon what has not left yet', () => {
  s.add({ n: 0 });
  s.leave();
  expect(beacons).toBe(1);
  expect(calls).toHaveLength(0);
});
