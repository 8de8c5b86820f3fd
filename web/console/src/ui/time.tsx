import { useSyncExternalStore } from 'react';
import { ago, fullTime, shortTime } from '../format/time';
import css from './ui.module.css';

/** One clock for the whole page: everything that says "ago" moves together, once a second. */
const clock = (() => {
  let now = Date.now();
  let timer: ReturnType<typeof setInterval> | undefined;
  const readers = new Set<() => void>();
  return {
    read: () => now,
    subscribe(reader: () => void) {
      readers.add(reader);
      timer ??= setInterval(() => {
        now = Date.now();
        for (const each of readers) each();
      }, 1000);
      return () => {
        readers.delete(reader);
        if (readers.size === 0 && timer) {
          clearInterval(timer);
          timer = undefined;
        }
      };
    },
  };
})();

/** The current second. */
export function useNow(): Date {
  return new Date(useSyncExternalStore(clock.subscribe, clock.read));
}

/** "12 s ago", with the full time as title. */
export function Ago({ at }: { at: string | Date }) {
  const now = useNow();
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={fullTime(date)} className={css.nums}>
      {ago(date, now)}
    </time>
  );
}

/** The clock for today, the day otherwise. */
export function At({ at }: { at: string | Date }) {
  const date = new Date(at);
  return (
    <time dateTime={date.toISOString()} title={fullTime(date)} className={css.nums}>
      {shortTime(date, new Date())}
    </time>
  );
}

/** The time range and the age of the figures of a page. */
export function AsOf({ range, at }: { range?: string; at: Date | number | undefined }) {
  return (
    <span className={css.asOf} data-testid="as-of">
      {range ? `${range} · ` : ''}
      {at ? (
        <>
          as of <At at={new Date(at)} />
        </>
      ) : (
        'loading'
      )}
    </span>
  );
}
