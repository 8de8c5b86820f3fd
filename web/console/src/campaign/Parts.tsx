import { Button, Group, NumberInput, Select, Stack, TextInput } from '@mantine/core';
import type { ReactNode } from 'react';
import { useAudiences, useDefinitions, useTemplates, useTriggers } from '../api/queries';
import { localZone } from '../explore/useExplore';
import { list, periodWords } from '../format/pattern';
import { scheduleWords } from '../format/schedule';
import { ChoiceChip, EventChip, FormChip, PeriodChip, PickChip, SwitchChip } from '../trigger/Chip';
import { put } from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { Icon } from '../ui/Icon';
import own from './campaign.module.css';
import { onceByDefault, quietWords, type Spec, type Start, startOf } from './spec';

export interface Part {
  spec: Spec;
  set: (next: Spec) => void;
  readOnly: boolean;
}

/** One of the questions that a campaign answers. */
export function Question(props: { title: string; children: ReactNode }) {
  return (
    <section className={own.question} aria-label={props.title}>
      <h2>{props.title}</h2>
      <div className={own.answer}>{props.children}</div>
    </section>
  );
}

const starts: Record<Start, string> = {
  trigger: 'when a trigger fires',
  audience: 'when a user enters or leaves an audience',
  schedule: 'on a schedule',
  once: 'once, when somebody sent it',
};

/** What starts it. */
export function WhenPart({ spec, set, readOnly }: Part) {
  const triggers = useTriggers();
  const audiences = useAudiences();
  const { when } = spec;
  const start = startOf(when);
  const options = (of: { name: string; spec: { description?: string } }[] | undefined) =>
    (of ?? []).map((d) => ({ value: d.name, label: d.name, hint: d.spec.description }));
  const begin: Record<Start, Spec['when']> = {
    trigger: { trigger: '' },
    audience: { audience: '', on: 'enter' },
    schedule: { schedule: '0 9 * * *', zone: localZone() },
    once: when,
  };
  const { once: _, ...offered } = starts;
  return (
    <p className={css.sentence}>
      <span>It starts</span>
      {start === 'once' ? (
        <b className={css.fixed}>{starts.once}</b>
      ) : (
        <ChoiceChip<Exclude<Start, 'once'>>
          what="Starts"
          value={start}
          choices={offered}
          set={(next) => set({ ...spec, when: begin[next] })}
          readOnly={readOnly}
        />
      )}
      {start === 'trigger' && (
        <PickChip
          what="Trigger"
          value={when.trigger ?? ''}
          options={options(triggers.data?.definitions)}
          placeholder="pick a trigger"
          search="Search the triggers"
          set={(trigger) => set({ ...spec, when: { trigger } })}
          readOnly={readOnly}
        />
      )}
      {start === 'audience' && (
        <>
          <ChoiceChip
            what="Enters or leaves"
            value={when.on ?? 'enter'}
            choices={{ enter: 'entering', leave: 'leaving' }}
            set={(on) => set({ ...spec, when: { ...when, on } })}
            readOnly={readOnly}
          />
          <PickChip
            what="Audience that starts it"
            value={when.audience ?? ''}
            options={options(audiences.data?.definitions)}
            placeholder="pick an audience"
            search="Search the audiences"
            set={(audience) => set({ ...spec, when: { ...when, audience } })}
            readOnly={readOnly}
          />
        </>
      )}
      {start === 'schedule' && <ScheduleChip spec={spec} set={set} readOnly={readOnly} />}
      <span>and sends</span>
      <FormChip
        what="Delay"
        label={spec.delay ? `${periodWords(spec.delay)} later` : 'at once'}
        readOnly={readOnly}
      >
        {(close) => (
          <Group gap={6}>
            {['', '5m', '30m', '1h', '1d'].map((delay) => (
              <Button
                key={delay}
                size="compact-sm"
                variant={delay === (spec.delay ?? '') ? 'filled' : 'default'}
                onClick={() => {
                  set(put(spec, 'delay', delay));
                  close();
                }}
              >
                {delay ? `${periodWords(delay)} later` : 'at once'}
              </Button>
            ))}
          </Group>
        )}
      </FormChip>
    </p>
  );
}

const usualSchedules = ['0 9 * * *', '0 9 * * 1-5', '0 9 * * 1', '0 9 1 * *', '0 * * * *'];

function ScheduleChip({ spec, set, readOnly }: Part) {
  const { when } = spec;
  const change = (part: Spec['when']) => set({ ...spec, when: { ...when, ...part } });
  const expr = when.schedule ?? '';
  return (
    <FormChip
      what="Schedule"
      label={`${scheduleWords(expr)}${when.zone ? `, ${when.zone}` : ''}`}
      width={330}
      readOnly={readOnly}
    >
      {(close) => (
        <Stack gap="xs">
          <Group gap={6}>
            {usualSchedules.map((each) => (
              <Button
                key={each}
                size="compact-sm"
                variant={each === expr ? 'filled' : 'default'}
                onClick={() => change({ schedule: each })}
              >
                {scheduleWords(each)}
              </Button>
            ))}
          </Group>
          <TextInput
            label="Minute, hour, day of the month, month, day of the week"
            size="xs"
            value={expr}
            onChange={(e) => change({ schedule: e.currentTarget.value })}
            onKeyDown={(e) => e.key === 'Enter' && close()}
          />
          <TextInput
            label="Time zone"
            description="Empty: the installation’s"
            size="xs"
            value={when.zone ?? ''}
            onChange={(e) => set({ ...spec, when: put(when, 'zone', e.currentTarget.value) })}
            onKeyDown={(e) => e.key === 'Enter' && close()}
          />
        </Stack>
      )}
    </FormChip>
  );
}

/** Whom it is for, and what it is for. */
export function WhoPart({ spec, set, readOnly }: Part) {
  const audiences = useAudiences();
  const who = spec.who ?? [];
  return (
    <p className={css.sentence}>
      <span>It is for</span>
      <PickChip
        what="Who"
        value={who[0] ?? ''}
        several={who}
        label={who.length === 0 ? 'everybody' : list(who, 'or')}
        placeholder="everybody"
        options={(audiences.data?.definitions ?? []).map((a) => ({
          value: a.name,
          label: a.name,
          hint: a.spec.description,
        }))}
        search="Search the audiences"
        set={(name) =>
          set(put(spec, 'who', who.includes(name) ? who.filter((w) => w !== name) : [...who, name]))
        }
        readOnly={readOnly}
      />
      <span>and it is</span>
      <ChoiceChip
        what="Purpose"
        value={spec.purpose ?? 'marketing'}
        choices={{
          marketing: 'marketing',
          transactional: 'transactional: no consent, caps or holdout',
        }}
        set={(purpose) => set({ ...spec, purpose })}
        readOnly={readOnly}
      />
    </p>
  );
}

/** The contents it chooses from. */
export function WhatPart({ spec, set, readOnly }: Part) {
  const templates = useTemplates();
  const options = (templates.data?.definitions ?? []).map((t) => ({
    value: t.name,
    label: t.name,
    hint: t.spec.channel,
  }));
  const total = spec.what.reduce((sum, v) => sum + (v.weight ?? 1), 0);
  const several = spec.what.length > 1;
  return (
    <>
      <ul className={own.variants}>
        {spec.what.map((v, i) => {
          const change = (next: Spec['what'][number]) =>
            set({ ...spec, what: spec.what.map((old, at) => (at === i ? next : old)) });
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: variants have no names
            <li key={i} className={css.sentence} data-testid="variant">
              <span>{several ? 'Variant' : 'It sends'}</span>
              <PickChip
                what={several ? `Template of variant ${i + 1}` : 'Template'}
                value={v.template}
                options={options}
                placeholder="pick a template"
                search="Search the templates"
                set={(template) =>
                  change({
                    ...v,
                    template,
                    channel: options.find((o) => o.value === template)?.hint ?? v.channel,
                  })
                }
                readOnly={readOnly}
              />
              {v.channel !== '' && <span>by {v.channel}</span>}
              {several && (
                <>
                  <span>to</span>
                  <FormChip
                    what={`Weight of variant ${i + 1}`}
                    label={`${Math.round(((v.weight ?? 1) / total) * 100)} %`}
                    readOnly={readOnly}
                  >
                    {(close) => (
                      <NumberInput
                        label="Weight, beside the other variants’"
                        size="xs"
                        min={1}
                        max={1_000_000}
                        allowDecimal={false}
                        value={v.weight ?? 1}
                        onChange={(n) =>
                          typeof n === 'number' && n >= 1 && change({ ...v, weight: n })
                        }
                        onKeyDown={(e) => e.key === 'Enter' && close()}
                      />
                    )}
                  </FormChip>
                  {!readOnly && (
                    <Button
                      size="compact-xs"
                      variant="subtle"
                      color="gray"
                      aria-label={`Remove variant ${i + 1}`}
                      onClick={() => set({ ...spec, what: spec.what.filter((_, at) => at !== i) })}
                    >
                      <Icon name="close" size={14} />
                    </Button>
                  )}
                </>
              )}
            </li>
          );
        })}
      </ul>
      {!readOnly && (
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<Icon name="plus" size={13} />}
          onClick={() => set({ ...spec, what: [...spec.what, { channel: '', template: '' }] })}
        >
          Add a variant
        </Button>
      )}
    </>
  );
}

/** How much of it a user gets, and when not. */
export function LimitsPart({ spec, set, readOnly }: Part) {
  const limits = spec.limits ?? {};
  const change = (next: NonNullable<Spec['limits']>) => {
    const { limits: _, ...rest } = spec;
    set(Object.keys(next).length > 0 ? { ...rest, limits: next } : rest);
  };
  const { cap, quiet } = limits;
  const once = limits.once ?? onceByDefault(spec.when);
  const held = limits.holdout ?? '10%';
  return (
    <div className={own.limits}>
      <p className={css.sentence}>
        <span>Each user gets it</span>
        <FormChip
          what="Cap"
          label={cap ? `at most ${cap.count} per ${periodWords(cap.per)}` : 'as often as it starts'}
          readOnly={readOnly}
        >
          {(close) => (
            <Stack gap="xs">
              <NumberInput
                label="At most"
                size="xs"
                min={1}
                max={1000}
                allowDecimal={false}
                value={cap?.count ?? ''}
                onChange={(n) =>
                  typeof n === 'number' &&
                  n >= 1 &&
                  change({ ...limits, cap: { count: n, per: cap?.per ?? '24h' } })
                }
                onKeyDown={(e) => e.key === 'Enter' && close()}
              />
              <Select
                label="Per"
                size="xs"
                data={['1h', '24h', '7d', '30d'].map((per) => ({
                  value: per,
                  label: periodWords(per),
                }))}
                value={cap?.per ?? '24h'}
                allowDeselect={false}
                comboboxProps={{ withinPortal: false }}
                onChange={(per) =>
                  per && change({ ...limits, cap: { count: cap?.count ?? 1, per } })
                }
              />
              <Button
                size="compact-sm"
                variant="default"
                onClick={() => {
                  change(put(limits, 'cap', undefined));
                  close();
                }}
              >
                No cap
              </Button>
            </Stack>
          )}
        </FormChip>
        <SwitchChip
          what="Once"
          label="once only"
          on={once}
          set={(on) => {
            const { once: _, ...rest } = limits;
            change(on === onceByDefault(spec.when) ? rest : { ...rest, once: on });
          }}
          readOnly={readOnly}
        />
      </p>
      <p className={css.sentence}>
        <span>Quiet hours by the user’s clock:</span>
        <FormChip what="Quiet hours" label={quietWords(quiet)} readOnly={readOnly}>
          {(close) => (
            <Stack gap="xs">
              <Group gap={6}>
                <Button
                  size="compact-sm"
                  variant={quiet ? 'default' : 'filled'}
                  onClick={() => {
                    change(put(limits, 'quiet', undefined));
                    close();
                  }}
                >
                  as in the settings
                </Button>
                <Button
                  size="compact-sm"
                  variant={quiet?.off ? 'filled' : 'default'}
                  onClick={() => {
                    change({ ...limits, quiet: { off: true } });
                    close();
                  }}
                >
                  none
                </Button>
              </Group>
              <Group gap={6} grow>
                {(['from', 'to'] as const).map((part) => (
                  <TextInput
                    key={part}
                    type="time"
                    size="xs"
                    label={part === 'from' ? 'From' : 'To'}
                    value={quiet?.[part] ?? ''}
                    onChange={(e) =>
                      e.currentTarget.value &&
                      change({
                        ...limits,
                        quiet: {
                          from: quiet?.from ?? '21:00',
                          to: quiet?.to ?? '08:00',
                          [part]: e.currentTarget.value,
                        },
                      })
                    }
                  />
                ))}
              </Group>
            </Stack>
          )}
        </FormChip>
      </p>
      <p className={css.sentence}>
        <span>Held back to measure what it achieves:</span>
        <FormChip what="Held back" label={held} readOnly={readOnly}>
          {(close) => (
            <Group gap={6}>
              {['0%', '5%', '10%', '20%', '50%'].map((share) => (
                <Button
                  key={share}
                  size="compact-sm"
                  variant={share === held ? 'filled' : 'default'}
                  onClick={() => {
                    change({ ...limits, holdout: share });
                    close();
                  }}
                >
                  {share}
                </Button>
              ))}
            </Group>
          )}
        </FormChip>
      </p>
    </div>
  );
}

/** What it wants to happen. */
export function GoalPart({ spec, set, readOnly }: Part) {
  const { goal } = spec;
  if (!goal)
    return readOnly ? (
      <p className={css.plain}>None.</p>
    ) : (
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<Icon name="plus" size={13} />}
        onClick={() => set({ ...spec, goal: { event: '', within: '3d' } })}
      >
        Set a goal
      </Button>
    );
  return (
    <p className={css.sentence}>
      <span>It wants</span>
      <EventChip
        what="Goal"
        value={goal.event}
        set={(event) => set({ ...spec, goal: { ...goal, event } })}
        readOnly={readOnly}
      />
      <span>within</span>
      <PeriodChip
        what="Within"
        value={goal.within}
        usual={['1h', '1d', '3d', '7d', '30d']}
        set={(within) => set({ ...spec, goal: { ...goal, within } })}
        readOnly={readOnly}
      />
      <span>worth</span>
      <FormChip what="Value" label={goal.value ?? 'nothing in particular'} readOnly={readOnly}>
        {(close) => (
          <TextInput
            label="A property that holds its value"
            placeholder="properties.revenue"
            size="xs"
            value={goal.value ?? ''}
            onChange={(e) => set({ ...spec, goal: put(goal, 'value', e.currentTarget.value) })}
            onKeyDown={(e) => e.key === 'Enter' && close()}
          />
        )}
      </FormChip>
      {!readOnly && (
        <Button
          size="compact-xs"
          variant="subtle"
          color="gray"
          onClick={() => set(put(spec, 'goal', undefined))}
        >
          No goal
        </Button>
      )}
    </p>
  );
}

interface Settings {
  cap?: { count: number; per: string };
  quiet?: { from?: string; to?: string; off?: boolean };
  holdout?: string;
}

/** What the settings add for all campaigns. */
export function FromSettings() {
  const all = useDefinitions<Settings>('settings');
  const spec = all.data?.definitions.find((d) => d.name === 'sending')?.spec;
  if (!spec) return null;
  const facts = [
    spec.quiet && !spec.quiet.off && `quiet hours ${quietWords(spec.quiet)}`,
    spec.cap &&
      `at most ${spec.cap.count} messages of all campaigns per ${periodWords(spec.cap.per)}`,
    spec.holdout && `${spec.holdout} of the users get no marketing at all`,
  ].filter((f): f is string => Boolean(f));
  if (facts.length === 0) return null;
  return <p className={css.plain}>From the settings, for marketing: {list(facts, 'and')}.</p>;
}
