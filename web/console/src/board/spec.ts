import { type Node, words } from '../audience/tree';
import type { Dimension, Match, Query } from '../explore/measure';
import type { FunnelSpec } from '../explore/SavedFunnels';
import { type Chip, mainQuery, type Search } from '../explore/state';
import { sentence } from '../format/words';
import { same } from '../trigger/spec';
import { type Parsed, readText } from '../trigger/yaml';

// A board as it is saved: questions, and how their answers are shown.

export type Look = 'bars' | 'line' | 'funnel' | 'grid' | 'table' | 'number';

export interface ChartSpec {
  title: string;
  query: Query;
  as?: Look;
  width?: 'half' | 'full';
}

export interface BoardSpec {
  title?: string;
  description?: string;
  charts: ChartSpec[];
}

/** Reads a board that was written as text: what it asks is the server's to check. */
export function readBoard(text: string): Parsed<BoardSpec> {
  const read = readText('board', text);
  if ('line' in read) return read;
  const { title, description, charts = [] } = read.spec;
  for (const [key, value] of Object.entries({ title, description }))
    if (value !== undefined && typeof value !== 'string')
      return { line: read.at(key), message: `The ${key} is text` };
  const isMap = (v: unknown) => typeof v === 'object' && v !== null && !Array.isArray(v);
  if (!Array.isArray(charts) || !charts.every((c) => isMap(c) && isMap(c.query)))
    return {
      line: read.at('charts'),
      message: 'The charts are a list, each with a title and a query: {users: {}}',
    };
  return { name: read.name, spec: { ...read.spec, charts } };
}

/** The ways to show an answer, the usual one first. */
export function looksOf(query: Query): Look[] {
  if (query.series) return ['line', 'table', 'number'];
  if (query.funnel) return ['funnel', 'table', 'number'];
  if (query.retention) return ['grid', 'table'];
  if (query.paths) return ['bars', 'table'];
  if (query.users) return ['number'];
  return ['bars', 'table', 'number'];
}

export const lookOf = (chart: ChartSpec): Look => chart.as ?? looksOf(chart.query)[0] ?? 'table';

export const looks: Record<Look, string> = {
  bars: 'Bars',
  line: 'Line',
  funnel: 'Funnel',
  grid: 'Grid',
  table: 'Table',
  number: 'Number',
};

/** The steps of a saved funnel in the place of its name. */
export function withSteps(query: Query, named: (name: string) => FunnelSpec | undefined): Query {
  const saved = query.funnel?.funnel ? named(query.funnel.funnel) : undefined;
  if (!saved) return query;
  const { steps, window, strict, by } = saved;
  return {
    ...query,
    funnel: {
      steps,
      window,
      ...(strict ? { strict } : {}),
      ...(by ? { by: by as Dimension } : {}),
      ...(query.funnel?.by ? { by: query.funnel.by } : {}),
      ...(query.funnel?.top ? { top: query.funnel.top } : {}),
    },
  };
}

const nameOf = (by: Dimension | undefined): string | undefined =>
  by && ('dimension' in by ? by.dimension : by.field);

const eventOf = (m: Match): string => m.event ?? '';

function chipsOf(audience: Node | undefined): Chip[] | undefined {
  if (!audience) return undefined;
  const parts = Array.isArray(audience.all) ? (audience.all as Node[]) : [audience];
  return parts.map((node) => ({ words: sentence(words(node)), node }));
}

/** What Explore shows of a question: the words and marks of its answer are those of this state. */
export function searchOf(query: Query, saved?: string): Search {
  const { range, zone, bots, internal, series, funnel, retention, paths, breakdown } = query;
  return {
    chips: chipsOf(query.audience),
    // no range is all time, and not the usual one
    range: range ?? {},
    zone,
    bots: bots || undefined,
    internal: internal || undefined,
    ...(series && {
      view: 'trend' as const,
      trend: {
        events: series.of.map(eventOf).filter((e, _, all) => e !== '' || all.length > 1),
        count: series.count ?? 'events',
        per: series.per,
        by: nameOf(series.by),
      },
    }),
    ...(funnel && {
      view: 'funnel' as const,
      funnel: {
        steps: funnel.steps ?? [],
        window: funnel.window ?? '1h',
        strict: funnel.strict || undefined,
        by: nameOf(funnel.by),
        saved,
      },
    }),
    ...(retention && {
      view: 'retention' as const,
      retention: {
        first: eventOf(retention.first),
        return: eventOf(retention.return),
        per: retention.per,
        unbounded: retention.unbounded || undefined,
      },
    }),
    ...(paths && {
      view: 'paths' as const,
      paths: { from: eventOf(paths.from), before: paths.before || undefined },
    }),
    ...(breakdown && { by: nameOf(breakdown.by[0]) }),
  };
}

/** Whether Explore asks just that of this state. */
export function isWhole(query: Query, s: Search): boolean {
  const plain = (q: Query | undefined) => {
    const { zone: _, range = {}, ...rest } = q ?? ({} as Query);
    return { ...rest, range };
  };
  if (query.users) return true;
  return same(plain(mainQuery(s, '')), plain(query));
}
