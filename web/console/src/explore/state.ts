import {
  all,
  type Dimension,
  type FunnelStep,
  type Mark,
  type Node,
  type Query,
  type Range,
  type Unit,
} from './measure';

// Everything that the page shows stands in the URL: this reads it, and makes the questions of it.

export const views = ['funnel', 'trend', 'retention', 'paths'] as const;
export type View = (typeof views)[number];

/** One step of the walk: who is left, and in words. */
export interface Chip {
  words: string;
  node: Node;
}

/** The mark whose users are shown. */
export interface Opened {
  /** Of the answer as of this time (µs). */
  at: number;
  /** What stood at the mark; undefined where it was no number of users. */
  n?: number | undefined;
  mark?: Mark | undefined;
  /** Instead of a mark: everybody that so many chips leave. */
  chips?: number | undefined;
}

export interface Trend {
  events: string[];
  count: 'events' | 'users';
  per?: Unit | undefined;
  /** What its lines are split by: a dimension's name, or a field. */
  by?: string | undefined;
}

export interface Retention {
  first: string;
  return: string;
  per: Unit;
  unbounded?: boolean | undefined;
}

export interface Paths {
  from: string;
  before?: boolean | undefined;
}

export interface Funnel {
  steps: FunnelStep[];
  window: string;
  strict?: boolean | undefined;
  by?: string | undefined;
  /** The name under which it was saved or opened. */
  saved?: string | undefined;
}

/** What the URL holds. Absent is the default. */
export interface Search {
  chips?: Chip[] | undefined;
  view?: View | undefined;
  /** A dimension's name, or a field, which has a dot. */
  by?: string | undefined;
  funnel?: Funnel | undefined;
  trend?: Trend | undefined;
  retention?: Retention | undefined;
  paths?: Paths | undefined;
  range?: Range | undefined;
  zone?: string | undefined;
  bots?: true | undefined;
  internal?: true | undefined;
  table?: true | undefined;
  open?: Opened | undefined;
}

const isObject = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);
const text = (v: unknown): string | undefined =>
  typeof v === 'string' && v !== '' ? v : typeof v === 'number' ? `${v}` : undefined;
const oneOf = <T extends string>(v: unknown, ...from: readonly T[]): T | undefined =>
  from.find((each) => each === v);
const number = (v: unknown): number | undefined =>
  typeof v === 'number' && Number.isFinite(v) ? v : undefined;
const yes = (v: unknown): true | undefined => (v === true ? true : undefined);
const list = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);

/** Leaves out what is undefined, so that equal states are equal texts. */
function tidy<T extends object>(value: T): T {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;
}

const units = ['minute', 'hour', 'day', 'week', 'month'] as const;

function readChip(v: unknown): Chip[] {
  const words = isObject(v) ? text(v.words) : undefined;
  return isObject(v) && words && isObject(v.node) ? [{ words, node: v.node }] : [];
}

/** Whether something can be read as a condition; what it means is the server's. */
const isCondition = (v: unknown): v is Record<string, unknown> =>
  isObject(v) &&
  (typeof v.field === 'string' ||
    isCondition(v.not) ||
    [v.all, v.any].some((part) => Array.isArray(part) && part.every(isCondition)));

function readStep(v: unknown): FunnelStep[] {
  const event = isObject(v) ? text(v.event) : undefined;
  if (!isObject(v) || event === undefined) return [];
  const without = list(v.without).flatMap((m) => {
    const name = isObject(m) ? text(m.event) : undefined;
    return name ? [{ event: name }] : [];
  });
  return [
    tidy({
      event,
      where: isCondition(v.where) ? v.where : undefined,
      without: without.length > 0 ? without : undefined,
    }),
  ];
}

function readFunnel(v: unknown): Funnel | undefined {
  if (!isObject(v)) return undefined;
  return tidy({
    steps: list(v.steps).flatMap(readStep),
    window: text(v.window) ?? defaults.window,
    strict: yes(v.strict),
    by: text(v.by),
    saved: text(v.saved),
  });
}

function readTrend(v: unknown): Trend | undefined {
  if (!isObject(v)) return undefined;
  return tidy({
    events: list(v.events).flatMap((e) => text(e) ?? []),
    count: oneOf(v.count, 'events', 'users') ?? 'users',
    per: oneOf(v.per, ...units),
    by: text(v.by),
  });
}

function readRetention(v: unknown): Retention | undefined {
  if (!isObject(v)) return undefined;
  return tidy({
    first: text(v.first) ?? '',
    return: text(v.return) ?? '',
    per: oneOf(v.per, 'day', 'week', 'month') ?? 'week',
    unbounded: yes(v.unbounded),
  });
}

const length = /^\d{1,4}(?:m|h|d|w|mo|y)$/;
const moment = (v: unknown): string | undefined => {
  const said = text(v);
  return said && /^\d{4}-\d\d-\d\d(?:T|$)/.test(said) && !Number.isNaN(Date.parse(said))
    ? said
    : undefined;
};

function readRange(v: unknown): Range | undefined {
  if (!isObject(v)) return undefined;
  const last = text(v.last);
  if (last) return length.test(last) ? { last } : undefined;
  const range = tidy({ from: moment(v.from), to: moment(v.to) });
  // {} is any time, and not what cannot be read
  return Object.keys(v).length > 0 && Object.keys(range).length === 0 ? undefined : range;
}

const places = [
  'row',
  'bucket',
  'step',
  'group',
  'cohort',
  'period',
  'depth',
  'node',
  'from',
] as const;

function readMark(v: unknown): Mark | undefined {
  if (!isObject(v)) return undefined;
  const values = list(v.values).filter((x) => typeof x === 'string' || x === null);
  return tidy({
    ...Object.fromEntries(places.map((key) => [key, number(v[key])])),
    values: Array.isArray(v.values) ? values : undefined,
    other: yes(v.other),
    lost: yes(v.lost),
    state: oneOf(v.state, 'reached', 'stuck', 'progress'),
  });
}

function readOpened(v: unknown): Opened | undefined {
  const at = isObject(v) ? number(v.at) : undefined;
  if (!isObject(v) || at === undefined || at < 0 || at > 2.5e17) return undefined;
  return tidy({ at, n: number(v.n), mark: readMark(v.mark), chips: number(v.chips) });
}

/** What a URL says; what it does not say, or says wrongly, is absent. */
export function readSearch(search: Record<string, unknown>): Search {
  const chips = list(search.chips).flatMap(readChip);
  const paths = isObject(search.paths)
    ? tidy({ from: text(search.paths.from) ?? '', before: yes(search.paths.before) })
    : undefined;
  // every key, or the router would let through what stands in the URL
  return {
    chips: chips.length > 0 ? chips : undefined,
    view: oneOf(search.view, ...views),
    by: text(search.by),
    funnel: readFunnel(search.funnel),
    trend: readTrend(search.trend),
    retention: readRetention(search.retention),
    paths,
    range: readRange(search.range),
    zone: text(search.zone),
    bots: yes(search.bots),
    internal: yes(search.internal),
    table: yes(search.table),
    open: readOpened(search.open),
  };
}

export const defaults = {
  by: 'engagement',
  window: '1h',
  funnel: { steps: [], window: '1h' } as Funnel,
  trend: { events: [], count: 'users' } as Trend,
  retention: { first: '', return: '', per: 'week' } as Retention,
  paths: { from: '' } as Paths,
};

/** The default range of each view. */
const usual: Record<View, string> = { funnel: '28d', trend: '28d', retention: '8w', paths: '28d' };

/** When what is shown happened; undefined where time does not matter. */
export function rangeOf(s: Search): Range | undefined {
  if (s.view === 'trend' || s.view === 'retention') {
    // these have a place for every unit: all time has too many
    const bounded = s.range?.last || s.range?.from;
    return bounded ? s.range : { last: usual[s.view] };
  }
  if (s.view) return s.range ?? { last: usual[s.view] };
  return ofEvents(byOf(s)) ? (s.range ?? { last: '28d' }) : undefined;
}

export const byOf = (s: Search): string => s.by ?? defaults.by;

/** Names have no dots, fields do. */
export const dimensionOf = (by: string): Dimension =>
  by.includes('.') ? { field: by } : { dimension: by };

/** Whether a dimension is of what users did, and not of who they are. */
export const ofEvents = (by: string): boolean => /^(?:event|properties|context)\./.test(by);

/** Days of a range, about; for how fine a series is. */
function days(range: Range): number {
  const [, n = '', unit = ''] = /^(\d+)(m|h|d|w|mo|y)$/.exec(range.last ?? '') ?? [];
  const length = { m: 1 / 1440, h: 1 / 24, d: 1, w: 7, mo: 30, y: 365 }[unit];
  if (length) return Number(n) * length;
  if (!range.from) return 400;
  return ((range.to ? Date.parse(range.to) : Date.now()) - Date.parse(range.from)) / 86_400_000;
}

/** The unit of a series, if none was chosen. */
export function unitOf(range: Range, chosen: Unit | undefined): Unit {
  if (chosen) return chosen;
  const n = days(range);
  return n <= 0.1 ? 'minute' : n <= 3 ? 'hour' : n <= 100 ? 'day' : n <= 400 ? 'week' : 'month';
}

/** How many columns a grid of retention has. */
function periods(range: Range, per: Unit): number {
  const n = Math.ceil(days(range) / { minute: 1, hour: 1, day: 1, week: 7, month: 30 }[per]);
  return Math.max(1, Math.min(per === 'day' ? 14 : 12, n - 1));
}

/** Whether the answer changes as time goes by. */
export const isLive = (s: Search): boolean => !s.range?.to;

const match = (event: string) => (event === '' ? {} : { event });

/** A condition without comparisons that are not finished; undefined if nothing is left. */
export function finished(where: unknown): Record<string, unknown> | undefined {
  if (!isObject(where)) return undefined;
  for (const key of ['all', 'any'] as const) {
    if (!Array.isArray(where[key])) continue;
    const kept = where[key].flatMap((c) => finished(c) ?? []);
    return kept.length > 0 ? { [key]: kept } : undefined;
  }
  return where.field === '' ? undefined : where;
}

/** Whom so many chips leave; undefined is everybody. */
export const audienceOf = (s: Search, chips = s.chips?.length ?? 0): Node | undefined =>
  all((s.chips ?? []).slice(0, chips).map((c) => c.node));

/** What every question has. */
function base(s: Search, zone: string, chips?: number): Query {
  const audience = audienceOf(s, chips);
  return tidy({
    zone: s.zone ?? zone,
    audience,
    bots: s.bots,
    internal: s.internal,
  }) as Query;
}

/** How many values a trend or a funnel is split into; the others are one. */
const parts = 4;

const split = (by: string | undefined) => (by ? { by: dimensionOf(by), top: parts } : {});

/** The question of the view; undefined while it is not complete. zone is the browser's. */
export function mainQuery(s: Search, zone: string): Query | undefined {
  const range = rangeOf(s);
  const query: Query = { ...base(s, zone), ...(range ? { range } : {}) };
  switch (s.view) {
    case 'funnel': {
      const { steps, window, strict, by } = s.funnel ?? defaults.funnel;
      if (steps.length === 0) return undefined;
      return {
        ...query,
        funnel: {
          steps: steps.map((step, i) =>
            tidy({
              event: step.event,
              where: finished(step.where),
              without: i > 0 ? step.without : undefined,
            }),
          ),
          window,
          ...(strict ? { strict } : {}),
          ...split(by),
        },
      };
    }
    case 'trend': {
      const { events, count, per, by } = s.trend ?? defaults.trend;
      const of = events.length > 0 ? events.map(match) : [{}];
      return { ...query, series: { of, count, per: unitOf(range ?? {}, per), ...split(by) } };
    }
    case 'retention': {
      const r = s.retention ?? defaults.retention;
      return {
        ...query,
        retention: {
          first: match(r.first),
          return: match(r.return),
          per: r.per,
          periods: periods(range ?? {}, r.per),
          ...(r.unbounded ? { unbounded: true } : {}),
        },
      };
    }
    case 'paths': {
      const p = s.paths ?? defaults.paths;
      if (p.from === '') return undefined;
      return {
        ...query,
        paths: {
          from: match(p.from),
          ...(p.before ? { before: true } : {}),
          depth: 3,
          window: '1h',
          top: 6,
        },
      };
    }
    default: {
      const by = byOf(s);
      return {
        ...query,
        breakdown: ofEvents(by)
          ? { of: {}, count: 'users', by: [dimensionOf(by)], top: 50 }
          : { by: [dimensionOf(by)], top: 50 },
      };
    }
  }
}

/** How many are left after so many chips. */
export function chipQuery(s: Search, zone: string, chips: number): Query {
  return { ...base(s, zone, chips), users: { limit: 0 } };
}

/** What was asked where something is open, main where it is a mark; and the mark. */
export function openQuery(
  s: Search,
  zone: string,
  open: Opened,
  main = mainQuery(s, zone),
): { query: Query; mark: Mark } | undefined {
  if (open.chips !== undefined) return { query: chipQuery(s, zone, open.chips), mark: {} };
  return main && { query: main, mark: open.mark ?? {} };
}
