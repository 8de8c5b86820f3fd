import type { Schema } from '../api/client';
import { periodWords } from '../format/pattern';
import { blank as blankTrigger, complete, put, type Spec as Trigger } from '../trigger/spec';

export type Spec = Schema['CampaignSpec'];
export type Content = Spec['what'][number];

/** What a new campaign begins with. */
export const blank: Spec = {
  when: {},
  what: [{ channel: 'web', template: '' }],
  status: 'draft',
};

/** What starts a campaign: a trigger that is written with it, one that there is, a stream, an audience, or the clock. */
export type Start = 'own' | 'trigger' | 'stream' | 'audience' | 'schedule';

export function startOf(when: Spec['when'], own: Trigger | undefined): Start {
  if (own) return 'own';
  if (when.schedule !== undefined) return 'schedule';
  if (when.stream !== undefined) return 'stream';
  return when.audience === undefined ? 'trigger' : 'audience';
}

export { blankTrigger };

/** What a campaign can begin with where there is none yet. */
export const recipes: {
  name: string;
  title: string;
  about: string;
  spec: Spec;
  /** The trigger that is written with it. */
  own?: Trigger;
}[] = [
  {
    name: 'left-the-cart',
    title: 'Left the cart',
    about: 'When somebody puts something in and does not buy within half an hour',
    spec: { ...blank, goal: { event: 'purchase', within: '3d' } },
    own: { pattern: [{ event: 'cart_add' }, { absent: 'purchase', for: '30m' }] },
  },
  {
    name: 'on-a-roll',
    title: 'On a roll',
    about: 'When somebody does the same three times in a row, within ten minutes',
    spec: { ...blank, limits: { cap: { count: 1, per: '24h' } } },
    own: { pattern: [{ event: '', times: 3, consecutive: true }], within: '10m' },
  },
  {
    name: 'weekly-letter',
    title: 'A weekly letter',
    about: 'On Mondays at nine, to whoever is in an audience then',
    spec: { ...blank, when: { schedule: '0 9 * * 1' }, limits: { once: false } },
  },
];

/** Why it cannot be launched yet, undefined if it can; speaks tells channels that need no template. */
export function unfinished(
  spec: Spec,
  own: Trigger | undefined,
  speaks: (channel: string) => boolean,
): string | undefined {
  const { when } = spec;
  if (
    own
      ? !complete(own)
      : !(when.trigger || when.stream || when.audience || when.schedule || when.once)
  )
    return 'It does not say yet when it starts';
  if (spec.what.some((v) => !v.template && !speaks(v.channel)))
    return 'A content has no template yet';
  return undefined;
}

/** A part of the limits; without any, they are left out. */
export function withLimit<K extends keyof NonNullable<Spec['limits']>>(
  spec: Spec,
  key: K,
  value: NonNullable<Spec['limits']>[K] | undefined,
): Spec {
  const limits = put(spec.limits ?? {}, key, value);
  return put(spec, 'limits', Object.keys(limits).length > 0 ? limits : undefined);
}

/** A name that is not taken: the wanted one, or with a number behind it. */
export function unused(wanted: string, taken: readonly string[]): string {
  for (let n = 1; ; n++) {
    const name = n === 1 ? wanted : `${wanted.slice(0, 60)}-${n}`;
    if (!taken.includes(name)) return name;
  }
}

/** What it is called while nobody has named it. */
export function suggested(spec: Spec, trigger: string): string {
  const template = spec.what[0]?.template ?? '';
  const start = spec.when.audience ?? spec.when.stream ?? trigger;
  return [template, start].filter(Boolean).join('-').slice(0, 60);
}

/** The share that is held back, in percent; a tenth unless somebody says otherwise. */
export const holdoutOf = (spec: Spec): number =>
  Number.parseFloat(spec.limits?.holdout ?? '10%') || 0;

/** Whether it goes to each user once when nothing is said. */
export const onceByDefault = (when: Spec['when']): boolean =>
  when.schedule !== undefined || when.audience !== undefined;

export const isOnce = (spec: Spec): boolean => spec.limits?.once ?? onceByDefault(spec.when);

/** Says whether it goes to each user once; what holds anyway is left out. */
export function withOnce(spec: Spec, once: boolean): Spec {
  const { once: _, ...rest } = spec.limits ?? {};
  const limits = once === onceByDefault(spec.when) ? rest : { ...rest, once };
  return put(spec, 'limits', Object.keys(limits).length > 0 ? limits : undefined);
}

export function quietWords(quiet: Schema['QuietSpec'] | undefined): string {
  if (!quiet) return 'as in the settings';
  return quiet.off ? 'none' : `${quiet.from} to ${quiet.to}`;
}

/** The status that people see: what was sent once is over, though what comes back of it still counts. */
export const standing = ({ when, status }: Spec): string =>
  when.once && status === 'live' ? 'sent_once' : status;

/** Who starts an audience's campaign is who enters it: those who are in it already do not. */
export const startsOnEntering = (spec: Spec): boolean =>
  Boolean(spec.when.audience) && spec.when.on !== 'leave';

/** What bounds a campaign, in words: label and value. */
export function limitWords(spec: Spec): [string, string][] {
  const { limits, delay } = spec;
  return [
    ['Purpose', spec.purpose === 'transactional' ? 'Transactional' : 'Marketing'],
    ...(delay ? ([['Delay', periodWords(delay)]] as [string, string][]) : []),
    ['Cap', limits?.cap ? `${limits.cap.count} per ${periodWords(limits.cap.per)}` : 'None'],
    ['Once per user', isOnce(spec) ? 'Yes' : 'No'],
    ['Quiet hours', quietWords(limits?.quiet)],
    ['Held back', limits?.holdout ?? '10%'],
  ];
}
