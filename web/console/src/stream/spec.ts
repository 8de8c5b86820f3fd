import type { Schema } from '../api/client';
import type { Stream } from '../api/streams';
import { goodName } from '../definition/useDraft';
import type { Problem } from '../trigger/spec';
import { type Parsed, readText, type Shape, textOf } from '../trigger/yaml';

// A stream as it is saved, and what its form makes of it. Places are those of messages, as mappings
// name them: key, value.customer.id, headers.source.

export type Spec = Stream;
export type Sample = Schema['StreamSample'];
export type Field = Schema['StreamField'];

export const blank: Spec = { kafka: { brokers: [] }, topic: '' };

const shape: Shape = {
  description: 'text',
  kafka: {
    brokers: ['text'],
    tls: { ca: 'text', cert: 'text', key: 'text', serverName: 'text' },
    sasl: { mechanism: 'text', user: 'text', password: 'text' },
  },
  topic: 'text',
  group: 'text',
  start: 'text',
  format: 'text',
  avro: { framing: 'text', schema: 'text', registry: 'text', user: 'text', password: 'text' },
  userId: 'text',
  anonymousId: 'text',
  event: 'text',
  eventFrom: 'text',
  time: 'text',
  timeFormat: 'text',
  messageId: 'text',
  properties: { '*': 'text' },
  traits: { '*': 'text' },
};

/** As heed apply takes it, in the order in which it reads best. */
export function toText(name: string, spec: Spec): string {
  const known = [...Object.keys(shape), 'paused'] as (keyof Spec)[];
  const first = known.filter((key) => spec[key] !== undefined).map((key) => [key, spec[key]]);
  return textOf('stream', name, { ...Object.fromEntries(first), ...spec }, ['sasl', 'tls']);
}

/** Reads what was written, which may be less than the form needs. */
export function read(text: string): Parsed<Spec> {
  const found = readText('stream', text, shape);
  if ('line' in found) return found;
  const { kafka, topic = '', ...rest } = found.spec as Partial<Spec>;
  return {
    name: found.name,
    spec: { kafka: { ...kafka, brokers: kafka?.brokers ?? [] }, topic, ...rest },
  };
}

/** What it is called while nobody names it: the last part of the topic. */
export const suggest = ({ topic }: Spec): string => {
  const last = topic.split('.').at(-1) ?? '';
  return goodName(last) ? last : '';
};

/** What has to be said before it can be saved. */
export function lacks(spec: Spec): string | undefined {
  if (spec.kafka.brokers.length === 0) return 'Say where the brokers are';
  if (spec.topic === '') return 'Pick a topic';
  if (!spec.userId && !spec.anonymousId) return 'Pick the field that says who did it';
  if (!spec.event && !spec.eventFrom) return 'Say what the event is called';
  return undefined;
}

const parts = {
  connection: ['kafka'],
  topic: ['topic', 'format', 'avro', 'group', 'start', 'paused'],
};

/** The problems of a part of the form. */
export function problemsOf(all: readonly Problem[], part: keyof typeof parts | 'mapping') {
  const at = (p: Problem) => p.path?.split(/[.[]/)[0] ?? '';
  return all.filter((p) =>
    part === 'mapping' ? !Object.values(parts).flat().includes(at(p)) : parts[part].includes(at(p)),
  );
}

/** What one place of the messages is used for. */
export const uses = {
  userId: 'The user’s key',
  anonymousId: 'An anonymous id',
  eventFrom: 'The event’s name',
  time: 'When it happened',
  messageId: 'The message’s id',
} as const;
export type Use = keyof typeof uses;

/** Uses a place, or no longer. */
export function use(spec: Spec, as: Use, place: string | undefined): Spec {
  const next = { ...spec };
  delete next[as];
  if (place) next[as] = place;
  // the name is either told or the same for all
  if (as === 'eventFrom' && place) delete next.event;
  if (!next.time) delete next.timeFormat;
  return next;
}

/** How the times of a field are given, undefined for what RFC 3339 says. */
export function timeFormatOf(field: Field | undefined): Spec['timeFormat'] {
  const since1970 = Number(field?.examples[0]);
  if (field?.type !== 'number' || !(since1970 > 0)) return undefined;
  // in this century, seconds have ten digits
  return since1970 >= 1e14 ? 'us' : since1970 >= 1e11 ? 'ms' : 's';
}

/** What a place is used for. */
export const usesOf = (spec: Spec, place: string): Use[] =>
  (Object.keys(uses) as Use[]).filter((as) => spec[as] === place);

/** The name of a place among others: its last part, or all of it. */
function nameFor(place: string, taken: Record<string, string>): string {
  const steps = place.split('.').map((step) => step.replaceAll(/\W/g, '_'));
  const names = [steps.at(-1) as string, steps.join('_')];
  for (let n = 2; ; n++) {
    const name = names.shift() ?? `${steps.join('_')}_${n}`;
    if (!(name in taken)) return name;
  }
}

const inValue = (place: string) => place.startsWith('value.');

/** The name by which events have a place, undefined if they do not. */
export function propertyOf(spec: Spec, place: string): string | undefined {
  if (!spec.properties) return inValue(place) ? place.slice('value.'.length) : undefined;
  return Object.entries(spec.properties).find(([, at]) => at === place)?.[0];
}

/** The properties of a stream that takes these places, with the names they have. */
function properties(spec: Spec, places: readonly string[]): Record<string, string> {
  const out: Record<string, string> = {};
  for (const place of places) {
    const had = spec.properties && propertyOf(spec, place);
    out[had ?? nameFor(place, out)] = place;
  }
  return out;
}

/** Takes every field of the value, or those that are known now. */
export function takeAll(spec: Spec, all: boolean, fields: readonly Field[]): Spec {
  const { properties: _, ...rest } = spec;
  if (all) return rest;
  return { ...rest, properties: properties(spec, fields.map((f) => f.place).filter(inValue)) };
}

/** Takes a place as a property, or no longer. */
export function take(spec: Spec, place: string, on: boolean, fields: readonly Field[]): Spec {
  const taken = spec.properties
    ? Object.values(spec.properties)
    : fields.map((f) => f.place).filter(inValue);
  const next = taken.filter((p) => p !== place);
  return { ...spec, properties: properties(spec, on ? [...next, place] : next) };
}

/** The trait that a place is, undefined if it is none. */
export const traitOf = (spec: Spec, place: string): string | undefined =>
  Object.entries(spec.traits ?? {}).find(([, at]) => at === place)?.[0];

/** Makes a place a trait, or no longer. */
export function makeTrait(spec: Spec, place: string, on: boolean): Spec {
  const { traits = {}, ...rest } = spec;
  const others = Object.fromEntries(Object.entries(traits).filter(([, at]) => at !== place));
  const next = on ? { ...others, [nameFor(place, others)]: place } : others;
  return Object.keys(next).length > 0 ? { ...rest, traits: next } : rest;
}

/** The fields of a sample, and the places that are used without being in it. */
export function fieldsOf(spec: Spec, sample: Sample | undefined): Field[] {
  const fields = sample?.fields ?? [];
  const used = [
    ...(Object.keys(uses) as Use[]).flatMap((as) => spec[as] ?? []),
    ...Object.values(spec.properties ?? {}),
    ...Object.values(spec.traits ?? {}),
  ];
  const unseen = [...new Set(used)].filter((place) => !fields.some((f) => f.place === place));
  return [
    ...fields,
    ...unseen.map((place): Field => ({ place, type: 'nothing', messages: 0, examples: [] })),
  ];
}

/** What a sample comes to, in words. */
export function outcome(spec: Spec, sample: Sample): string {
  const of = sample.messages.length;
  const read = of === 1 ? 'The newest message' : `The newest ${of} messages`;
  const missing = lacks(spec);
  if (missing) return `${read}. ${missing}, and test again.`;
  const good = sample.messages.filter((m) => m.events.length > 0).length;
  if (good === of) return `${read}: ${of === 1 ? 'it becomes an event' : 'all become events'}.`;
  return `${read}: ${good} would become events, ${of - good} would not.`;
}
