import { backoff } from './send';
import type { Message } from './types';

// One connection for messages per browser profile: the tab that holds the lock
// opens it and tells the others. Where the browser has no locks (plain http),
// each tab has its own.

/** What tabs tell each other: a message; "I have just come"; "somebody else is here now". */
type Word = Message | 'hello' | 'who';

const RECENT = 20;

/** Starts listening; the answer opens the connection again, in whichever tab holds it. */
export function stream(
  writeKey: string,
  url: (path: string) => string,
  receive: (m: Message) => void,
  changed: () => void,
): () => void {
  const locks = navigator.locks;
  const channel = locks && new BroadcastChannel(`heed:${writeKey}`); // locks are the newer of them
  let source: EventSource | undefined; // of the tab that leads
  let resign: (() => void) | undefined;
  let failures = 0;
  let recent: Message[] = [];
  const tell = (word: Word) => channel?.postMessage(word);

  const open = () => {
    source?.close();
    const s = new EventSource(url('messages/stream'));
    source = s;
    s.onopen = () => {
      failures = 0;
    };
    s.onmessage = (e) => {
      const m = JSON.parse(e.data);
      recent = [...recent, m].slice(-RECENT);
      tell(m);
      receive(m);
    };
    s.onerror = () => {
      // the browser reconnects by itself unless the answer was an error
      if (s.readyState === 2) setTimeout(() => s === source && open(), backoff(failures++));
    };
  };

  const reopen = () => {
    recent = [];
    if (source) open();
  };

  const start = () => {
    if (!locks) return open();
    locks.request(`heed:${writeKey}`, () => {
      open();
      return new Promise<void>((done) => {
        resign = done;
      });
    });
    tell('hello');
  };

  if (channel)
    channel.onmessage = ({ data }: MessageEvent<Word>) => {
      if (data === 'hello') recent.map(tell);
      else if (data === 'who') {
        changed();
        reopen();
      } else receive(data);
    };
  // a page in the back-forward cache must not hold the connection
  addEventListener('pagehide', () => {
    source?.close();
    resign?.();
  });
  addEventListener('pageshow', (e) => {
    if (e.persisted && source) {
      source = undefined;
      start();
    }
  });
  start();

  return () => {
    tell('who');
    reopen();
  };
}
