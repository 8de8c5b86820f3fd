import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { backoff, Feed, type FeedMessage } from './feed';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function fake() {
  const streams: FakeStream[] = [];
  class FakeStream {
    onopen: (() => void) | null = null;
    onerror: (() => void) | null = null;
    closed = false;
    readonly #listeners = new Map<string, (e: { data: string }) => void>();
    constructor() {
      streams.push(this);
    }
    addEventListener(type: string, listener: (e: { data: string }) => void) {
      this.#listeners.set(type, listener);
    }
    close() {
      this.closed = true;
    }
    say(type: string, data: string) {
      this.#listeners.get(type)?.({ data });
    }
  }
  const feed = new Feed({
    open: () => new FakeStream(),
    recap: () => [],
    types: ['event'],
    silence: 3000,
    lead: (run, signal) => void run(signal),
  });
  const heard: FeedMessage[] = [];
  feed.listen((message) => heard.push(message));
  const stream = (n: number) => {
    const found = streams[n];
    if (!found) throw new Error(`no stream ${n}`);
    return found;
  };
  return { feed, heard, stream, streams };
}

test('a broken stream is opened again at once', async () => {
  const { feed, heard, stream, streams } = fake();
  expect(feed.state).toBe('connecting');
  stream(0).onopen?.();
  expect(feed.state).toBe('live');
  stream(0).say('event', '{"n":7}');
  stream(0).onerror?.();
  await vi.advanceTimersByTimeAsync(0);
  expect(feed.state).toBe('reconnecting');
  expect(stream(0).closed).toBe(true);
  await vi.advanceTimersByTimeAsync(300);
  expect(streams).toHaveLength(2);
  stream(1).onopen?.();
  expect(feed.state).toBe('live');
  expect(heard).toEqual([{ type: 'event', data: { n: 7 } }]);
  feed.close();
});

test('silence counts as broken', async () => {
  const { feed, stream } = fake();
  stream(0).onopen?.();
  await vi.advanceTimersByTimeAsync(2900);
  expect(feed.state).toBe('live');
  await vi.advanceTimersByTimeAsync(200);
  expect(feed.state).toBe('reconnecting');
  feed.close();
});

test('bytes that are not JSON are left out', () => {
  const { feed, heard, stream } = fake();
  stream(0).onopen?.();
  stream(0).say('event', '{');
  expect(heard).toEqual([]);
  feed.close();
});

test('tries come quickly and never more than 2 s apart', () => {
  expect([1, 2, 3, 4, 5, 20].map(backoff)).toEqual([250, 500, 1000, 2000, 2000, 2000]);
});

test('a tab that does not lead shows what the leading one passes on', () => {
  const channel = {
    onmessage: null as ((this: BroadcastChannel, e: MessageEvent) => unknown) | null,
    sent: [] as unknown[],
    postMessage(data: unknown) {
      this.sent.push(data);
    },
    close() {},
  };
  const feed = new Feed({
    open: () => {
      throw new Error('must not open a stream');
    },
    types: ['event'],
    recap: () => [],
    silence: 3000,
    channel,
    lead: () => {},
  });
  const heard: FeedMessage[] = [];
  feed.listen((message) => heard.push(message));
  const pass = (data: unknown) =>
    channel.onmessage?.call({} as BroadcastChannel, { data } as MessageEvent);
  expect(channel.sent).toEqual([{ kind: 'hello' }]);
  pass({ kind: 'state', state: 'live' });
  pass({ kind: 'message', message: { type: 'event', data: 1 } });
  expect(feed.state).toBe('live');
  expect(heard).toEqual([{ type: 'event', data: 1 }]);
  feed.close();
});
