import { ActionIcon, Button, Menu } from '@mantine/core';
import { useState } from 'react';
import { conditionWords, fieldWords } from '../format/pattern';
import { eventLabel } from '../format/words';
import { Icon } from '../ui/Icon';
import {
  ChoiceChip,
  EventChip,
  EventsChip,
  PeriodChip,
  PickChip,
  QuietMenu,
  SwitchChip,
  TimesChip,
} from './Chip';
import { Conditions, useFields } from './Conditions';
import { Kept } from './Kept';
import { Mistakes, wordsOf } from './Mistakes';
import { Rules } from './Rules';
import {
  addStep,
  type Element,
  eventOf,
  eventSteps,
  eventsOf,
  hasRow,
  isFinal,
  otherOfSpec,
  otherOfStep,
  type Problem,
  put,
  putStep,
  removeStep,
  renameStep,
  type Spec,
  type Step,
  stepEvents,
  withWindow,
} from './spec';
import css from './trigger.module.css';

export interface Editing {
  spec: Spec;
  set: (next: Spec) => void;
  problems: readonly Problem[];
  readOnly: boolean;
}

/** What is wrong at a place, in words. */
export function Wrong({ problems, path }: { problems: readonly Problem[]; path: string }) {
  const here = problems.filter(
    ({ path: at = '' }) =>
      at === path || (at.startsWith(path) && /^[.[]/.test(at.slice(path.length))),
  );
  return (
    <Mistakes
      all={here.map((p) => ({ where: p.path?.slice(path.length + 1) ?? '', message: wordsOf(p) }))}
    />
  );
}

/** A trigger as a sentence, whose words can be changed. */
export function Sentence(props: Editing & { fresh: boolean }) {
  const { spec, set, problems, readOnly } = props;
  const [added, setAdded] = useState('');
  const [opened, setOpened] = useState('');
  const last = spec.pattern.at(-1);
  const breakable = hasRow(spec);
  const own = stepEvents(spec);
  const add = (step: Step) => {
    setAdded(`step ${spec.pattern.length}`);
    set(addStep(spec, step));
  };
  const other = otherOfSpec(spec);
  return (
    <>
      <ol className={css.steps} data-testid="steps">
        {spec.pattern.map((step, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a step is its place
          <li key={i} className={css.step}>
            <span className={css.number} aria-hidden="true">
              {i + 1}
            </span>
            <div className={css.stepBody}>
              <StepLine
                {...props}
                step={step}
                index={i}
                openAtFirst={(props.fresh && i === 0) || added !== ''}
                onRow={() => !spec.scope && eventsOf(spec).length === 1 && setOpened('scope')}
              />
              <Wrong problems={problems} path={`pattern[${i}]`} />
            </div>
          </li>
        ))}
      </ol>
      <Wrong problems={problems.filter((p) => p.path === 'pattern')} path="pattern" />
      {eventSteps(spec) > 1 && (
        <div className={css.window}>
          <div className={css.sentence}>
            <span>
              {spec.pattern.filter((s) => !isFinal(s)).length > 1 ? 'all within' : 'within'}
            </span>
            <PeriodChip
              what="Within"
              value={spec.within}
              set={(within) => set({ ...spec, within })}
              readOnly={readOnly}
            />
          </div>
          <Wrong problems={problems} path="within" />
          {breakable && (
            <>
              <div className={css.sentence}>
                <span>the row is broken by</span>
                <EventsChip
                  key={opened}
                  what="The row is broken by"
                  value={spec.scope?.filter((name) => !own.includes(name))}
                  set={(names) =>
                    set(
                      put(
                        spec,
                        'scope',
                        names.length > 0 ? [...new Set([...own, ...names])] : undefined,
                      ),
                    )
                  }
                  placeholder={
                    eventsOf(spec).length > own.length
                      ? 'the other events named here'
                      : 'nothing yet: pick events'
                  }
                  openAtFirst={opened === 'scope'}
                  readOnly={readOnly}
                />
              </div>
              <Wrong problems={problems} path="scope" />
            </>
          )}
        </div>
      )}
      {eventSteps(spec) <= 1 && <Wrong problems={problems} path="within" />}
      {!readOnly && (
        <div className={css.more}>
          <Button
            size="xs"
            variant="default"
            leftSection={<Icon name="plus" size={14} />}
            onClick={() => add({ event: '' })}
          >
            then another event
          </Button>
          {!(last && isFinal(last)) && (
            <>
              <Button
                size="xs"
                variant="default"
                leftSection={<Icon name="clock" size={14} />}
                onClick={() => add({ absent: '', for: '30m' })}
              >
                and then does not do
              </Button>
              <Button
                size="xs"
                variant="default"
                leftSection={<Icon name="clock" size={14} />}
                onClick={() => add({ idle: '10m' })}
              >
                and then is idle
              </Button>
            </>
          )}
        </div>
      )}
      <Rules {...props} />
      {Object.keys(other).length > 0 && <Kept part={other} />}
    </>
  );
}

function StepLine(
  props: Editing & {
    step: Step;
    index: number;
    openAtFirst: boolean;
    /** It has become a row, which other events can break. */
    onRow: () => void;
  },
) {
  const { spec, set, step, index, readOnly } = props;
  const [opened, setOpened] = useState('');
  const change = (next: Step) => set(withWindow(putStep(spec, index, next)));
  const say = (key: keyof Step, value: Step[keyof Step]) => {
    setOpened(key);
    change({ ...step, [key]: value });
  };
  const fields = useFields(step.event ? [step.event] : []);
  const other = otherOfStep(step);
  const first = index === 0;
  const lead = first ? 'When a user' : isFinal(step) ? 'and then' : 'then';
  const times = step.times ?? 1;
  const repeat = (n: number) =>
    change(
      put(
        put(step, 'times', n > 1 ? n : undefined),
        'consecutive',
        n > 1 ? step.consecutive : undefined,
      ),
    );
  const one = !isFinal(step) && !step.all;
  const options = [
    one &&
      times === 1 && {
        label: '… and others, in any order',
        hint: 'all of several events',
        add: () => {
          setOpened('all');
          const { event: _, where: __, times: ___, ...rest } = step;
          change({
            ...rest,
            all: [
              step.where ? { event: step.event ?? '', where: step.where } : (step.event ?? ''),
              '',
            ],
          });
        },
      },
    one &&
      times > 1 &&
      step.distinct === undefined && {
        label: 'each with a different …',
        hint: 'as many different values of a property',
        add: () => say('distinct', ''),
      },
    !step.all &&
      !step.where && {
        label: 'only where …',
        hint: 'a property of the event or the user',
        add: () => say('where', { all: [{ field: '', op: 'eq', value: '' }] }),
      },
    !first &&
      !isFinal(step) &&
      !step.without && {
        label: 'without … in between',
        hint: 'none of these between the step before and this one',
        add: () => say('without', []),
      },
    !first &&
      !isFinal(step) &&
      !step.strict && {
        label: 'directly after',
        hint: 'no other event of the trigger in between',
        add: () => say('strict', true),
      },
    !first &&
      !isFinal(step) &&
      !step.gap && {
        label: 'less than … after',
        hint: 'soon after the step before',
        add: () => say('gap', '5m'),
      },
  ].filter((o) => o !== false);

  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a shortcut of the buttons in it */}
      <div
        className={css.sentence}
        onKeyDown={(e) => {
          // how often is typed where the event was just picked
          const chip = e.target instanceof HTMLButtonElement && e.currentTarget.contains(e.target);
          if (chip && !readOnly && step.event && /^[1-9]$/.test(e.key)) repeat(Number(e.key));
        }}
      >
        <span>{lead}</span>
        {step.idle !== undefined ? (
          <>
            <span>is idle for</span>
            <PeriodChip
              what="Idle for"
              value={step.idle}
              set={(idle) => change({ ...step, idle })}
              readOnly={readOnly}
            />
          </>
        ) : step.absent !== undefined ? (
          <>
            <span>does not do</span>
            <EventChip
              what="Event"
              value={step.absent}
              set={(absent) => change({ ...step, absent })}
              openAtFirst={props.openAtFirst && step.absent === ''}
              readOnly={readOnly}
            />
            <span>for</span>
            <PeriodChip
              what="For"
              value={step.for}
              set={(time) => change({ ...step, for: time })}
              readOnly={readOnly}
            />
            <span>counted from</span>
            <ChoiceChip
              what="Counted from"
              value={step.anchor ?? 'first'}
              choices={{ first: 'the first time', last: 'the last time' }}
              set={(anchor) => change(put(step, 'anchor', anchor === 'first' ? undefined : anchor))}
              readOnly={readOnly}
            />
          </>
        ) : step.all ? (
          <AllOf
            all={step.all}
            first={first}
            openAtFirst={opened === 'all'}
            set={(all) =>
              change(all.length > 1 ? { ...step, all } : { event: all[0] ? eventOf(all[0]) : '' })
            }
            readOnly={readOnly}
          />
        ) : (
          <>
            {first && <span>does</span>}
            <EventChip
              what="Event"
              value={step.event ?? ''}
              set={(event) => set(withWindow(renameStep(spec, index, event)))}
              openAtFirst={props.openAtFirst && step.event === ''}
              readOnly={readOnly}
            />
            <TimesChip what="How often" value={times} set={repeat} readOnly={readOnly} />
            {times > 1 && (
              <SwitchChip
                what="In a row"
                label="in a row"
                on={step.consecutive ?? false}
                set={(on) => {
                  if (on) props.onRow();
                  change(put(step, 'consecutive', on));
                }}
                readOnly={readOnly}
              />
            )}
            {step.distinct !== undefined && (
              <>
                <span>each with a different</span>
                <PickChip
                  what="Different"
                  value={step.distinct}
                  label={step.distinct === '' ? undefined : fieldWords(step.distinct)}
                  placeholder="pick a property"
                  search="Search properties"
                  options={fields.map((f) => ({ value: f.field, label: f.field }))}
                  create={(text) => `The property ${text}`}
                  set={(distinct) => change({ ...step, distinct })}
                  openAtFirst={opened === 'distinct'}
                  readOnly={readOnly}
                />
                {!readOnly && (
                  <Drop
                    what="each with a different …"
                    on={() => change(put(step, 'distinct', undefined))}
                  />
                )}
              </>
            )}
            {step.strict && (
              <SwitchChip
                what="Directly after"
                label="directly after"
                on
                set={() => change(put(step, 'strict', undefined))}
                readOnly={readOnly}
              />
            )}
            {step.gap && (
              <>
                <span>less than</span>
                <PeriodChip
                  what="Less than"
                  value={step.gap}
                  set={(gap) => change({ ...step, gap })}
                  readOnly={readOnly}
                />
                <span>after</span>
                {!readOnly && (
                  <Drop what="less than … after" on={() => change(put(step, 'gap', undefined))} />
                )}
              </>
            )}
            {step.without && (
              <>
                <span>without</span>
                <EventsChip
                  what="Without"
                  value={step.without}
                  set={(without) => change({ ...step, without })}
                  openAtFirst={opened === 'without'}
                  readOnly={readOnly}
                />
                <span>in between</span>
                {!readOnly && (
                  <Drop
                    what="without … in between"
                    on={() => change(put(step, 'without', undefined))}
                  />
                )}
              </>
            )}
          </>
        )}
        {!readOnly && (
          <span className={css.tools}>
            {options.length > 0 && step.idle === undefined && (
              <QuietMenu
                width={280}
                target={
                  <ActionIcon
                    variant="subtle"
                    aria-label={`Add to step ${index + 1}`}
                    c="var(--heed-muted)"
                  >
                    <Icon name="plus" size={16} />
                  </ActionIcon>
                }
              >
                {options.map((o) => (
                  <Menu.Item key={o.label} onClick={o.add}>
                    {o.label}
                    <span className={css.hint}>{o.hint}</span>
                  </Menu.Item>
                ))}
              </QuietMenu>
            )}
            {(spec.pattern.length > 1 || isFinal(step)) && (
              <ActionIcon
                variant="subtle"
                aria-label={`Remove step ${index + 1}: ${eventLabel(step.event ?? step.absent ?? 'idle')}`}
                onClick={() => set(removeStep(spec, index))}
                c="var(--heed-muted)"
              >
                <Icon name="trash" size={15} />
              </ActionIcon>
            )}
          </span>
        )}
      </div>
      {step.where && (
        <Conditions
          value={step.where}
          event={step.event ?? step.absent ?? ''}
          set={(where) => change(put(step, 'where', where))}
          openAtFirst={opened === 'where'}
          readOnly={readOnly}
        />
      )}
      {Object.keys(other).length > 0 && <Kept part={other} />}
    </>
  );
}

/** Several events in any order. */
function AllOf(props: {
  all: readonly Element[];
  first: boolean;
  openAtFirst: boolean;
  set: (all: Element[]) => void;
  readOnly: boolean;
}) {
  const { all, set, readOnly } = props;
  const put = (i: number, event: string) =>
    set(
      all.map((e, n) => (n !== i ? e : typeof e === 'object' && e.where ? { ...e, event } : event)),
    );
  return (
    <>
      <span>{props.first ? 'does all of' : 'all of'}</span>
      {all.map((element, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: an element is its place
        <span key={i} className={css.joined}>
          {i > 0 && i === all.length - 1 && <span>and</span>}
          <EventChip
            what="Event"
            value={eventOf(element)}
            set={(event) => put(i, event)}
            openAtFirst={props.openAtFirst && eventOf(element) === ''}
            readOnly={readOnly}
          />
          {typeof element === 'object' && element.where && (
            <span className={css.muted}>where {conditionWords(element.where)}</span>
          )}
          {!readOnly && (
            <Drop
              what={eventOf(element) || 'this event'}
              on={() => set(all.filter((_, n) => n !== i))}
            />
          )}
        </span>
      ))}
      {!readOnly && (
        <ActionIcon
          variant="subtle"
          size="sm"
          aria-label="One more event"
          onClick={() => set([...all, ''])}
          c="var(--heed-muted)"
        >
          <Icon name="plus" size={14} />
        </ActionIcon>
      )}
      <span>in any order</span>
    </>
  );
}

/** Takes a part of the sentence away. */
export function Drop({ what, on }: { what: string; on: () => void }) {
  return (
    <ActionIcon
      variant="subtle"
      size="sm"
      aria-label={`Remove: ${what}`}
      onClick={on}
      c="var(--heed-muted)"
    >
      <Icon name="close" size={14} />
    </ActionIcon>
  );
}
