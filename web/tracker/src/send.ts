import { load, loadList, saveList } from './store';

// The way out. An event leaves GATHER ms after it was tracked, or once the request
// before it is answered: two at a time could pass each other, and a series of steps
// means something else in another order. What fails for a passing reason is kept,
// in memory and (bounded) in localStorage, and tried again later; what the
// collector will never take is dropped with a warning.

const GATHER = 10;
/** How long an event waits for an answer to those before it, in ms. */
const HOLD = 5000;
const STORED = 'heed_q';
const STORED_MAX = 100_000;
const EVENT_MAX = 32 * 1024;
/** Browsers refuse keepalive bodies beyond 64 KB, all requests together. */
const BATCH_MAX = 50_000;
/** Events held in memory while the collector cannot be reached. */
const QUEUE_MAX = 1000;
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
  let held = 0; // the newest request under way is waited for until then
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

  const due = () => Math.max(notBefore, held) - Date.now();
  const schedule = (wait: number) => {
    timer ??= setTimeout(flush, Math.max(wait, due()));
  };

  const take = (): string[] => {
    let room = BATCH_MAX;
    const over = queue.findIndex((e) => {
      room -= bytes(e);
      return room < 0;
    });
    return queue.splice(0, over < 0 ? queue.length : over);
  };

  const bodyOf = (batch: string[]) =>
    `{"writeKey":${JSON.stringify(writeKey)},"sentAt":"${new Date().toISOString()}","batch":[${batch}]}`;

  const post = async (batch: string[]) => {
    const keepalive = !held;
    const mine = Date.now() + HOLD;
    held = mine;
    if (!keepalive) keep(batch); // the request dies with the page, these must not
    try {
      // a text goes as text/plain, which needs no preflight on other origins
      const r = await fetch(url, { method: 'POST', body: bodyOf(batch), keepalive });
      if (/408|429|50[234]/.test(`${r.status}`) || (r.status > 499 && ++errors < ERRORS_MAX))
        throw r.headers.get('retry-after');
      failures = errors = 0;
      forget(batch);
      const { rejected, error } = await r.json().catch(() => ({}));
      if (!r.ok) warn('dropped', r.status, error);
      for (const x of rejected || []) warn('refused', x.reason, batch[x.index]);
    } catch (wait) {
      // it passes: the collector said how soon, or it could not be reached
      notBefore = Date.now() + (+(wait as string) * 1000 || backoff(failures++));
      keep([...batch, ...queue]);
      behind = true;
    }
    if (held === mine) held = 0;
    flush();
  };

  function flush(): void {
    clearTimeout(timer);
    timer = undefined;
    if (due() > 0) schedule(0);
    else {
      if (behind) queue.unshift(...others(queue));
      behind = false;
      if (queue.length) {
        post(take());
        schedule(0);
      }
    }
  }

  const leave = () => {
    if (!navigator.onLine || Date.now() < notBefore) {
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
    notBefore = held = failures = 0;
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
