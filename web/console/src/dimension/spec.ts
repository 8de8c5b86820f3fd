import type { Condition, Range } from '../explore/measure';
import { rangeWords } from '../explore/words';
import { conditionWords } from '../format/pattern';
import { eventLabel, sentence } from '../format/words';

// A dimension as docs/measures.md describes it.

export interface Bucket {
  name: string;
  from?: number;
  below?: number;
  in?: string[];
}

export interface Behavior {
  event?: string;
  where?: Condition;
  during?: Range;
  field?: string;
}

export interface Spec {
  description?: string;
  field?: string;
  days?: Behavior;
  events?: Behavior;
  recency?: Behavior;
  sum?: Behavior;
  buckets?: Bucket[];
}

export const behaviors = ['days', 'events', 'recency', 'sum'] as const;
export type What = 'field' | (typeof behaviors)[number];

/** What a new dimension begins with. */
export const blank: Spec = { days: { during: { last: '28d' } } };

export const whatOf = (spec: Spec): What => behaviors.find((b) => spec[b]) ?? 'field';

/** What users did, for a dimension of that. */
export function behaviorOf(spec: Spec): Behavior | undefined {
  const what = whatOf(spec);
  return what === 'field' ? undefined : spec[what];
}

/** The same dimension of something else; buckets of the old numbers would mean nothing. */
export function turn(spec: Spec, what: What): Spec {
  const { description } = spec;
  const old = behaviorOf(spec) ?? { during: { last: '28d' } };
  const said = description ? { description } : {};
  if (what === 'field') return { ...said, field: '' };
  const { field, ...rest } = old;
  return { ...said, [what]: what === 'sum' ? { ...rest, field: field ?? '' } : rest };
}

export const putBehavior = (spec: Spec, patch: Partial<Behavior>): Spec => {
  const what = whatOf(spec);
  if (what === 'field') return spec;
  const next = { ...spec[what], ...patch };
  for (const key of Object.keys(next) as (keyof Behavior)[]) {
    if (next[key] === undefined || next[key] === '') delete next[key];
  }
  return { ...spec, [what]: next };
};

/** Whether it says enough to be asked about. */
export function complete(spec: Spec): boolean {
  const what = whatOf(spec);
  if (what === 'field') return !!spec.field;
  return what !== 'sum' || !!spec.sum?.field;
}

/** What it is of, in words. */
export function words(spec: Spec): string {
  const did = behaviorOf(spec);
  if (!did) return fieldWords(spec.field ?? '');
  const event = did.event ? eventLabel(did.event) : 'anything';
  const where = did.where ? ` where ${conditionWords(did.where as never)}` : '';
  const when = did.during ? `, ${rangeWords(did.during)}` : '';
  switch (whatOf(spec)) {
    case 'days':
      return did.event ? `Days with ${event}${where}${when}` : `Active days${when}`;
    case 'events':
      return `How often they did ${event}${where}${when}`;
    case 'recency':
      return `Days since they last did ${event}${where}${when}`;
    default:
      return `Sum of ${(did.field ?? '').replace(/^(?:properties|context)\./, '')} over ${event}${where}${when}`;
  }
}

const places: Record<string, string> = {
  'user.country': 'country of the latest event',
  'user.locale': 'language of the latest event',
  'user.timezone': 'time zone of the latest event',
  'user.device': 'device of the latest event',
  'user.os': 'operating system of the latest event',
  'user.browser': 'browser of the latest event',
  'acquisition.day': 'day of the first event',
  'acquisition.week': 'week of the first event',
  'acquisition.month': 'month of the first event',
  'acquisition.source': 'source of the first visit',
  'acquisition.medium': 'medium of the first visit',
  'acquisition.campaign': 'campaign of the first visit',
  'lastTouch.day': 'day of the last touch',
  'lastTouch.week': 'week of the last touch',
  'lastTouch.month': 'month of the last touch',
  'lastTouch.source': 'source of the last touch',
  'lastTouch.medium': 'medium of the last touch',
  'lastTouch.campaign': 'campaign of the last touch',
};

/** The fields of users besides their traits, with what they are. */
export const userFields = Object.entries(places).map(([value, label]) => ({
  value,
  label: sentence(label),
}));

export const fieldWords = (field: string): string =>
  places[field] ? sentence(places[field]) : `Trait ${field.replace(/^traits\./, '')}`;

/** The keys in the order in which people read them. */
export function ordered(spec: Spec): Spec {
  const { description, field, days, events, recency, sum, buckets, ...others } = spec;
  const known = { description, field, days, events, recency, sum, buckets };
  const said = Object.entries(known).filter(([, v]) => v !== undefined);
  return { ...Object.fromEntries(said), ...others };
}

/** A bucket's numbers: "2 to under 5", "10 and more". */
export function boundsWords(b: Bucket): string {
  if (b.in) return b.in.join(', ');
  if (b.from === undefined && b.below === undefined) return 'any number';
  if (b.from === undefined) return `under ${b.below}`;
  return b.below === undefined ? `${b.from} and more` : `${b.from} to under ${b.below}`;
}

/** What is odd about buckets: the first that fits wins, so some may never. */
export function oddities(buckets: readonly Bucket[]): string[] {
  const out: string[] = [];
  buckets.forEach((b, i) => {
    const { from = Number.NEGATIVE_INFINITY, below = Number.POSITIVE_INFINITY } = b;
    if (b.in) return;
    if (from >= below) out.push(`${b.name || `Bucket ${i + 1}`} holds no number`);
    const before = buckets
      .slice(0, i)
      .find(
        (o) =>
          !o.in &&
          (o.from ?? Number.NEGATIVE_INFINITY) < below &&
          from < (o.below ?? Number.POSITIVE_INFINITY),
      );
    if (before && from < below)
      out.push(
        `${b.name || `Bucket ${i + 1}`} overlaps ${before.name}: what fits both is ${before.name}`,
      );
  });
  return out;
}

/** One more bucket, behind the last one. */
export function addBucket(buckets: readonly Bucket[]): Bucket[] {
  const last = buckets.at(-1);
  const taken = new Set(buckets.map((b) => b.name));
  let n = buckets.length + 1;
  while (taken.has(`bucket-${n}`)) n++;
  const name = `bucket-${n}`;
  if (!last) return [{ name, from: 0 }];
  if (last.below !== undefined) return [...buckets, { name, from: last.below }];
  const cut = (last.from ?? 0) + Math.max(1, Math.abs(last.from ?? 0));
  return [...buckets.slice(0, -1), { ...last, below: cut }, { name, from: cut }];
}

/** Values with their users, as numbers. */
export interface Point {
  at: number;
  users: number;
}

/** A bar of a histogram: the numbers from `from` up to, not including, `below`. */
export interface Bin {
  from: number;
  below: number;
  users: number;
}

const nice = (n: number): number => {
  const unit = 10 ** Math.floor(Math.log10(n));
  return ([1, 2, 5, 10].find((m) => n <= m * unit * 1.0001) ?? 10) * unit;
};

/** Edges of about `most` equal bins over a span of numbers; whole numbers stay apart. */
export function edges(least: number, greatest: number, most = 32): number[] {
  const width = nice(Math.max((greatest - least) / most, Number.EPSILON * Math.abs(greatest) * 8));
  const step = Number.isInteger(least) && Number.isInteger(greatest) ? Math.max(1, width) : width;
  const first = Math.floor(least / step);
  const out: number[] = [];
  for (let i = first; i * step <= greatest; i++) out.push(Number((i * step).toPrecision(12)));
  out.push(Number(((first + out.length) * step).toPrecision(12)));
  return out;
}

/** The bars over points. */
export function bins(points: readonly Point[], most = 32): Bin[] {
  if (points.length === 0) return [];
  const at = points.map((p) => p.at);
  const cuts = edges(Math.min(...at), Math.max(...at), most);
  return cuts.slice(0, -1).map((from, i) => {
    const below = cuts[i + 1] as number;
    return {
      from,
      below,
      users: points.reduce((n, p) => n + (p.at >= from && p.at < below ? p.users : 0), 0),
    };
  });
}

/** The place of the bucket that a number falls into; undefined: none. */
export function bucketAt(buckets: readonly Bucket[], n: number): number | undefined {
  const i = buckets.findIndex(
    (b) =>
      !b.in &&
      n >= (b.from ?? Number.NEGATIVE_INFINITY) &&
      n < (b.below ?? Number.POSITIVE_INFINITY),
  );
  return i < 0 ? undefined : i;
}
