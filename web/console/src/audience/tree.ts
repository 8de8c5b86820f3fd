import type { Condition, Node, Range } from '../explore/measure';
import { dimensionTitle, rangeWords, valueWords } from '../explore/words';
import { plural } from '../format/number';
import { conditionWords, list, periodWords } from '../format/pattern';
import { eventLabel } from '../format/words';

// An audience as docs/measures.md describes it: a tree whose nodes say one thing each.

export type { Node } from '../explore/measure';

export interface Did {
  event?: string;
  where?: Condition;
  is?: unknown[];
  during?: Range;
  min?: number;
  max?: number;
}

export interface Is {
  dimension: { dimension?: string; field?: string };
  values: (string | null)[];
  not?: boolean;
}

export interface InFunnel {
  /** Either a saved one, or its steps and window. */
  funnel: { funnel?: string; steps?: { event?: string }[]; window?: string };
  level: number;
  state: State;
  during?: Range;
}

export type State = 'reached' | 'stuck' | 'progress';

/** How the nodes of a group are joined. */
export type Join = 'all' | 'any' | 'none';

/** What stands beside the tree in a definition. */
const beside = ['description', 'zone', 'weekStart', 'frozen'] as const;

export interface Spec extends Node {
  description?: string;
  zone?: string;
  weekStart?: string;
  frozen?: string;
}

export function split(spec: Spec): { about: Spec; tree: Node } {
  const about: Record<string, unknown> = {};
  const tree: Node = {};
  for (const [key, value] of Object.entries(spec)) {
    ((beside as readonly string[]).includes(key) ? about : tree)[key] = value;
  }
  return { about, tree };
}

export const join = (about: Spec, tree: Node): Spec => ({ ...about, ...tree });

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** The leaves that can be said the other way round. */
const turnable = ['audience', 'consent', 'funnel'];

export const kinds = ['where', 'is', 'did', 'consent', 'audience', 'funnel'] as const;
export type Kind = (typeof kinds)[number];

export const kindOf = (node: Node): Kind | undefined => kinds.find((k) => k in node);

/** A leaf, and whether it is said the other way round. */
export function leafOf(node: Node): { node: Node; not: boolean } {
  if (isNode(node.not) && turnable.some((k) => k in (node.not as Node)))
    return { node: node.not, not: true };
  return { node, not: false };
}

/** A group and its nodes; undefined if the node is a leaf. */
export function groupOf(node: Node): { join: Join; list: Node[] } | undefined {
  if (Array.isArray(node.all)) return { join: 'all', list: node.all };
  if (Array.isArray(node.any)) return { join: 'any', list: node.any };
  if (!isNode(node.not) || leafOf(node).not) return undefined;
  return { join: 'none', list: Array.isArray(node.not.any) ? node.not.any : [node.not] };
}

/** The node of a group. A leaf that must hold by itself needs no group. */
export function nodeOf(how: Join, nodes: Node[]): Node {
  const [only] = nodes;
  if (how === 'any') return { any: nodes };
  if (how === 'all') return nodes.length === 1 && only && !groupOf(only) ? only : { all: nodes };
  return {
    not: nodes.length === 1 && only && !groupOf(only) && !leafOf(only).not ? only : { any: nodes },
  };
}

/** The group that the whole tree is; everybody is an empty one. */
export function rootOf(tree: Node): { join: Join; list: Node[] } {
  return groupOf(tree) ?? { join: 'all', list: Object.keys(tree).length === 0 ? [] : [tree] };
}

/** The tree of the outermost group; without conditions it is everybody. */
export const treeOf = (how: Join, nodes: Node[]): Node =>
  nodes.length === 0 ? {} : nodeOf(how, nodes);

/** What a new condition begins with. */
export function fresh(kind: Kind | 'group'): Node {
  switch (kind) {
    case 'where':
      return { where: { field: '', op: 'eq', value: '' } };
    case 'is':
      return { is: { dimension: { dimension: '' }, values: [] } };
    case 'did':
      return { did: { event: '', during: { last: '28d' } } };
    case 'consent':
      return { consent: 'email' };
    case 'audience':
      return { audience: '' };
    case 'funnel':
      return { funnel: { funnel: { steps: [], window: '1h' }, level: 1, state: 'stuck' } };
    default:
      return { any: [] };
  }
}

/** Who came by a stream; where its messages name their events, which one is picked then. */
export const came = (stream: string, event = ''): Node => ({
  did: {
    event,
    where: { all: [{ field: 'event.source', op: 'eq', value: stream }] },
    during: { last: '28d' },
  },
});

/** Steps that are events and nothing else, none of a saved funnel; undefined: there is more to them. */
export function plainSteps(f: InFunnel): string[] | undefined {
  if (f.funnel.funnel) return 'where' in f ? undefined : [];
  const {
    steps = [],
    window: _,
    ...more
  } = f.funnel as InFunnel['funnel'] & Record<string, unknown>;
  if (Object.keys(more).length > 0 || 'where' in f) return undefined;
  const plain = steps.every((s) => Object.keys(s).every((k) => k === 'event') && s.event);
  return plain ? steps.map((s) => s.event as string) : undefined;
}

const conditionComplete = (c: Condition): boolean => {
  const inner = [...((c.all as Condition[]) ?? []), ...((c.any as Condition[]) ?? [])];
  if (inner.length > 0) return inner.every(conditionComplete);
  return c.not ? conditionComplete(c.not as Condition) : c.field !== '';
};

/** Whether it says enough to be asked about. */
export function complete(node: Node, root = true): boolean {
  const group = groupOf(node);
  if (group) return (root || group.list.length > 0) && group.list.every((n) => complete(n, false));
  const leaf = leafOf(node).node;
  switch (kindOf(leaf)) {
    case 'where':
      return conditionComplete(leaf.where as Condition);
    case 'is': {
      const is = leaf.is as Is;
      return (is.dimension.dimension ?? is.dimension.field) !== '' && is.values.length > 0;
    }
    case 'did':
      return (leaf.did as Did).event !== '';
    case 'audience':
      return leaf.audience !== '';
    case 'funnel': {
      const f = leaf.funnel as InFunnel;
      const { funnel, steps = [] } = f.funnel;
      return funnel ? true : steps.length > 0 && f.level <= steps.length;
    }
    default:
      return true;
  }
}

export const joins: Record<Join, string> = { all: 'all', any: 'any', none: 'none' };

/** How often something was done. */
export function timesWords(did: Did): string {
  const { min, max } = did;
  if (max === 0) return 'not';
  if (max === undefined) return (min ?? 1) <= 1 ? '' : `at least ${min} times`;
  if (min === max) return `exactly ${plural(max, 'time')}`;
  return (min ?? 1) <= 1 ? `at most ${plural(max, 'time')}` : `${min} to ${max} times`;
}

/** The name of a dimension that a node asks. */
export const dimensionOf = (is: Is): string => is.dimension.dimension ?? is.dimension.field ?? '';

const states: Record<State, string> = {
  reached: 'reached',
  stuck: 'is stuck at',
  progress: 'is in progress at',
};

/** A tree as a sentence: what is said of a user. */
export function words(node: Node): string {
  const group = groupOf(node);
  if (group) {
    if (group.list.length === 0) return 'is anybody';
    const parts = group.list.map((n) => (groupOf(n) ? `(${words(n)})` : words(n)));
    if (group.join === 'none') return `not (${parts.join(' or ')})`;
    return parts.join(group.join === 'all' ? ' and ' : ' or ');
  }
  const { node: leaf, not } = leafOf(node);
  switch (kindOf(leaf)) {
    case 'where':
      return conditionWords(leaf.where as never);
    case 'is': {
      const is = leaf.is as Is;
      const by = dimensionOf(is);
      const values = is.values.map((v) => valueWords(by, v));
      return `${dimensionTitle(by)} is ${is.not ? 'not ' : ''}${list(values, 'or')}`;
    }
    case 'did': {
      const did = leaf.did as Did;
      const often = timesWords(did);
      const event = did.event ? eventLabel(did.event) : 'anything';
      const where = did.where ? ` where ${conditionWords(did.where as never)}` : '';
      const what = often === 'not' ? `did not do ${event}` : `did ${event}`;
      return `${what}${where}${often && often !== 'not' ? ` ${often}` : ''} ${rangeWords(did.during)}`;
    }
    case 'consent':
      return `${not ? 'did not agree' : 'agreed'} to ${String(leaf.consent)}`;
    case 'audience':
      return `is ${not ? 'not ' : ''}in ${String(leaf.audience)}`;
    case 'funnel': {
      const f = leaf.funnel as InFunnel;
      const { funnel, steps = [], window = '' } = f.funnel;
      const names = steps.map((s) => (s.event ? eventLabel(s.event) : 'anything'));
      const of = funnel
        ? `the funnel ${funnel}`
        : `${names.join(', ')} within ${periodWords(window)}`;
      return `${not ? 'not: ' : ''}${states[f.state]} level ${f.level} of ${of}`;
    }
    default: {
      const users = leaf.users as string[] | undefined;
      if (users) return `is one of ${plural(users.length, 'user')}`;
      return Object.keys(leaf).length === 0 ? 'is anybody' : 'fits what is written in YAML';
    }
  }
}

/** Three audiences to begin with. */
export const starters = [
  {
    name: 'active-lately',
    title: 'Active lately',
    about: 'Did anything in the last 7 days',
    tree: { did: { during: { last: '7d' } } },
  },
  {
    name: 'gone-quiet',
    title: 'Gone quiet',
    about: 'Were here in the last 90 days, but not in the last 28',
    tree: {
      all: [{ did: { during: { last: '90d' } } }, { did: { max: 0, during: { last: '28d' } } }],
    },
  },
  {
    name: 'most-engaged',
    title: 'Most engaged',
    about: 'Active on 5 days or more of the last 28',
    tree: {
      is: { dimension: { dimension: 'engagement' }, values: ['medium-high', 'high'] },
    },
  },
] as const;
