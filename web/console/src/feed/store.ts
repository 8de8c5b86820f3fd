import type { Schema } from '../api/client';
import type { FeedMessage } from './feed';

export type LiveEvent = Schema['EventSummary'];
export type LiveDelivery = Schema['Delivery'];
export type LiveStats = Schema['LiveStats'];
export type Progress = Schema['TriggerProgressList'];

/** What is missing in the figures of triggers. */
export function partly({ partitions, of }: Progress): string {
  const share =
    partitions === 0
      ? 'All users'
      : `About ${Math.ceil((100 * (of - partitions)) / of)} % of all users`;
  return `${share} are missing here: the process that decides about them starts, stops or does not answer.`;
}

export interface Live {
  /** Newest first. */
  events: readonly LiveEvent[];
  /** Newest first. */
  deliveries: readonly LiveDelivery[];
  stats: LiveStats | undefined;
  progress: Progress | undefined;
}

const keep = 500;
const nothing: Live = { events: [], deliveries: [], stats: undefined, progress: undefined };

/** What the feed has said so far, without repeats: a stream that starts again begins with the newest ones. */
export class LiveStore {
  #live: Live = nothing;
  #readers = new Set<() => void>();
  #scheduled = false;

  get live(): Live {
    return this.#live;
  }

  subscribe = (reader: () => void): (() => void) => {
    this.#readers.add(reader);
    return () => this.#readers.delete(reader);
  };

  read = (): Live => this.#live;

  apply(message: FeedMessage): void {
    const { type, data } = message;
    if (type === 'events') {
      const batch = (data as Schema['LiveEvents']).events;
      this.#live = { ...this.#live, events: merge(this.#live.events, batch, (e) => e.receivedAt) };
    } else if (type === 'deliveries') {
      const batch = (data as Schema['LiveDeliveries']).deliveries;
      this.#live = { ...this.#live, deliveries: merge(this.#live.deliveries, batch, (d) => d.at) };
    } else if (type === 'stats') {
      this.#live = { ...this.#live, stats: data as LiveStats };
    } else if (type === 'triggers') {
      this.#live = { ...this.#live, progress: data as Progress };
    } else {
      return;
    }
    this.#tell();
  }

  clear(): void {
    this.#live = nothing;
    this.#tell();
  }

  /** Everything so far, as messages for a tab that comes later. */
  recap(): FeedMessage[] {
    const { events, deliveries, stats, progress } = this.#live;
    const out: FeedMessage[] = [
      { type: 'events', data: { events: events.slice(0, 100).reverse() } },
      { type: 'deliveries', data: { deliveries: deliveries.slice(0, 100).reverse() } },
    ];
    if (stats) out.push({ type: 'stats', data: stats });
    if (progress) out.push({ type: 'triggers', data: progress });
    return out;
  }

  /** Readers hear at most once a frame, however much arrives. */
  #tell(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      for (const reader of this.#readers) reader();
    }, 50);
  }
}

/** Newest first, each id once, at most `keep`. Batches come oldest first and mostly in order. */
export function merge<T extends { id: string }>(
  old: readonly T[],
  batch: readonly T[],
  at: (item: T) => string,
): readonly T[] {
  const known = new Set(old.map((item) => item.id));
  const fresh = batch.filter((item) => !known.has(item.id) && known.add(item.id)).reverse();
  if (fresh.length === 0) return old;
  const all = [...fresh, ...old];
  const newest = old[0];
  const oldest = fresh.at(-1);
  // A stream that starts again may bring what was missed in between.
  if (newest && oldest && at(oldest) < at(newest)) {
    all.sort((a, b) => Date.parse(at(b)) - Date.parse(at(a)));
  }
  return all.slice(0, keep);
}
