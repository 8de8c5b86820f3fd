import type { Schema } from '../api/client';
import { blank as blankTrigger, complete, put, type Spec as Trigger } from '../trigger/spec';

export type Spec = Schema['CampaignSpec'];
export type Content = Spec['what'][number];

/** What a new campaign begins with. */
export const blank: Spec = {
  when: {},
  what: [{ channel: 'web', template: '' }],
  status: 'draft',
};

/** What starts a campaign: a trigger that is written with it, one that there is, or an audience. */
export type Start = 'own' | 'trigger' | 'audience';

export function startOf(when: Spec['when'], own: Trigger | undefined): Start {
  if (own) return 'own';
  return when.audience === undefined ? 'trigger' : 'audience';
}

export { blankTrigger };

/** Why it cannot be launched yet, undefined if it can. */
export function unfinished(spec: Spec, own: Trigger | undefined): string | undefined {
  const { when } = spec;
  if (own ? !complete(own) : !(when.trigger || when.audience || when.once))
    return 'It does not say yet when it starts';
  if (spec.what.some((v) => v.template === '')) return 'A content has no template yet';
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
  const start = spec.when.audience ?? trigger;
  return [template, start].filter(Boolean).join('-').slice(0, 60);
}

/** The share that is held back, in percent; a tenth unless somebody says otherwise. */
export const holdoutOf = (spec: Spec): number =>
  Number.parseFloat(spec.limits?.holdout ?? '10%') || 0;
