import { conditionWords, list, periodWords } from '../format/pattern';
import { dayTime } from '../format/time';
import { eventLabel, sentence } from '../format/words';
import type { Answer, FunnelStep, Mark, Range, Unit } from './measure';
import { byOf, type Chip, dimensionOf, ofEvents, rangeOf, type Search, unitOf } from './state';

// Marks, bars and chips in words: what is clicked, listed, saved and sent has one name.

// maps, since names come from the URL and may be those of every object
const titles = new Map(
  Object.entries({
    engagement: 'Engagement',
    'acquisition-month': 'Acquisition month',
    'acquisition-source': 'Acquisition source',
    'last-touch-source': 'Last touch',
    country: 'Country',
    device: 'Device',
    'event.event': 'Event',
    'user.os': 'Operating system',
    'user.browser': 'Browser',
    'user.locale': 'Language',
    'user.timezone': 'Time zone',
    'acquisition.day': 'Acquisition day',
    'acquisition.week': 'Acquisition week',
    'acquisition.month': 'Acquisition month',
    'acquisition.medium': 'Acquisition medium',
    'acquisition.campaign': 'Acquisition campaign',
    'lastTouch.source': 'Last touch',
    'lastTouch.day': 'Day of last touch',
    'lastTouch.week': 'Week of last touch',
    'lastTouch.month': 'Month of last touch',
    'lastTouch.medium': 'Last touch medium',
    'lastTouch.campaign': 'Last touch campaign',
  }),
);

/** The name of a dimension as people say it. */
export const dimensionTitle = (by: string): string =>
  titles.get(by) ??
  sentence(by.replace(/^(?:traits|user|properties|context)\./, '').replaceAll(/[-_]/g, ' '));

const abouts = new Map(
  Object.entries({
    engagement:
      'days on which they were active, in the last 28: low 1, medium 2 to 4, medium-high 5 to 9, high 10 and more',
    'acquisition-month': 'month of the first event',
    'acquisition-source': 'what brought the first visit',
    'last-touch-source': 'what brought the latest visit that was not direct',
    country: 'country of the latest event',
    device: 'device of the latest event',
    'event.event': 'users who did it',
  }),
);

/** What a dimension means, if it is not plain. */
export const dimensionAbout = (by: string, description?: string): string | undefined =>
  description ?? abouts.get(by);

const month = new Intl.DateTimeFormat(undefined, {
  month: 'long',
  year: 'numeric',
  timeZone: 'UTC',
});
const regions = new Intl.DisplayNames(undefined, { type: 'region', fallback: 'code' });

/** A value as people say it. */
export function valueWords(by: string, value: string | null): string {
  if (value === null) {
    if (by === 'engagement') return 'Not active in 28 days';
    if (by === 'acquisition-source') return 'Direct';
    return `No ${dimensionTitle(by).toLowerCase()}`;
  }
  if (/^(?:acquisition[-.]|lastTouch\.)month$/.test(by) && /^\d{4}-\d\d$/.test(value)) {
    return month.format(new Date(`${value}-01T00:00:00Z`));
  }
  if (by === 'country' || by === 'user.country') {
    return /^[A-Z]{2}$/.test(value) ? (regions.of(value) ?? value) : value;
  }
  if (by === 'engagement' || by === 'device') return sentence(value);
  if (by === 'event.event') return eventLabel(value);
  return value === '' ? '(empty)' : value;
}

/** The chip that a bar turns into. */
export function chipOf(s: Search, values: readonly (string | null)[], other: boolean): Chip {
  const by = byOf(s);
  const shown = values.map((v) => valueWords(by, v));
  const words = other
    ? `${dimensionTitle(by)}: all others`
    : `${dimensionTitle(by)}: ${list(shown, 'or')}`;
  const is = { dimension: dimensionOf(by), values: [...values], ...(other ? { not: true } : {}) };
  if (!ofEvents(by)) return { words, node: { is } };
  const during = rangeOf(s);
  const when = during ? { during } : {};
  const [only] = values;
  if (by === 'event.event' && !other && values.length === 1 && typeof only === 'string') {
    return {
      words: `Did ${eventLabel(only)} ${rangeWords(during)}`,
      node: { did: { event: only, ...when } },
    };
  }
  return { words: `${words} ${rangeWords(during)}`, node: { did: { is: [is], ...when } } };
}

const lasts: Record<string, string> = {
  m: 'minute',
  h: 'hour',
  d: 'day',
  w: 'week',
  mo: 'month',
  y: 'year',
};

/** A range in words: "in the last 28 days". */
export function rangeWords(range: Range | undefined): string {
  if (!range || (!range.last && !range.from && !range.to)) return 'at any time';
  if (range.last) {
    const [, n = '', unit = ''] = /^(\d+)(m|h|d|w|mo|y)$/.exec(range.last) ?? [];
    const word = lasts[unit] ?? unit;
    if (n === '1') return unit === 'd' ? 'today' : `in the last ${word}`;
    return `in the last ${n} ${word}s`;
  }
  const day = (text: string) => dayTime(new Date(text.length === 10 ? `${text}T00:00` : text));
  if (!range.to) return `since ${day(range.from ?? '')}`;
  const last = new Date(range.to.length === 10 ? `${range.to}T00:00` : range.to);
  last.setDate(last.getDate() - (range.to.length === 10 ? 1 : 0));
  return range.from ? `${day(range.from)} to ${dayTime(last)}` : `until ${dayTime(last)}`;
}

/** An event, or any. */
export const doing = (event: string | undefined): string =>
  event ? eventLabel(event) : 'anything';

/** A step of a funnel. */
export function stepWords(step: FunnelStep): string {
  let out = doing(step.event);
  if (step.where) out += ` where ${conditionWords(step.where as never)}`;
  if (step.without?.length)
    out += ` without ${list(
      step.without.map((m) => doing(m.event)),
      'or',
    )}`;
  return out;
}

/** Who stands at a step of a funnel. */
export function funnelWords(steps: readonly FunnelStep[], mark: Mark): string {
  const i = (mark.step ?? 1) - 1;
  const here = stepWords(steps[i] ?? {});
  const next = steps[i + 1];
  if (mark.state === 'stuck' && next)
    return `Stuck at level ${i + 1}: did ${here}, not ${stepWords(next)}`;
  if (mark.state === 'progress' && next)
    return `In progress at level ${i + 1}: did ${here}, and still has time for ${stepWords(next)}`;
  return i === 0 ? `Did ${here}` : `Reached level ${i + 1}: ${here}`;
}

/** The start of a unit. */
export function bucketWords(micros: number, per: Unit, zone: string): string {
  const at = new Date(micros / 1000);
  const words = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(undefined, { timeZone: zone, ...options }).format(at);
  if (per === 'month') return words({ month: 'long', year: 'numeric' });
  if (per === 'minute' || per === 'hour')
    return words({
      day: 'numeric',
      month: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
  const day = words({ weekday: 'short', day: 'numeric', month: 'short', year: 'numeric' });
  return per === 'week' ? `week of ${day}` : day;
}

/** The same, as short as an axis wants it. */
export function bucketShort(micros: number, per: Unit, zone: string): string {
  const at = new Date(micros / 1000);
  const words = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(undefined, { timeZone: zone, ...options }).format(at);
  if (per === 'month') return words({ month: 'short', year: '2-digit' });
  if (per === 'minute' || per === 'hour')
    return words({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
  return words({ day: 'numeric', month: 'short' });
}

/** A part of what is split by a dimension; undefined if nothing is split. */
export function partWords(
  by: string | undefined,
  part: { value?: string | null; other?: boolean },
): string | undefined {
  if (!by) return undefined;
  return part.other ? 'all others' : valueWords(by, part.value ?? null);
}

/** A line of a trend: its event, and its part. */
export function lineWords(
  trend: Search['trend'],
  line: { match: number; value?: string | null; other?: boolean },
): string {
  const event = doing(trend?.events[line.match]);
  const of = partWords(trend?.by, line);
  return of === undefined ? event : (trend?.events.length ?? 0) > 1 ? `${event}: ${of}` : of;
}

/** A title for the chart of a view. */
export function chartTitle(s: Search): string {
  const narrowed = (s.chips ?? []).map((c) => c.words).join(', ');
  const what = {
    funnel: () =>
      s.funnel?.saved ??
      `From ${doing(s.funnel?.steps[0]?.event)} to ${doing(s.funnel?.steps.at(-1)?.event)}`,
    trend: () =>
      s.trend?.events.length ? list(s.trend.events.map(doing), 'and') : 'What users do',
    retention: () => `Who comes back per ${s.retention?.per ?? 'week'}`,
    paths: () => `What comes ${s.paths?.before ? 'before' : 'after'} ${doing(s.paths?.from)}`,
    users: () => `Users by ${dimensionTitle(byOf(s)).toLowerCase()}`,
  }[s.view ?? 'users']();
  return (narrowed ? `${what} (${narrowed})` : what).slice(0, 120);
}

/** Who is behind a mark of the view, in words; the answer says what its places mean. */
export function markWords(s: Search, mark: Mark, answer: Answer | undefined): string {
  const range = rangeWords(rangeOf(s));
  const zone = answer?.zone ?? 'UTC';
  switch (s.view) {
    case 'funnel': {
      const who = funnelWords(s.funnel?.steps ?? [], mark);
      const group = answer?.funnel?.groups?.[mark.group ?? -1];
      const of = group ? partWords(s.funnel?.by, group) : undefined;
      return of ? `${who} (${of})` : who;
    }
    case 'trend': {
      const line = answer?.series?.lines[mark.row ?? 0];
      const event = line ? lineWords(s.trend, line) : doing(s.trend?.events[mark.row ?? 0]);
      const start = answer?.series?.buckets[mark.bucket ?? -1];
      return start === undefined
        ? `Did ${event} ${range}`
        : `Did ${event}, ${bucketWords(start, unitOf(rangeOf(s) ?? {}, s.trend?.per), zone)}`;
    }
    case 'retention': {
      const r = s.retention ?? { first: '', return: '', per: 'week' as const };
      const start = answer?.retention?.cohorts[mark.cohort ?? 0]?.start;
      const cohort = start === undefined ? '' : ` (${bucketWords(start, r.per, zone)})`;
      if (!mark.period) return `First did ${doing(r.first)}${cohort}`;
      const verb = mark.lost ? 'did not come back' : 'came back';
      return `First did ${doing(r.first)}${cohort}, ${verb} ${r.per} ${mark.period}${r.unbounded ? ' or later' : ''}`;
    }
    case 'paths': {
      const p = s.paths ?? { from: '' };
      if (!mark.depth) return `Did ${doing(p.from)} ${range}`;
      const node = answer?.paths?.depths[mark.depth - 1]?.[mark.node ?? 0];
      const what = node?.end ? 'nothing more' : node?.other ? 'something else' : doing(node?.event);
      const place = mark.depth === 1 ? 'right' : `as number ${mark.depth}`;
      return `Did ${what} ${place} ${p.before ? 'before' : 'after'} ${doing(p.from)}`;
    }
    default:
      return mark.values || mark.other
        ? chipOf(s, mark.values ?? [], mark.other ?? false).words
        : 'All of them';
  }
}

/** A name for an audience, from words; not one of those taken. */
export function suggest(words: string, taken: readonly string[]): string {
  const base =
    words
      .toLowerCase()
      .normalize('NFKD')
      .replaceAll(/\p{M}/gu, '')
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-+|-+$/g, '')
      // whole words, as many as fit
      .replace(/^(.{1,48})(?:-.*)?$/, '$1')
      .slice(0, 60) || 'audience';
  for (let n = 1; ; n++) {
    const name = n === 1 ? base : `${base}-${n}`;
    if (!taken.includes(name)) return name;
  }
}

/** How long, from µs: "1 min 23 s". */
export function lasting(micros: number): string {
  const s = Math.round(micros / 1e6);
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86_400)} d ${Math.floor((s % 86_400) / 3600)} h`;
}

export const windowWords = (window: string): string => `within ${periodWords(window)}`;
