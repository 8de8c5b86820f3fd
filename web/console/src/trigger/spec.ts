import type { Schema } from '../api/client';

export type Spec = Schema['TriggerSpec'];
export type Step = Spec['pattern'][number];
export type Condition = Schema['Condition'];
export type Element = Schema['TriggerElement'];
export type Problem = Schema['Problem'];

/** What a new trigger begins with. */
export const blank: Spec = { pattern: [{ event: '' }] };

/** The keys in the order in which people read them; the sentence shows all of these. */
const specKeys = [
  'description',
  'pattern',
  'within',
  'scope',
  'reset',
  'by',
  'increasing',
  'overlap',
  'order',
  'lateness',
  'delay',
  'cancel',
  'reentry',
  'limit',
  'audience',
  'hold',
  'max_age',
  'max_stale',
];
const stepKeys = [
  'event',
  'all',
  'distinct',
  'absent',
  'idle',
  'where',
  'times',
  'consecutive',
  'strict',
  'without',
  'gap',
  'for',
  'anchor',
];

/** Sets a key, or removes it when there is nothing to say. */
export function put<T extends object, K extends keyof T>(
  object: T,
  key: K,
  value: T[K] | undefined,
): T {
  const next = { ...object };
  const empty =
    value === undefined ||
    value === false ||
    value === '' ||
    (Array.isArray(value) && value.length === 0);
  if (empty) delete next[key];
  else next[key] = value as T[K];
  return next;
}

/** Replaces a step. */
export function putStep(spec: Spec, index: number, step: Step): Spec {
  return { ...spec, pattern: spec.pattern.map((s, i) => (i === index ? step : s)) };
}

/** The event of an element of `all`. */
export const eventOf = (element: Element): string =>
  typeof element === 'string' ? element : element.event;

export const isFinal = (step: Step): boolean =>
  step.absent !== undefined || step.idle !== undefined;

/** The steps that are events, repetitions counted. */
export const eventSteps = (spec: Spec): number =>
  spec.pattern.reduce((n, s) => n + (isFinal(s) ? 0 : (s.all?.length ?? s.times ?? 1)), 0);

/** A pattern of several event steps needs a window; ten minutes until somebody says otherwise. */
export function withWindow(spec: Spec): Spec {
  return eventSteps(spec) > 1 && !spec.within ? { ...spec, within: '10m' } : spec;
}

/** Adds a step behind the events, before a final wait. */
export function addStep(spec: Spec, step: Step): Spec {
  const { pattern } = spec;
  const last = pattern.at(-1);
  if (!last || !isFinal(last)) return withWindow({ ...spec, pattern: [...pattern, step] });
  if (isFinal(step)) return { ...spec, pattern: [...pattern.slice(0, -1), step] };
  return withWindow({ ...spec, pattern: [...pattern.slice(0, -1), step, last] });
}

/** Removes a step; what only a later step may say goes from the one that becomes the first. */
export function removeStep(spec: Spec, index: number): Spec {
  const pattern = spec.pattern.filter((_, i) => i !== index);
  const [first, ...rest] = pattern;
  if (!first || first.absent !== undefined)
    return { ...spec, pattern: [{ event: '' }, ...pattern] };
  const { strict: _, without: __, gap: ___, ...kept } = first;
  return { ...spec, pattern: [kept, ...rest] };
}

/** Whether it says enough to be asked about: every step has its event. */
export function complete(spec: Spec): boolean {
  return (
    spec.pattern.length > 0 &&
    spec.pattern.every(
      (s) =>
        s.event !== '' &&
        s.absent !== '' &&
        s.idle !== '' &&
        !s.all?.some((e) => eventOf(e) === ''),
    )
  );
}

/** The names that the trigger reads. */
export function eventsOf(spec: Spec): string[] {
  const names = spec.pattern.flatMap((s) => [
    s.event,
    s.absent,
    ...(s.all ?? []).map(eventOf),
    ...(s.without ?? []),
  ]);
  return [
    ...new Set(
      [...names, ...(spec.scope ?? []), ...(spec.reset ?? []), ...(spec.cancel ?? [])].filter(
        (n): n is string => !!n,
      ),
    ),
  ];
}

/** The events that are steps themselves. */
export const stepEvents = (spec: Spec): string[] => [
  ...new Set(
    spec.pattern.flatMap((s) => [...(s.event ? [s.event] : []), ...(s.all ?? []).map(eventOf)]),
  ),
];

/** Whether something in it has to come without others of the scope in between. */
export const hasRow = (spec: Spec): boolean =>
  spec.pattern.some((s) => s.consecutive === true || s.strict === true);

/** Gives a step another event; what breaks a row still counts it. */
export function renameStep(spec: Spec, index: number, event: string): Spec {
  const before = spec.pattern[index]?.event;
  const next = putStep(spec, index, { ...spec.pattern[index], event });
  if (!spec.scope || !before || stepEvents(next).includes(before)) return next;
  const scope = [...new Set(spec.scope.map((name) => (name === before ? event : name)))];
  return { ...next, scope };
}

/** A name for a trigger that has none yet: win-3-in-a-row. */
export function suggestName(spec: Spec): string {
  const parts = spec.pattern.map((s) => {
    if (s.idle !== undefined) return 'then-idle';
    if (s.absent !== undefined) return `no-${s.absent}`;
    if (s.all) return s.all.map(eventOf).join('-and-');
    const times = s.times ?? 1;
    return `${s.event ?? ''}${times > 1 ? `-${times}${s.consecutive ? '-in-a-row' : '-times'}` : ''}`;
  });
  return parts
    .join('-')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 48);
}

/** What of an object the sentence has no words for: kept as it is, and shown as YAML. */
function others(object: object, known: readonly string[]): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !known.includes(key)));
}
export const otherOfSpec = (spec: Spec): Record<string, unknown> => others(spec, specKeys);
export const otherOfStep = (step: Step): Record<string, unknown> => others(step, stepKeys);

/** The same trigger with its keys in reading order, unknown ones last. */
export function ordered(spec: Spec): Record<string, unknown> {
  const sort = (object: object, keys: readonly string[]) => {
    const place = (key: string) => (keys.indexOf(key) + keys.length + 1) % (keys.length + 1);
    return Object.fromEntries(Object.entries(object).sort(([a], [b]) => place(a) - place(b) || 0));
  };
  return sort({ ...spec, pattern: spec.pattern.map((step) => sort(step, stepKeys)) }, specKeys);
}

/** Whether two specs say the same, whatever the order of their keys. */
export function same(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) =>
    v && typeof v === 'object' && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([x], [y]) => (x < y ? -1 : 1)))
      : v,
  );
}

/** The comparisons of a condition that is one, or a flat list of them; undefined if it nests deeper. */
export function flat(
  condition: Condition | undefined,
): { join: 'all' | 'any'; list: Condition[] } | undefined {
  if (!condition) return { join: 'all', list: [] };
  if (condition.field !== undefined) return { join: 'all', list: [condition] };
  const join = condition.any ? 'any' : 'all';
  const list = condition[join];
  if (!list || condition.not || (condition.all && condition.any)) return undefined;
  return list.every((c) => c.field !== undefined) ? { join, list } : undefined;
}

/** The condition of a flat list. */
export function unflat(join: 'all' | 'any', list: Condition[]): Condition | undefined {
  return list.length > 0 ? { [join]: list } : undefined;
}
