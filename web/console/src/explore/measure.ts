// What docs/measures.md describes, as far as the pages ask it. A tree of users is
// passed on as it is: its meaning is the server's.

export interface Range {
  from?: string | undefined;
  to?: string | undefined;
  last?: string | undefined;
}

/** A node of a tree of users. */
export type Node = Record<string, unknown>;
export type Dimension = { dimension: string } | { field: string };
export type Condition = Record<string, unknown>;
export type Unit = 'minute' | 'hour' | 'day' | 'week' | 'month';

export interface Match {
  event?: string | undefined;
  where?: Condition | undefined;
}

export interface FunnelStep extends Match {
  /** None of these since the step before. */
  without?: Match[] | undefined;
}

export interface Query {
  range?: Range;
  asOf?: string;
  zone?: string;
  audience?: Node;
  bots?: boolean;
  internal?: boolean;
  series?: {
    of: Match[];
    count?: 'events' | 'users';
    per: Unit;
    by?: Dimension;
    top?: number;
  };
  breakdown?: { of?: Match; count?: 'events' | 'users'; by: Dimension[]; top?: number };
  funnel?: {
    /** A saved one, instead of its steps, window and strictness. */
    funnel?: string;
    steps?: FunnelStep[];
    window?: string;
    strict?: boolean;
    by?: Dimension;
    top?: number;
  };
  retention?: {
    first: Match;
    return: Match;
    per: Unit;
    periods: number;
    unbounded?: boolean;
    new?: boolean;
  };
  paths?: { from: Match; before?: boolean; depth: number; window: string; top?: number };
  users?: { limit?: number };
  return?: { campaign: string; goal: Match; within: string; value?: string };
}

export type State = 'reached' | 'stuck' | 'progress';

/** One mark of an answer. */
export interface Mark {
  row?: number | undefined;
  values?: (string | null)[] | undefined;
  other?: boolean | undefined;
  bucket?: number | undefined;
  step?: number | undefined;
  state?: State | undefined;
  group?: number | undefined;
  cohort?: number | undefined;
  period?: number | undefined;
  lost?: boolean | undefined;
  depth?: number | undefined;
  node?: number | undefined;
  from?: number | undefined;
}

export interface Row {
  values: (string | null)[];
  count: number;
}

export interface FunnelCount {
  reached: number;
  stuck: number;
  progress: number;
}

export interface Percentiles {
  p25: number;
  p50: number;
  p75: number;
  p90: number;
  p95: number;
}

export interface PathNode {
  event?: string | undefined;
  other?: boolean | undefined;
  end?: boolean | undefined;
  users: number;
}

/** An answer. Times are µs since the Unix epoch. */
export interface Answer {
  kind: string;
  from: number;
  to: number;
  asOf: number;
  zone: string;
  excluded: { bots: number; internal: number };
  series?: {
    buckets: number[];
    lines: {
      match: number;
      value?: string | null;
      other?: boolean;
      points: number[];
      total: number;
    }[];
  };
  breakdown?: { rows: Row[]; other?: Row; total: number };
  funnel?: {
    steps: FunnelCount[];
    convert?: Percentiles;
    /** By the dimension that it is split by. */
    groups?: { value: string | null; other?: boolean; steps: FunnelCount[] }[];
  };
  retention?: { cohorts: { start: number; cells: number[]; partial?: boolean }[] };
  paths?: {
    users: number;
    depths: PathNode[][];
    links: { depth: number; from: number; to: number; users: number }[];
  };
  users?: { total: number };
  return?: {
    treated: Arm;
    holdout: Arm;
    /** Users who turned out to be two, one on each side: in neither. */
    met: number;
    lift?: Lift;
  };
}

/** One side of a comparison. */
export interface Arm {
  users: number;
  converted: number;
  value: number;
}

/** How much greater the share of the treated is who converted; 0.02 is two points. */
export interface Lift {
  difference: number;
  low: number;
  high: number;
}

const parts = ['series', 'breakdown', 'funnel', 'retention', 'paths', 'users', 'return'] as const;
const lists: Record<(typeof parts)[number], readonly string[]> = {
  series: ['buckets', 'lines'],
  breakdown: ['rows'],
  funnel: ['steps'],
  retention: ['cohorts'],
  paths: ['depths', 'links'],
  users: [],
  return: [],
};

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * The answer in a body: the one place where what arrives is held against the types. Lists
 * that are empty may arrive as null.
 */
export function readAnswer(body: unknown): Answer {
  if (!isObject(body) || typeof body.kind !== 'string' || typeof body.asOf !== 'number') {
    throw new Error('Heed answered something that is no measure');
  }
  const out: Record<string, unknown> = { ...body };
  const part = parts.find((name) => name in body);
  if (part) {
    const inner = body[part];
    if (!isObject(inner)) throw new Error(`Heed answered something that is no ${part}`);
    const filled: Record<string, unknown> = { ...inner };
    for (const list of lists[part]) filled[list] ??= [];
    if (lists[part].some((list) => !Array.isArray(filled[list]))) {
      throw new Error(`Heed answered something that is no ${part}`);
    }
    out[part] = filled;
  }
  return out as unknown as Answer;
}

/**
 * Whether the answer to one question can stand for the other's until that comes: what its marks mean is
 * the same, be it of other users, of another time, or of a funnel with steps less or more.
 */
export function alike(one: Query | undefined, other: Query): boolean {
  if (!one) return false;
  if (one.funnel && other.funnel) {
    const [a, b] = [one.funnel, other.funnel].map((f) =>
      (f.steps ?? []).map((x) => JSON.stringify(x)),
    );
    return (
      one.funnel.funnel === other.funnel.funnel &&
      JSON.stringify(one.funnel.by) === JSON.stringify(other.funnel.by) &&
      (a ?? []).every((step, i) => b?.[i] === undefined || b[i] === step)
    );
  }
  return parts.every((part) => JSON.stringify(one[part]) === JSON.stringify(other[part]));
}

/** A time in µs as the API reads it. */
export function stamp(micros: number): string {
  const ms = Math.floor(micros / 1000);
  const rest = String(Math.round(micros - ms * 1000)).padStart(3, '0');
  return new Date(ms).toISOString().replace('Z', `${rest}Z`);
}

/** The users that are all of these. */
export function all(nodes: readonly Node[]): Node | undefined {
  return nodes.length > 1 ? { all: [...nodes] } : nodes[0];
}

/** What a mark adds to the users that were asked about: its tree begins with theirs, if there were any. */
export function added(tree: Node, narrowed: boolean): Node {
  if (!narrowed || !Array.isArray(tree.all)) return tree;
  return all(tree.all.slice(1) as Node[]) ?? tree;
}
