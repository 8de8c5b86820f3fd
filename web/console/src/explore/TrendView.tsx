import { Table } from '../chart/Table';
import { TimeChart } from '../chart/TimeChart';
import { list } from '../format/pattern';
import { sentence } from '../format/words';
import { ChoiceChip, PickChip } from '../trigger/Chip';
import css from './explore.module.css';
import { Frame } from './Frame';
import type { Unit } from './measure';
import { SplitChip } from './SplitChip';
import { defaults, isLive, rangeOf, type Trend, unitOf } from './state';
import { useExplore } from './useExplore';
import { useEvents } from './useNames';
import { bucketShort, bucketWords, doing, lineWords } from './words';

const most = 5;

/** What users did over time: a line an event. */
export function TrendView() {
  const { s, set } = useExplore();
  const { options } = useEvents();
  const trend = s.trend ?? defaults.trend;
  const change = (next: Partial<Trend>) => set({ trend: { ...trend, ...next } });
  const per = unitOf(rangeOf(s) ?? {}, trend.per);
  const users = trend.count === 'users';
  return (
    <Frame
      title="Trend"
      about={users ? 'a user counts once in each' : 'every event counts'}
      asked={
        <div className={css.asked}>
          <div className={css.line}>
            <ChoiceChip
              what="Count"
              value={trend.count}
              choices={{ users: 'users', events: 'events' }}
              set={(count) => change({ count })}
            />
            <span>{users ? 'who did' : 'of'}</span>
            <PickChip
              what="Events"
              value={trend.events[0] ?? ''}
              several={trend.events}
              label={trend.events.length > 0 ? list(trend.events.map(doing), 'and') : 'anything'}
              options={options}
              placeholder="anything"
              search="Search events"
              set={(event) =>
                change({
                  events: trend.events.includes(event)
                    ? trend.events.filter((e) => e !== event)
                    : [...trend.events, event].slice(-most),
                })
              }
            />
            <span>per</span>
            <ChoiceChip
              what="Unit"
              value={per}
              choices={{
                minute: 'minute',
                hour: 'hour',
                day: 'day',
                week: 'week',
                month: 'month',
              }}
              set={(unit: Unit) => change({ per: unit })}
            />
            <SplitChip value={trend.by} events set={(by) => change({ by })} />
          </div>
        </div>
      }
    >
      <TrendFigure />
    </Frame>
  );
}

/** The lines. */
export function TrendFigure() {
  const { s, answer, open } = useExplore();
  const trend = s.trend ?? defaults.trend;
  const users = trend.count === 'users';
  const per = unitOf(rangeOf(s) ?? {}, trend.per);
  const result = answer?.series;
  const zone = answer?.zone ?? 'UTC';
  const lines = (result?.lines ?? []).map((line) => ({
    label: sentence(lineWords(trend, line)),
    points: line.points,
    total: line.total,
  }));
  const buckets = (result?.buckets ?? []).map((b) => ({
    short: bucketShort(b, per, zone),
    full: bucketWords(b, per, zone),
  }));
  // a mark that counts events says nothing of how many did them
  const people = (row: number, bucket?: number) => {
    const line = result?.lines[row];
    const n = bucket === undefined ? line?.total : line?.points[bucket];
    open({ row, ...(bucket === undefined ? {} : { bucket }) }, users ? n : undefined);
  };
  return s.table ? (
    <Table
      label="Trend"
      head={['Start', ...lines.map((l) => l.label)]}
      rows={buckets.map((b, i) => ({
        key: `${i}`,
        cells: [
          b.full,
          ...lines.map((l, row) => ({
            value: l.points[i] ?? 0,
            label: `${l.label}, ${b.full}`,
            onClick: () => people(row, i),
          })),
        ],
      }))}
    />
  ) : (
    <TimeChart
      label="Trend"
      lines={lines}
      buckets={buckets}
      noun={trend.count}
      partial={isLive(s)}
      onPoint={people}
      onLine={people}
    />
  );
}
