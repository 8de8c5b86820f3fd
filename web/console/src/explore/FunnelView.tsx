import { ActionIcon, Button, Menu } from '@mantine/core';
import { useState } from 'react';
import { useDefinitions } from '../api/queries';
import { FunnelChart } from '../chart/FunnelChart';
import { Grid } from '../chart/Grid';
import { share } from '../chart/share';
import { Table } from '../chart/Table';
import { sentence } from '../format/words';
import { EventsChip, PeriodChip, QuietMenu, SwitchChip } from '../trigger/Chip';
import { Conditions } from '../trigger/Conditions';
import type { Condition } from '../trigger/spec';
import { Icon } from '../ui/Icon';
import { EventPicker } from './EventPicker';
import css from './explore.module.css';
import { Frame } from './Frame';
import type { FunnelStep } from './measure';
import { type FunnelSpec, SavedFunnels } from './SavedFunnels';
import { SplitChip } from './SplitChip';
import { defaults, type Funnel } from './state';
import { useExplore } from './useExplore';
import {
  dimensionTitle,
  doing,
  funnelWords,
  lasting,
  markWords,
  partWords,
  stepWords,
  windowWords,
} from './words';

const most = 20;

/** How far users get along ordered steps, and who they are at each of them. */
export function FunnelView() {
  const { s, set } = useExplore();
  const funnel = s.funnel ?? defaults.funnel;
  const { steps } = funnel;
  const saved = useDefinitions<FunnelSpec>('funnel');
  const [picking, setPicking] = useState(steps.length === 0);
  const change = (next: Partial<Funnel>) => set({ funnel: { ...funnel, ...next } });
  return (
    <Frame
      title="Funnel"
      about={
        steps.length > 1
          ? `users who did one after the other ${windowWords(funnel.window)}${funnel.strict ? ', with nothing in between' : ''}`
          : 'users who did one step after the other'
      }
      asked={
        // nothing is asked yet, and the picker stands open
        (steps.length > 0 || !picking || (saved.data?.definitions.length ?? 0) > 0) && (
          <div className={css.asked}>
            {steps.length > 0 && (
              <ol className={css.steps}>
                {steps.map((step, i) => (
                  <Step
                    // biome-ignore lint/suspicious/noArrayIndexKey: a step is its place
                    key={i}
                    step={step}
                    at={i}
                    steps={steps}
                    set={(list) => change({ steps: list })}
                  />
                ))}
              </ol>
            )}
            <div className={css.line}>
              {!picking && (
                <Button
                  size="compact-sm"
                  variant="light"
                  leftSection={<Icon name="plus" size={14} />}
                  disabled={steps.length >= most}
                  onClick={() => setPicking(true)}
                >
                  {steps.length === 0 ? 'Pick the steps' : 'Add a step'}
                </Button>
              )}
              {steps.length > 1 && (
                <>
                  <span>within</span>
                  <PeriodChip
                    what="Window"
                    value={funnel.window}
                    usual={['10m', '30m', '1h', '24h', '7d', '30d']}
                    set={(window) => change({ window })}
                  />
                  <SwitchChip
                    what="Order"
                    label="nothing in between"
                    on={funnel.strict ?? false}
                    set={(strict) => change({ strict: strict || undefined })}
                  />
                  <SplitChip value={funnel.by} set={(by) => change({ by })} />
                </>
              )}
              {steps.length > 0 && (
                <Button
                  size="compact-sm"
                  variant="subtle"
                  color="gray"
                  c="var(--heed-muted)"
                  onClick={() => {
                    change({ steps: [], saved: undefined });
                    setPicking(true);
                  }}
                >
                  Start over
                </Button>
              )}
              <SavedFunnels />
            </div>
          </div>
        )
      }
      beside={
        picking && (
          <EventPicker
            title={
              steps.length === 0
                ? 'Which event comes first?'
                : `Which event is step ${steps.length + 1}?`
            }
            full={steps.length >= most}
            onPick={(event) => change({ steps: [...steps, { event }] })}
            onClose={() => setPicking(false)}
          />
        )
      }
      unasked={
        <p className={css.unasked} role="status">
          The funnel is drawn as you pick: the first event is where it begins.
        </p>
      }
    >
      <FunnelFigure />
    </Frame>
  );
}

/** The funnel, and its parts where it is split. */
export function FunnelFigure() {
  const { s, answer, open } = useExplore();
  const { steps, by } = s.funnel ?? defaults.funnel;
  const result = answer?.funnel;
  const levels = (result?.steps ?? []).map((level, i) => ({
    ...level,
    label: steps[i] ? stepWords(steps[i]) : '',
  }));
  const at = (step: number, state: 'reached' | 'stuck' | 'progress') =>
    open(state === 'reached' ? { step } : { step, state }, result?.steps[step - 1]?.[state] ?? 0);
  const { convert } = result ?? {};
  const groups = result?.groups ?? [];
  const part = (group: number, step: number) =>
    open({ step, group }, groups[group]?.steps[step - 1]?.reached);
  const partMark = (group: number, step: number) =>
    markWords({ ...s, view: 'funnel' }, { step, group }, answer);
  return (
    <>
      {s.table ? (
        <Table
          label="Funnel"
          head={['Step', 'Reached', 'Share of all', 'Stuck here', 'In progress']}
          rows={levels.map((level, i) => ({
            key: `${i}`,
            cells: [
              `${i + 1}. ${level.label}`,
              cell(level.reached, funnelWords(steps, { step: i + 1 }), () => at(i + 1, 'reached')),
              share(level.reached, levels[0]?.reached ?? 0),
              cell(level.stuck, funnelWords(steps, { step: i + 1, state: 'stuck' }), () =>
                at(i + 1, 'stuck'),
              ),
              cell(level.progress, funnelWords(steps, { step: i + 1, state: 'progress' }), () =>
                at(i + 1, 'progress'),
              ),
            ],
          }))}
        />
      ) : (
        <FunnelChart
          label="Funnel"
          levels={levels}
          words={(step, state) => funnelWords(steps, { step, state })}
          onPlace={at}
        />
      )}
      {convert && levels.length > 1 && (
        <dl className={css.convert} aria-label="Time to convert">
          <div>
            <dt>Converted</dt>
            <dd>{share(levels.at(-1)?.reached ?? 0, levels[0]?.reached ?? 0)}</dd>
          </div>
          <div>
            <dt>Median time to convert</dt>
            <dd>{lasting(convert.p50)}</dd>
          </div>
          <div>
            <dt>A quarter within</dt>
            <dd>{lasting(convert.p25)}</dd>
          </div>
          <div>
            <dt>9 of 10 within</dt>
            <dd>{lasting(convert.p90)}</dd>
          </div>
        </dl>
      )}
      {by && groups.length > 0 && (
        <div className={css.parts}>
          <h3 className={css.pathHead}>By {dimensionTitle(by).toLowerCase()}</h3>
          <Grid
            label={`Funnel by ${dimensionTitle(by)}`}
            corner={dimensionTitle(by)}
            columns={levels.map((level, i) => `${i + 1}. ${level.label}`)}
            rows={groups.map((g) => ({
              label: sentence(partWords(by, g) ?? ''),
              cells: g.steps.map((x) => x.reached),
            }))}
            words={(group, step) => partMark(group, step + 1)}
            onCell={(group, step) => part(group, step + 1)}
          />
        </div>
      )}
    </>
  );
}

const cell = (value: number, label: string, onClick: () => void) =>
  value === 0 ? value : { value, label, onClick };

function Step(props: {
  step: FunnelStep;
  at: number;
  steps: readonly FunnelStep[];
  set: (steps: FunnelStep[]) => void;
}) {
  const { step, at, steps, set } = props;
  const [fresh, setFresh] = useState<'where' | 'without' | undefined>();
  const change = (next: FunnelStep | undefined) =>
    set(steps.flatMap((other, i) => (i === at ? (next ?? []) : [other])));
  const move = (by: number) => {
    const next = [...steps];
    next.splice(at, 1);
    next.splice(at + by, 0, step);
    set(next);
  };
  const without = step.without;
  return (
    <li className={css.stepLine} data-step={at + 1}>
      <span className={css.stepName}>
        <span className={css.stepNumber}>{at + 1}</span>
        <b>{doing(step.event)}</b>
        <QuietMenu
          width={230}
          target={
            <ActionIcon
              variant="subtle"
              size={26}
              aria-label={`Change step ${at + 1}: ${doing(step.event)}`}
              c="var(--heed-muted)"
            >
              <Icon name="more" size={15} />
            </ActionIcon>
          }
        >
          <Menu.Item
            onClick={() => {
              setFresh('where');
              change({
                ...step,
                where: step.where ?? { all: [{ field: '', op: 'eq', value: '' }] },
              });
            }}
          >
            Only where …
          </Menu.Item>
          {at > 0 && (
            <Menu.Item
              onClick={() => {
                setFresh('without');
                change({ ...step, without: without ?? [] });
              }}
            >
              Without another event before it
            </Menu.Item>
          )}
          {at > 0 && <Menu.Item onClick={() => move(-1)}>Move up</Menu.Item>}
          {at < steps.length - 1 && <Menu.Item onClick={() => move(1)}>Move down</Menu.Item>}
          <Menu.Item
            leftSection={<Icon name="trash" size={15} />}
            onClick={() => change(undefined)}
          >
            Remove
          </Menu.Item>
        </QuietMenu>
      </span>
      {step.where && (
        <Conditions
          value={step.where as Condition}
          event={step.event ?? ''}
          set={(where) => change({ ...step, where: where as FunnelStep['where'] })}
          openAtFirst={fresh === 'where'}
          readOnly={false}
        />
      )}
      {(without || fresh === 'without') && at > 0 && (
        <span className={css.line}>
          without
          <EventsChip
            what="Without"
            value={(without ?? []).map((m) => m.event ?? '')}
            openAtFirst={fresh === 'without'}
            set={(events) =>
              change({
                ...step,
                without: events.length > 0 ? events.map((event) => ({ event })) : undefined,
              })
            }
          />
        </span>
      )}
    </li>
  );
}
