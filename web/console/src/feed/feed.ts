/**
 * The live feed: one connection to the server for all tabs of the browser, so
 * that many tabs do not use up the connections a browser allows per site. The
 * tab that holds the lock reads the stream and passes everything on; when it
 * goes, the next one takes over. A stream begins with the newest items, so
 * that readers drop what they know by its id.
 */

export type FeedState = 'connecting' | 'live' | 'reconnecting';

export interface FeedMessage {
  type: string;
  data: unknown;
}

interface Stream {
  onopen: unknown;
  onerror: unknown;
  addEventListener(type: string, listener: (e: { data: string }) => void): void;
  close(): void;
}

export interface FeedOptions {
  /** Opens the stream. */
  open(): Stream;
  /** What a tab that comes later needs to know. */
  recap(): FeedMessage[];
  /** The types of messages to pass on. */
  types: readonly string[];
  /** Without any word from the server for this long (ms) the stream counts as broken. */
  silence: number;
  channel?: Pick<BroadcastChannel, 'postMessage' | 'onmessage' | 'close'> | undefined;
  /** Runs the callback while this tab is the one that reads. */
  lead(run: (until: AbortSignal) => Promise<void>, signal: AbortSignal): void;
}

type Passed =
  | { kind: 'message'; message: FeedMessage }
  | { kind: 'state'; state: FeedState }
  | { kind: 'hello' };

/** How long to wait before the nth try in a row, in ms: quick at first, never over 2 s. */
export function backoff(tries: number): number {
  return Math.min(2000, 250 * 2 ** Math.max(0, tries - 1));
}

export class Feed {
  #state: FeedState = 'connecting';
  #leading = false;
  #readers = new Set<(message: FeedMessage) => void>();
  #watchers = new Set<() => void>();
  #stop = new AbortController();
  #options: FeedOptions;

  constructor(options: FeedOptions) {
    this.#options = options;
    const { channel } = options;
    if (channel) {
      channel.onmessage = (e: MessageEvent) => this.#heard(e.data as Passed);
      channel.postMessage({ kind: 'hello' } satisfies Passed);
    }
    options.lead((until) => this.#read(until), this.#stop.signal);
  }

  get state(): FeedState {
    return this.#state;
  }

  /** Hears every message from now on. */
  listen(reader: (message: FeedMessage) => void): () => void {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  }

  /** Hears that the state changed. */
  watch(watcher: () => void): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  close(): void {
    this.#stop.abort();
    this.#options.channel?.close();
  }

  #heard(passed: Passed): void {
    if (passed.kind === 'hello') {
      if (!this.#leading) return;
      this.#pass({ kind: 'state', state: this.#state });
      for (const message of this.#options.recap()) this.#pass({ kind: 'message', message });
    } else if (!this.#leading) {
      if (passed.kind === 'state') this.#set(passed.state);
      else this.#deliver(passed.message);
    }
  }

  #pass(passed: Passed): void {
    this.#options.channel?.postMessage(passed);
  }

  #set(state: FeedState): void {
    if (state === this.#state) return;
    this.#state = state;
    for (const watcher of this.#watchers) watcher();
  }

  #deliver(message: FeedMessage): void {
    for (const reader of this.#readers) reader(message);
  }

  async #read(until: AbortSignal): Promise<void> {
    this.#leading = true;
    let tries = 0;
    while (!until.aborted) {
      const opened = await this.#once(until);
      if (until.aborted) break;
      tries = opened ? 1 : tries + 1;
      this.#set('reconnecting');
      this.#pass({ kind: 'state', state: this.#state });
      await pause(backoff(tries), until);
    }
    this.#leading = false;
  }

  /** Reads one stream to its end; tells whether it ever opened. */
  #once(until: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const stream = this.#options.open();
      let opened = false;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = () => {
        clearTimeout(timer);
        until.removeEventListener('abort', end);
        stream.onerror = null;
        stream.close();
        resolve(opened);
      };
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(end, this.#options.silence);
      };
      until.addEventListener('abort', end);
      alive();
      stream.onerror = end;
      stream.onopen = () => {
        opened = true;
        alive();
        this.#set('live');
        this.#pass({ kind: 'state', state: 'live' });
      };
      for (const type of this.#options.types) {
        stream.addEventListener(type, (e) => {
          alive();
          const message = { type, data: parse(e.data) };
          if (message.data === undefined) return;
          this.#deliver(message);
          this.#pass({ kind: 'message', message });
        });
      }
    });
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function pause(ms: number, until: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    until.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Leads while holding the browser's lock; where there are no locks (plain http), every tab reads for itself. */
export function leadByLock(name: string): FeedOptions['lead'] {
  return (run, signal) => {
    if (!navigator.locks) {
      void run(signal);
      return;
    }
    navigator.locks
      .request(name, { signal }, () => run(signal))
      .catch(() => {
        // Aborted while waiting: nothing was read.
      });
  };
}
