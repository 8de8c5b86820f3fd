import { load, loadList, saveList } from './store';

// The way out. An event leaves at most GATHER ms after it was tracked, however
// many requests are under way. What fails for a passing reason is kept, in
// memory and (bounded) in localStorage, and tried again later; what the
// collector will never take is dropped with a warning.

const GATHER = 10;
const STORED = 'heed_q';
const STORED_MAX = 100_000;
const EVENT_MAX = 32 * 1024;
const BATCH_MAX = 50_000;
/** Events held in memory while the collector cannot be reached. */
const QUEUE_MAX = 1000;
/** Browsers refuse keepalive bodies beyond 64 KB, all requests together. */
const KEEPALIVE_MAX = 60_000;
/** Answers of 500 in a row before the batch that got them is given up. */
const ERRORS_MAX = 5;

// not by a Blob: making one takes a round trip to another process
const bytes = (s: string): number => new TextEncoder().encode(s).length;

export const warn = (...what: unknown[]): void => console.warn('heed:', ...what);

/** How long to wait, in ms, after so many failures in a row. */
export const backoff = (failures: number): number =>
  Math.min(30_000, 500 * 2 ** failures) * (0.5 + Math.random());

export interface Sender {
  add(event: object): void;
  /** Sends at once. */
  flush(): void;
  /** The page may go away: sends by beacon. */
  leave(): void;
}

export function sender(host: string, writeKey: string): Sender {
  const url = `${host}/v1/batch`;
  const queue: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  let keptAlive = 0; // bytes of keepalive bodies under way
  let failures = 0; // in a row
  let notBefore = 0; // backing off until then
  let behind = true; // storage may hold events, from before or of a failure
  let errors = 0; // answers of 500 in a row

  const others = (events: string[]) => loadList(STORED).filter((e) => !events.includes(e));

  const keep = (events: string[]) => {
    const all = [...others(events), ...events];
    // the oldest go first; the quota, too, counts UTF-16 units
    let room = STORED_MAX - JSON.stringify(all).length;
    while (room < 0) room += JSON.stringify(all.shift()).length + 1;
    saveList(STORED, all);
  };

  const forget = (events: string[]) => {
    if (load(STORED)) saveList(STORED, others(events));
  };

  const schedule = (wait: number) => {
    timer ??= setTimeout(flush, Math.max(wait, notBefore - Date.now()));
  };

  const take = (): string[] => {
    let size = 0;
    let n = 0;
    while (n < queue.length) {
      size += bytes(queue[n] as string) + 1;
      if (n && size > BATCH_MAX) break;
      n++;
    }
    return queue.splice(0, n);
  };

  const bodyOf = (batch: string[]) =>
    `{"writeKey":${JSON.stringify(writeKey)},"sentAt":"${new Date().toISOString()}","batch":[${batch}]}`;

  const again = (batch: string[], retryAfter?: string | null) => {
    notBefore = Date.now() + (+(retryAfter as string) * 1000 || backoff(failures++));
    keep(batch);
    behind = true;
    flush(); // as soon as that
  };

  const post = async (batch: string[]) => {
    const body = bodyOf(batch);
    const size = bytes(body);
    const keepalive = keptAlive + size < KEEPALIVE_MAX;
    if (keepalive) keptAlive += size;
    else keep(batch); // the request dies with the page, these must not
    try {
      // a text goes as text/plain, which needs no preflight on other origins
      const r = await fetch(url, { method: 'POST', body, keepalive });
      if (/408|429|50[234]/.test(`${r.status}`) || (r.status > 499 && ++errors < ERRORS_MAX))
        again(batch, r.headers.get('retry-after'));
      else {
        failures = errors = 0;
        forget(batch);
        const { rejected, error } = await r.json().catch(() => ({}));
        if (!r.ok) warn('dropped', r.status, error);
        for (const x of rejected || []) warn('refused', x.reason, batch[x.index]);
      }
    } catch {
      again(batch);
    }
    if (keepalive) keptAlive -= size;
  };

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (Date.now() < notBefore) {
      schedule(0);
      return;
    }
    if (behind) queue.unshift(...others(queue));
    behind = false;
    while (queue.length) post(take());
  }

  const leave = () => {
    if (Date.now() < notBefore || !navigator.onLine) {
      if (queue.length) keep(queue);
      return;
    }
    while (queue.length) {
      const batch = take();
      const body = new Blob([bodyOf(batch)], { type: 'text/plain' });
      if (navigator.sendBeacon(url, body)) forget(batch);
      else keep(batch); // the next page sends it
    }
  };

  addEventListener('online', () => {
    notBefore = failures = 0;
    behind = true;
    flush();
  });
  if (load(STORED)) schedule(GATHER);

  return {
    add(event) {
      const e = JSON.stringify(event);
      if (bytes(e) > EVENT_MAX) return warn('dropped, over 32 KB', e.slice(0, 200));
      if (queue.push(e) > QUEUE_MAX) queue.shift();
      // timers of hidden pages are slowed down
      if (document.hidden) flush();
      else schedule(GATHER);
    },
    flush,
    leave,
  };
}
