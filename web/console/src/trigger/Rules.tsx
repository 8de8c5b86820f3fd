import { Button, Menu } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { useAudiences } from '../api/queries';
import { Icon } from '../ui/Icon';
import {
  ChoiceChip,
  EventsChip,
  PeriodChip,
  PickChip,
  QuietMenu,
  SwitchChip,
  TimesChip,
} from './Chip';
import { useFields } from './Conditions';
import { Kept } from './Kept';
import { Drop, type Editing, Wrong } from './Sentence';
import { eventSteps, eventsOf, hasRow, isFinal, put, type Spec, stepEvents } from './spec';
import css from './trigger.module.css';

interface Rule {
  key: keyof Spec;
  /** In the menu that adds it. */
  label: string;
  hint: string;
  /** What it begins with. */
  start: Partial<Spec>;
  /** The keys that go when it goes. */
  keys: (keyof Spec)[];
  more?: boolean;
  offered?: (spec: Spec) => boolean;
  hidden?: (spec: Spec) => boolean;
  show: (spec: Spec, set: (next: Spec) => void, opened: boolean, readOnly: boolean) => ReactNode;
}

type Reentry = 'every' | 'once' | 'cooldown';

const rules: Rule[] = [
  {
    key: 'by',
    label: 'about the same …',
    hint: 'only events with one value of a property belong together',
    start: { by: '' },
    keys: ['by'],
    show: (spec, set, opened, readOnly) => (
      <Correlation spec={spec} set={set} opened={opened} readOnly={readOnly} />
    ),
  },
  {
    key: 'reset',
    label: 'start over on …',
    hint: 'an event that forgets the progress',
    start: { reset: [] },
    keys: ['reset'],
    show: (spec, set, opened, readOnly) => (
      <>
        <span>start over on</span>
        <EventsChip
          what="Start over on"
          value={spec.reset}
          set={(reset) => set({ ...spec, reset })}
          openAtFirst={opened}
          readOnly={readOnly}
        />
      </>
    ),
  },
  {
    key: 'scope',
    label: 'only these break a row',
    hint: 'the events that count for “in a row” and “directly after”',
    start: { scope: [] },
    keys: ['scope'],
    // beside the pattern as soon as there is a row
    hidden: hasRow,
    offered: () => false,
    show: (spec, set, opened, readOnly) => (
      <>
        <span>only</span>
        <EventsChip
          what="Events that break a row"
          value={spec.scope}
          set={(scope) => set({ ...spec, scope })}
          openAtFirst={opened}
          word="and"
          readOnly={readOnly}
        />
        <span>can break the row</span>
      </>
    ),
  },
  {
    key: 'delay',
    label: 'answer later …',
    hint: 'unless something comes first',
    start: { delay: '5m' },
    keys: ['delay', 'cancel'],
    offered: (spec) => !spec.pattern.some(isFinal),
    show: (spec, set, _, readOnly) => (
      <>
        <span>answer</span>
        <PeriodChip
          what="Delay"
          value={spec.delay}
          set={(delay) => set({ ...spec, delay })}
          readOnly={readOnly}
        />
        <span>later, unless</span>
        <EventsChip
          what="Unless"
          value={spec.cancel}
          set={(cancel) => set(put(spec, 'cancel', cancel))}
          placeholder="nothing"
          readOnly={readOnly}
        />
        <span>comes first</span>
      </>
    ),
  },
  {
    key: 'reentry',
    label: 'once, or with a rest',
    hint: 'whether a user can fire it again',
    start: { reentry: 'once' },
    keys: ['reentry'],
    show: (spec, set, _, readOnly) => {
      const rest = spec.reentry as { cooldown?: string } | string | undefined;
      const value: Reentry =
        typeof rest === 'object' ? 'cooldown' : rest === 'once' ? 'once' : 'every';
      return (
        <>
          <span>a user can fire it</span>
          <ChoiceChip<Reentry>
            what="Again"
            value={value}
            choices={{
              every: 'every time',
              once: 'once, ever',
              cooldown: 'again after a rest of',
            }}
            set={(next) =>
              set({ ...spec, reentry: next === 'cooldown' ? { cooldown: '24h' } : next })
            }
            readOnly={readOnly}
          />
          {typeof rest === 'object' && (
            <PeriodChip
              what="Rest"
              value={rest.cooldown}
              set={(cooldown) => set({ ...spec, reentry: { cooldown } })}
              readOnly={readOnly}
            />
          )}
        </>
      );
    },
  },
  {
    key: 'limit',
    label: 'at most … times',
    hint: 'per user, in any span of a length',
    start: { limit: { count: 1, per: '24h' } },
    keys: ['limit'],
    show: (spec, set, _, readOnly) =>
      spec.limit && (
        <>
          <span>fires at most</span>
          <TimesChip
            what="At most"
            value={spec.limit.count}
            set={(count) => set({ ...spec, limit: { per: '24h', ...spec.limit, count } })}
            readOnly={readOnly}
          />
          <span>in</span>
          <PeriodChip
            what="In"
            value={spec.limit.per}
            set={(per) => set({ ...spec, limit: { count: 1, ...spec.limit, per } })}
            readOnly={readOnly}
          />
          <span>for a user</span>
        </>
      ),
  },
  {
    key: 'audience',
    label: 'only users in …',
    hint: 'an audience that the user has to be in',
    start: { audience: '' },
    keys: ['audience', 'hold'],
    show: (spec, set, opened, readOnly) => (
      <Audience spec={spec} set={set} opened={opened} readOnly={readOnly} />
    ),
  },
  {
    key: 'increasing',
    label: 'each step strictly later',
    hint: 'events of one instant are no order',
    start: { increasing: true },
    keys: ['increasing'],
    more: true,
    offered: (spec) => eventSteps(spec) > 1,
    show: () => <span>each step is strictly later than the one before</span>,
  },
  {
    key: 'overlap',
    label: 'firings may overlap',
    hint: 'a firing does not use up its events',
    start: { overlap: true },
    keys: ['overlap'],
    more: true,
    show: () => <span>a firing does not use up its events</span>,
  },
  {
    key: 'order',
    label: 'sort by event time',
    hint: 'wait for late events before matching',
    start: { order: 'event', lateness: '10s' },
    keys: ['order', 'lateness'],
    more: true,
    show: (spec, set, _, readOnly) => (
      <>
        <ChoiceChip
          what="Order"
          value={spec.order ?? 'arrival'}
          choices={{ arrival: 'in order of arrival', event: 'sorted by event time' }}
          set={(order) =>
            set(
              order === 'event'
                ? { ...spec, order, lateness: spec.lateness ?? '10s' }
                : put({ ...spec, order }, 'lateness', undefined),
            )
          }
          readOnly={readOnly}
        />
        {spec.order === 'event' && (
          <>
            <span>waiting</span>
            <PeriodChip
              what="Waiting"
              value={spec.lateness}
              set={(lateness) => set({ ...spec, lateness })}
              usual={['1s', '5s', '10s', '30s', '1m', '10m']}
              readOnly={readOnly}
            />
            <span>for late ones</span>
          </>
        )}
      </>
    ),
  },
  {
    key: 'max_age',
    label: 'ignore old events',
    hint: 'received long after they happened; 15 minutes if not said',
    start: { max_age: '15m' },
    keys: ['max_age'],
    more: true,
    show: (spec, set, _, readOnly) => (
      <>
        <span>ignores events that arrive more than</span>
        <PeriodChip
          what="Age"
          value={spec.max_age}
          set={(age) => set({ ...spec, max_age: age })}
          readOnly={readOnly}
        />
        <span>after they happened</span>
      </>
    ),
  },
  {
    key: 'max_stale',
    label: 'drop overdue waits',
    hint: 'found over long after their time; 1 hour if not said',
    start: { max_stale: '1h' },
    keys: ['max_stale'],
    more: true,
    show: (spec, set, _, readOnly) => (
      <>
        <span>drops a wait that is overdue by more than</span>
        <PeriodChip
          what="Overdue"
          value={spec.max_stale}
          set={(stale) => set({ ...spec, max_stale: stale })}
          readOnly={readOnly}
        />
      </>
    ),
  },
];

/** The rest of the sentence: what surrounds the pattern, a line each, and a menu that adds one. */
export function Rules({ spec, set, problems, readOnly }: Editing) {
  const [opened, setOpened] = useState('');
  const there = rules.filter(
    (r) => !r.hidden?.(spec) && r.keys.some((key) => spec[key] !== undefined),
  );
  const absent = rules.filter((r) => !there.includes(r) && (r.offered?.(spec) ?? true));
  const add = (rule: Rule) => {
    setOpened(rule.key);
    set({ ...spec, ...rule.start });
  };
  const remove = (rule: Rule) => {
    let next = spec;
    for (const key of rule.keys) next = put(next, key, undefined);
    set(next);
  };
  const item = (rule: Rule) => (
    <Menu.Item key={rule.key} onClick={() => add(rule)}>
      {rule.label}
      <span className={css.hint}>{rule.hint}</span>
    </Menu.Item>
  );
  return (
    <div className={css.rules}>
      {there.length > 0 && (
        <ul className={css.ruleList} data-testid="rules">
          {there.map((rule) => (
            <li key={rule.key}>
              <div className={css.sentence}>
                {rule.show(spec, set, opened === rule.key, readOnly)}
                {!readOnly && <Drop what={rule.label} on={() => remove(rule)} />}
              </div>
              {rule.keys.map((key) => (
                <Wrong key={key} problems={problems} path={key} />
              ))}
            </li>
          ))}
        </ul>
      )}
      {!readOnly && absent.length > 0 && (
        <QuietMenu
          width={300}
          target={
            <Button size="xs" variant="default" leftSection={<Icon name="plus" size={14} />}>
              a rule
            </Button>
          }
        >
          {absent.filter((r) => !r.more).map(item)}
          {absent.some((r) => r.more) && <Menu.Label>More</Menu.Label>}
          {absent.filter((r) => r.more).map(item)}
        </QuietMenu>
      )}
    </div>
  );
}

interface Part {
  spec: Spec;
  set: (next: Spec) => void;
  opened: boolean;
  readOnly: boolean;
}

function Audience({ spec, set, opened, readOnly }: Part) {
  const audiences = useAudiences();
  return (
    <>
      <span>only users in</span>
      <PickChip
        what="Audience"
        value={spec.audience ?? ''}
        placeholder="pick an audience"
        search="Search audiences"
        options={(audiences.data?.definitions ?? []).map((a) => ({
          value: a.name,
          label: a.name,
          hint: a.spec.description,
        }))}
        set={(audience) => set({ ...spec, audience })}
        openAtFirst={opened}
        readOnly={readOnly}
      />
      <SwitchChip
        what="Hold"
        label="at the first step too"
        on={spec.hold ?? false}
        set={(hold) => set(put(spec, 'hold', hold))}
        readOnly={readOnly}
      />
    </>
  );
}

const short = (field: string) => field.replace(/^(properties|event)\./, '');

function Correlation({ spec, set, opened, readOnly }: Part) {
  const names = eventsOf(spec);
  const fields = useFields(names).filter((f) => f.field.startsWith('properties.'));
  const by = spec.by as string | Record<string, string> | undefined;
  const pick = (
    value: string,
    what: string,
    put: (field: string) => void,
    first: boolean,
    placeholder = 'pick a property',
  ) => (
    <PickChip
      what={what}
      value={value}
      label={value === '' ? undefined : short(value)}
      placeholder={placeholder}
      search="Search, or name a property"
      options={fields.map((f) => ({
        value: f.field,
        label: short(f.field),
        hint: f.values.map(String).join(', '),
      }))}
      create={(text) => `The property ${text}`}
      set={(field) =>
        put(/^(properties|event|context|traits)\./.test(field) ? field : `properties.${field}`)
      }
      openAtFirst={first}
      readOnly={readOnly}
    />
  );
  if (typeof by === 'object' && by !== null) {
    const kept = Object.entries(by).filter(([name]) => !names.includes(name));
    return (
      <>
        <span>about the same:</span>
        {names.map((name) => (
          <span key={name} className={css.joined}>
            <span>{name}’s</span>
            {pick(
              by[name] ?? '',
              `Property of ${name}`,
              (field) => set({ ...spec, by: { ...by, [name]: field } }),
              false,
              // an event without one concerns every value
              stepEvents(spec).includes(name) ? undefined : 'any value',
            )}
          </span>
        ))}
        {!readOnly && (
          <Button
            size="compact-xs"
            variant="subtle"
            onClick={() => set({ ...spec, by: Object.values(by)[0] ?? '' })}
          >
            one property for all
          </Button>
        )}
        {kept.length > 0 && <Kept part={{ by: Object.fromEntries(kept) }} />}
      </>
    );
  }
  return (
    <>
      <span>about the same</span>
      {pick(by ?? '', 'Property', (field) => set({ ...spec, by: field }), opened)}
      {!readOnly && (
        <Button
          size="compact-xs"
          variant="subtle"
          onClick={() =>
            set({
              ...spec,
              by: Object.fromEntries(stepEvents(spec).map((name) => [name, by ?? ''])),
            })
          }
        >
          one for each event
        </Button>
      )}
    </>
  );
}
