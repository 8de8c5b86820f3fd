import { Button } from '@mantine/core';
import type { ReactNode } from 'react';
import { ChartCard } from '../chart/ChartCard';
import { Empty, Failure, Loading } from '../ui/states';
import css from './explore.module.css';
import { Foot } from './Foot';
import type { Answer } from './measure';
import { useExplore } from './useExplore';

/** Whether an answer has nothing to show. */
export const empty = (a: Answer): boolean =>
  a.breakdown
    ? a.breakdown.rows.length === 0
    : a.funnel
      ? a.funnel.steps[0]?.reached === 0
      : a.series
        ? a.series.lines.every((l) => l.total === 0)
        : a.retention
          ? a.retention.cohorts.every((c) => c.cells[0] === 0)
          : a.paths?.users === 0;

/** The frame of a view: its chart when there is an answer, else why there is none. */
export function Frame(props: {
  title: string;
  about?: ReactNode;
  asked?: ReactNode;
  /** Stands beside the chart where there is room. */
  beside?: ReactNode;
  /** While nothing is asked yet. */
  unasked?: ReactNode;
  children: ReactNode;
}) {
  const { s, set, query, answer, pending, old, error, retry, save } = useExplore();
  const last = s.chips?.at(-1);
  const chart = !query ? (
    props.unasked
  ) : error && (!answer || old) ? (
    <Failure error={error} retry={retry} />
  ) : !answer ? (
    <div className={css.late}>
      <Loading rows={5} />
    </div>
  ) : empty(answer) ? (
    <Empty
      icon="explore"
      title="0 users"
      cause={
        last
          ? `Nobody who is left after “${last.words}” ${s.view ? 'did this in the time that is shown' : 'has a value here'}.`
          : 'Nobody did this in the time that is shown.'
      }
      action={
        last ? (
          <Button onClick={() => set({ chips: s.chips?.slice(0, -1) })}>
            Take “{last.words}” back
          </Button>
        ) : (
          <Button onClick={() => set({ range: { last: '12mo' } })}>
            Look at the last 12 months
          </Button>
        )
      }
    />
  ) : (
    props.children
  );
  return (
    <ChartCard
      title={props.title}
      about={props.about}
      asked={props.asked}
      table={s.table ?? false}
      onTable={(table) => set({ table: table || undefined }, true)}
      onSave={save}
      pending={pending}
      old={old}
      foot={answer && query && <Foot />}
    >
      <div className={props.beside ? css.halves : undefined}>
        {props.beside}
        <div>{chart}</div>
      </div>
    </ChartCard>
  );
}
