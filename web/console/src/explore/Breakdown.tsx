import { type Bar, Bars } from '../chart/Bars';
import { share } from '../chart/share';
import { Table } from '../chart/Table';
import { Frame } from './Frame';
import type { Row } from './measure';
import { byOf, ofEvents } from './state';
import { useExplore } from './useExplore';
import { useDimensions } from './Views';
import { chipOf, dimensionAbout, dimensionTitle, valueWords } from './words';

/** In order of time or of the buckets where there is such an order, else as they came: by count. */
function ordered(by: string, rows: readonly Row[], buckets: readonly string[] | undefined): Row[] {
  const place = (r: Row): string | number => {
    const v = r.values[0];
    if (v === null || v === undefined) return Number.POSITIVE_INFINITY;
    return buckets ? buckets.indexOf(v) : v;
  };
  if (!buckets && !/^(?:acquisition[-.]|lastTouch\.)(month|week|day)$/.test(by)) return [...rows];
  return rows.toSorted((a, b) => {
    const [x, y] = [place(a), place(b)];
    if (x === y) return 0;
    // what is missing stands last
    if (x === Number.POSITIVE_INFINITY) return 1;
    if (y === Number.POSITIVE_INFINITY) return -1;
    return x < y ? -1 : 1;
  });
}

/** The buckets of a dimension, in their order; undefined if it has none. */
function useBuckets(by: string) {
  const defined = useDimensions();
  const spec = defined.data?.definitions.find((d) => d.name === by)?.spec;
  return {
    about: spec?.description,
    buckets:
      spec?.buckets?.map((b) => b.name) ??
      (by === 'engagement' ? ['low', 'medium', 'medium-high', 'high'] : undefined),
  };
}

/** Users by a dimension. */
export function Breakdown() {
  const { s } = useExplore();
  const by = byOf(s);
  const { about } = useBuckets(by);
  const title = dimensionTitle(by);
  return (
    <Frame
      title={`Users by ${title[0]?.toLowerCase()}${title.slice(1)}`}
      about={dimensionAbout(by, about)}
    >
      <BreakdownFigure />
    </Frame>
  );
}

/** The bars: a click narrows to a bar's users, and the sign beside it shows them. */
export function BreakdownFigure() {
  const { s, set, answer, open, fixed } = useExplore();
  const by = byOf(s);
  const { buckets } = useBuckets(by);
  const result = answer?.breakdown;
  const rows = ordered(by, result?.rows ?? [], buckets);
  const bars: (Bar & { values: (string | null)[]; other?: boolean })[] = rows.map((r) => ({
    key: JSON.stringify(r.values),
    label: valueWords(by, r.values[0] ?? null),
    value: r.count,
    values: r.values,
    soft: r.values[0] === null,
  }));
  if (result?.other) {
    bars.push({
      key: 'other',
      label: 'All others',
      value: result.other.count,
      // what a chip of all others is not
      values: rows.map((r) => r.values[0] ?? null),
      other: true,
      soft: true,
    });
  }
  const find = (bar: Bar) => bars.find((b) => b.key === bar.key);
  const pick = (bar: Bar) => {
    const found = find(bar);
    if (!found) return;
    set({ chips: [...(s.chips ?? []), chipOf(s, found.values, found.other ?? false)] });
  };
  const people = (bar: Bar) => {
    const found = find(bar);
    if (found) open(found.other ? { other: true } : { values: found.values }, found.value);
  };
  const title = dimensionTitle(by);
  return s.table ? (
    <Table
      label={`Users by ${title}`}
      head={[title, 'Users', 'Share']}
      rows={bars.map((bar) => ({
        key: bar.key,
        cells: [
          bar.label,
          { value: bar.value, label: bar.label, onClick: () => people(bar) },
          share(bar.value, result?.total ?? 0),
        ],
      }))}
    />
  ) : (
    <Bars
      label={`Users by ${title}`}
      bars={bars}
      total={result?.total ?? 0}
      noun={ofEvents(by) ? 'users who did it' : 'users'}
      narrow={fixed !== undefined}
      onPick={fixed === undefined ? pick : people}
      onPeople={fixed === undefined ? people : undefined}
    />
  );
}
