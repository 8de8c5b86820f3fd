import { Grid } from '../chart/Grid';
import { Table } from '../chart/Table';
import { ChoiceChip, PickChip, SwitchChip } from '../trigger/Chip';
import css from './explore.module.css';
import { Frame } from './Frame';
import { defaults, type Retention } from './state';
import { useExplore } from './useExplore';
import { useEvents } from './useNames';
import { bucketShort, bucketWords, doing, markWords } from './words';

/** Who comes back: a row for those who began in the same week, a column for each week after. */
export function RetentionView() {
  const { s, set } = useExplore();
  const { options } = useEvents();
  const r = s.retention ?? defaults.retention;
  const change = (next: Partial<Retention>) => set({ retention: { ...r, ...next } });
  const any = (what: string, value: string, pick: (event: string) => void) => (
    <PickChip
      what={what}
      value={value}
      label={doing(value)}
      options={[{ value: '*', label: 'anything' }, ...options]}
      placeholder="anything"
      search="Search events"
      set={(event) => pick(event === '*' ? '' : event)}
    />
  );
  return (
    <Frame
      title="Retention"
      about="of those who began in the same time, who came back later"
      asked={
        <div className={css.asked}>
          <div className={css.line}>
            <span>began with</span>
            {any('First event', r.first, (first) => change({ first }))}
            <span>came back with</span>
            {any('Return event', r.return, (back) => change({ return: back }))}
            <span>per</span>
            <ChoiceChip
              what="Unit"
              value={r.per as 'day' | 'week' | 'month'}
              choices={{ day: 'day', week: 'week', month: 'month' }}
              set={(per) => change({ per })}
            />
            <SwitchChip
              what="Unbounded"
              label="or at any time later"
              on={r.unbounded ?? false}
              set={(on) => change({ unbounded: on || undefined })}
            />
          </div>
        </div>
      }
    >
      <RetentionFigure />
    </Frame>
  );
}

/** The grid. */
export function RetentionFigure() {
  const { s, answer, open } = useExplore();
  const r = s.retention ?? defaults.retention;
  const cohorts = answer?.retention?.cohorts ?? [];
  const zone = answer?.zone ?? 'UTC';
  const width = Math.max(0, ...cohorts.map((c) => c.cells.length));
  const columns = Array.from({ length: width }, (_, i) => (i === 0 ? 'Users' : `${r.per} ${i}`));
  const at = (cohort: number, period: number) =>
    open({ cohort, ...(period > 0 ? { period } : {}) }, cohorts[cohort]?.cells[period]);
  const words = (cohort: number, period: number) =>
    markWords({ ...s, view: 'retention' }, { cohort, period }, answer);
  return (
    <>
      {s.table ? (
        <Table
          label="Retention"
          head={['Cohort', ...columns]}
          rows={cohorts.map((c, row) => ({
            key: `${c.start}`,
            cells: [
              bucketWords(c.start, r.per, zone),
              ...columns.map((_, i) => {
                const value = c.cells[i];
                return value === undefined
                  ? ''
                  : { value, label: words(row, i), onClick: () => at(row, i) };
              }),
            ],
          }))}
        />
      ) : (
        <Grid
          label="Retention"
          corner={`Began in the ${r.per} of`}
          columns={columns}
          rows={cohorts.map((c) => ({
            label: bucketShort(c.start, r.per, zone),
            cells: c.cells,
            partial: c.partial,
          }))}
          words={words}
          onCell={at}
        />
      )}
      {!s.table && (
        <p className={css.note}>A hatched cell is a {r.per} that is not over: it can still grow.</p>
      )}
    </>
  );
}
