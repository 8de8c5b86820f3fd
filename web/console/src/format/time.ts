/** Times as the console says them. The API sends RFC 3339; we show local time. */

const clock = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  hourCycle: 'h23',
});
const minutes = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const dayClock = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const day = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
});
const medium = new Intl.DateTimeFormat(undefined, {
  day: 'numeric',
  month: 'short',
  year: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});
const weekday = new Intl.DateTimeFormat(undefined, { dateStyle: 'full' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });

/** 14:03:07 */
export function clockTime(at: Date): string {
  return clock.format(at);
}

/** 14:03:07.412 */
export function preciseTime(at: Date): string {
  return `${clock.format(at)}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

/** Day and clock, with the year if it is another one. */
const otherDay = (at: Date, now: Date): string =>
  (at.getFullYear() === now.getFullYear() ? dayClock : medium).format(at);

/** The clock for today, day and clock otherwise. */
export function shortTime(at: Date, now: Date): string {
  return at.toDateString() === now.toDateString() ? clock.format(at) : otherDay(at, now);
}

/** 14:03 for today, with the day otherwise. */
export function minuteTime(at: Date, now: Date): string {
  return at.toDateString() === now.toDateString() ? minutes.format(at) : otherDay(at, now);
}

/** Friday, 20 November 2026 */
export function weekdayTime(at: Date): string {
  return weekday.format(at);
}

/** 20 Nov 2026 */
export function dayTime(at: Date): string {
  return day.format(at);
}

/** 20 Nov 2026, 14:03 */
export function dateTime(at: Date): string {
  return medium.format(at);
}

/** For titles and screen readers. */
export function fullTime(at: Date): string {
  return full.format(at);
}

/** "just now", "12 s ago", "3 min ago", "5 h ago", "2 d ago". */
export function ago(at: Date, now: Date): string {
  const seconds = Math.round((now.getTime() - at.getTime()) / 1000);
  if (seconds < 2) return 'just now';
  return `${span(seconds)} ago`;
}

/** A span of seconds with one unit: 45 s, 3 min, 5 h, 2 d. */
export function span(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

/** How far behind the live view is: "0.4 s behind". */
export function behind(ms: number): string {
  const seconds = Math.max(0, ms) / 1000;
  return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s behind`;
}
