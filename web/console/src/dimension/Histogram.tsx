import { plural } from '../format/number';
import css from './dimension.module.css';
import { type Bin, type Bucket, bucketAt } from './spec';

const height = 100;

/** How many users have which numbers, coloured by the bucket that they fall into. */
export function Histogram(props: { bins: readonly Bin[]; buckets: readonly Bucket[] }) {
  const { bins, buckets } = props;
  const first = bins[0];
  const last = bins.at(-1);
  if (!first || !last) return null;
  const top = Math.max(1, ...bins.map((b) => b.users));
  const width = 100 / bins.length;
  const place = (n: number) => ((n - first.from) / (last.below - first.from)) * 100;
  const cuts = [...new Set(buckets.flatMap((b) => [b.from, b.below]))].filter(
    (n): n is number => n !== undefined && n > first.from && n < last.below,
  );
  const most = bins.reduce((a, b) => (b.users > a.users ? b : a));
  const whole = bins.every((b) => b.below - b.from === 1);
  const range = (b: Bin) => (whole ? `${b.from}` : `${b.from} to under ${b.below}`);
  return (
    <div data-testid="histogram">
      <svg
        className={css.histogram}
        viewBox={`0 0 100 ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`Users by number, from ${first.from} to ${whole ? last.from : last.below}: most, ${plural(most.users, 'user')}, have ${range(most)}`}
      >
        {bins.map((b, i) => {
          const h = b.users === 0 ? 0 : Math.max(1.5, (b.users / top) * height);
          return (
            <rect
              key={b.from}
              className={css.bin}
              data-bucket={bucketAt(buckets, b.from) ?? 'none'}
              x={i * width + width * 0.06}
              y={height - h}
              width={width * 0.88}
              height={h}
            >
              <title>{`${range(b)}: ${plural(b.users, 'user')}`}</title>
            </rect>
          );
        })}
        {cuts.map((n) => (
          <line key={n} className={css.cut} x1={place(n)} x2={place(n)} y1={-4} y2={height} />
        ))}
      </svg>
      <div className={css.axis} aria-hidden="true">
        <span>{first.from}</span>
        <span>{whole ? last.from : last.below}</span>
      </div>
    </div>
  );
}
