import type { Schema } from '../api/client';
import { list, periodWords } from '../format/pattern';

export type Spec = Schema['CampaignSpec'];
export type When = Spec['when'];
export type Variant = Spec['what'][number];

export const blank: Spec = {
  when: { trigger: '' },
  what: [{ channel: '', template: '' }],
  status: 'draft',
};

/** What starts a campaign. */
export type Start = 'trigger' | 'audience' | 'schedule' | 'once';

export function startOf(when: When): Start {
  if (when.once !== undefined) return 'once';
  if (when.schedule !== undefined) return 'schedule';
  return when.audience !== undefined ? 'audience' : 'trigger';
}

/** Everything is said that has to be. */
export function complete(spec: Spec): boolean {
  const { when } = spec;
  return (
    Boolean(when.trigger || when.audience || when.schedule || when.once) &&
    spec.what.length > 0 &&
    spec.what.every((v) => v.channel !== '' && v.template !== '') &&
    spec.goal?.event !== ''
  );
}

/** Whether it goes to each user once when nothing is said. */
export const onceByDefault = (when: When): boolean =>
  when.schedule !== undefined || when.audience !== undefined;

export function quietWords(quiet: Schema['QuietSpec'] | undefined): string {
  if (!quiet) return 'as in the settings';
  return quiet.off ? 'none' : `${quiet.from} to ${quiet.to}`;
}

/** What bounds a campaign, in words: label and value. */
export function limitWords(spec: Spec): [string, string][] {
  const { limits } = spec;
  return [
    ['Purpose', spec.purpose === 'transactional' ? 'Transactional' : 'Marketing'],
    ['Delay', spec.delay ? periodWords(spec.delay) : 'None'],
    ['Cap', limits?.cap ? `${limits.cap.count} per ${periodWords(limits.cap.per)}` : 'None'],
    ['Once per user', (limits?.once ?? onceByDefault(spec.when)) ? 'Yes' : 'No'],
    ['Quiet hours', quietWords(limits?.quiet)],
    ['Held back', limits?.holdout ?? '10%'],
  ];
}

/** A name for a campaign that has none. */
export function suggestName(spec: Spec): string {
  const { when } = spec;
  const from = when.trigger || when.audience || (when.schedule ? 'scheduled' : '');
  return (
    list([spec.what[0]?.template ?? '', from].filter(Boolean), '-')
      .replace(/[^A-Za-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 40) || 'campaign'
  );
}
