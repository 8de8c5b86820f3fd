import type { Schema } from '../api/client';
import { plural } from './number';
import { scheduleWords } from './schedule';
import { eventLabel, sentence } from './words';

type TriggerSpec = Schema['TriggerSpec'];
type Step = Schema['TriggerStep'];
type Condition = Schema['Condition'];

const units: Record<string, string> = {
  ms: 'millisecond',
  s: 'second',
  m: 'minute',
  h: 'hour',
  d: 'day',
};

/** A period in words: "10m" is "10 minutes". */
export function periodWords(period: string): string {
  return period.replace(/(\d+)(ms|s|m|h|d)/g, (_, n: string, unit: string) =>
    plural(Number(n), units[unit] ?? unit),
  );
}

/** What starts a campaign, in a sentence; trigger is that which it names, if it is known. */
export function startWords(
  when: Schema['CampaignSpec']['when'],
  trigger: { spec: TriggerSpec } | undefined,
): string {
  if (trigger) return triggerWords(trigger.spec);
  if (when.once) return 'Once, to those who were in it when somebody sent it';
  if (when.schedule) return sentence(scheduleWords(when.schedule));
  if (when.audience) {
    return `When a user ${when.on === 'leave' ? 'leaves' : 'enters'} ${when.audience}`;
  }
  if (when.stream)
    return `When a message comes by ${when.stream}${when.event ? ` (${when.event})` : ''}`;
  return when.trigger ?? 'Never: nothing starts it';
}

/** A trigger in one sentence. */
export function triggerWords(spec: TriggerSpec): string {
  const parts = spec.pattern.map(stepWords);
  let out = parts.join(', then ');
  const events = spec.pattern.reduce(
    (n, s) => n + (s.absent || s.idle ? 0 : (s.all?.length ?? s.times ?? 1)),
    0,
  );
  if (spec.within && events > 1) {
    out += `, within ${periodWords(spec.within)}`;
  }
  if (typeof spec.by === 'string') out += `, with the same ${fieldWords(spec.by)}`;
  if (spec.reset?.length) out += `; ${list(spec.reset.map(eventLabel), 'or')} starts over`;
  return out;
}

function stepWords(step: Step): string {
  if (step.idle) return `nothing at all for ${periodWords(step.idle)}`;
  if (step.absent) return `no ${eventLabel(step.absent)} for ${periodWords(step.for ?? '')}`;
  const { all } = step;
  let out = all
    ? `all of ${list(all.map(elementWords), 'and')} in any order`
    : eventLabel(step.event ?? '');
  const times = step.times ?? 1;
  if (times > 1) out += ` ${times} times${step.consecutive ? ' in a row' : ''}`;
  if (step.distinct) out += `, each with a different ${fieldWords(step.distinct)}`;
  if (step.where) out += ` where ${conditionWords(step.where)}`;
  if (step.without?.length) out += ` without ${list(step.without.map(eventLabel), 'or')}`;
  if (step.strict) out += ' directly after';
  if (step.gap) out += ` less than ${periodWords(step.gap)} later`;
  return out;
}

const elementWords = (element: Schema['TriggerElement']): string =>
  typeof element === 'string' ? eventLabel(element) : stepWords(element);

export const ops: Record<string, string> = {
  eq: 'is',
  ne: 'is not',
  gt: 'is over',
  gte: 'is at least',
  lt: 'is under',
  lte: 'is at most',
  in: 'is one of',
  nin: 'is none of',
  contains: 'contains',
  starts_with: 'starts with',
  ends_with: 'ends with',
  matches: 'matches',
  exists: 'is there',
  missing: 'is missing',
};

/** A condition in words. */
export function conditionWords(condition: Condition): string {
  if (condition.all) return condition.all.map(nested).join(' and ');
  if (condition.any) return condition.any.map(nested).join(' or ');
  if (condition.not) return `not (${conditionWords(condition.not)})`;
  const { field = '', op = '', value } = condition;
  const shown =
    op === 'exists' || op === 'missing'
      ? ''
      : ` ${Array.isArray(value) ? list(value.map(String), 'or') : String(value)}`;
  return `${fieldWords(field)} ${ops[op] ?? op}${shown}`;
}

function nested(condition: Condition): string {
  const words = conditionWords(condition);
  return condition.all || condition.any ? `(${words})` : words;
}

export const fieldWords = (field: string): string =>
  field.replace(/^(?:properties|traits|context|event)\./, '').replaceAll('[]', '');

/** "a, b, c and 4 more": names of which there may be hundreds. */
export const some = (names: readonly string[]): string =>
  names.length > 4
    ? `${names.slice(0, 3).join(', ')} and ${plural(names.length - 3, 'other')}`
    : names.join(', ');

/** "a, b or c". */
export function list(items: readonly string[], last: string): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} ${last} ${items.at(-1)}`;
}
