import { useElementSize } from '@mantine/hooks';
import { type KeyboardEvent, useState } from 'react';
import { compact, count } from '../format/number';
import css from './chart.module.css';

export interface TimeLine {
  label: string;
  points: readonly number[];
  /** Over the whole range. */
  total: number;
}

/** The classes of the lines' colours. */
const colours = [css.line0, css.line1, css.line2, css.line3, css.line4];

/** Numbers below which the axis is drawn: 0, one in the middle, one above all. */
export function ticks(top: number): number[] {
  if (top <= 0) return [0, 1];
  const size = 10 ** Math.floor(Math.log10(top));
  const end = [1, 2, 4, 6, 8, 10].map((f) => f * size).find((n) => n >= top) ?? top;
  return end === 1 ? [0, 1] : [0, end / 2, end];
}

/**
 * Numbers over time: columns for one line, lines for several. Each point can be clicked, or
 * reached with the arrow keys.
 */
export function TimeChart(props: {
  label: string;
  lines: readonly TimeLine[];
  /** One per point, as the axis shows it, and in full. */
  buckets: readonly { short: string; full: string }[];
  noun: string;
  onPoint?: ((line: number, bucket: number) => void) | undefined;
  onLine?: ((line: number) => void) | undefined;
  /** The last bucket is not over. */
  partial?: boolean;
  height?: number;
}) {
  const { lines, buckets, noun, height = 240 } = props;
  const { ref, width } = useElementSize();
  const [at, setAt] = useState<{ line: number; bucket: number } | undefined>();
  const [stop, setStop] = useState({ line: 0, bucket: Math.max(0, buckets.length - 1) });
  const axis = ticks(Math.max(0, ...lines.flatMap((l) => l.points)));
  const top = axis.at(-1) ?? 1;
  // room for the longest number
  const left = 18 + 7.5 * Math.max(...axis.map((n) => compact(n).length));
  const bottom = 24;
  const inner = Math.max(0, width - left - 6);
  const step = inner / Math.max(1, buckets.length);
  const x = (i: number) => left + step * (i + 0.5);
  const y = (n: number) => 8 + (height - bottom - 8) * (1 - n / top);
  // as many labels as there is room for
  const every = Math.max(1, Math.ceil(58 / Math.max(1, step)));
  const columns = lines.length === 1;
  const soFar = (i: number) => props.partial === true && i === buckets.length - 1;
  const words = (line: number, i: number) =>
    `${buckets[i]?.full}: ${count(lines[line]?.points[i] ?? 0)} ${noun}${soFar(i) ? ' so far' : ''}${lines.length > 1 ? `, ${lines[line]?.label}` : ''}`;

  const press = (e: KeyboardEvent<SVGElement>, line: number, bucket: number) => {
    if (e.key === 'Enter' || e.key === ' ') {
      e.preventDefault();
      props.onPoint?.(line, bucket);
      return;
    }
    const [dx, dy] =
      {
        ArrowLeft: [-1, 0],
        ArrowRight: [1, 0],
        ArrowUp: [0, -1],
        ArrowDown: [0, 1],
        Home: [-buckets.length, 0],
        End: [buckets.length, 0],
      }[e.key] ?? [];
    if (dx === undefined || dy === undefined) return;
    e.preventDefault();
    const next = {
      line: Math.min(lines.length - 1, Math.max(0, line + dy)),
      bucket: Math.min(buckets.length - 1, Math.max(0, bucket + dx)),
    };
    setStop(next);
    e.currentTarget
      .closest('svg')
      ?.querySelector<SVGElement>(`[data-point="${next.line}-${next.bucket}"]`)
      ?.focus();
  };
  const stopAt = {
    line: Math.min(stop.line, lines.length - 1),
    bucket: Math.min(stop.bucket, buckets.length - 1),
  };

  return (
    <div className={css.time} data-testid="time-chart">
      <div className={css.readout} aria-hidden="true">
        {at && lines[at.line] && at.bucket < buckets.length ? (
          <>
            {buckets[at.bucket]?.full}: <b>{count(lines[at.line]?.points[at.bucket] ?? 0)}</b>{' '}
            {noun}
            {soFar(at.bucket) && ' so far'}
            {lines.length > 1 && ` · ${lines[at.line]?.label}`}
          </>
        ) : (
          `Point at a mark for its number; click it for its people${props.partial ? '. The pale one is not over yet' : ''}`
        )}
      </div>
      <div ref={ref} className={css.frame}>
        {/* biome-ignore lint/a11y/useSemanticElements: a drawing whose marks are buttons */}
        <svg
          className={css.plot}
          width={width}
          height={height}
          role="group"
          aria-label={`${props.label}. Arrow keys move between the points.`}
        >
          {axis.map((n) => (
            // biome-ignore lint/a11y/noAriaHiddenOnFocusable: it takes no focus
            <g key={n} aria-hidden="true">
              <line className={css.rule} x1={left} x2={width} y1={y(n)} y2={y(n)} />
              <text className={css.axis} x={left - 8} y={y(n) + 4} textAnchor="end">
                {compact(n)}
              </text>
            </g>
          ))}
          {buckets.map(
            (b, i) =>
              i % every === 0 && (
                // biome-ignore lint/a11y/noAriaHiddenOnFocusable: it takes no focus
                <text
                  // biome-ignore lint/suspicious/noArrayIndexKey: a bucket is its place in time
                  key={i}
                  className={css.axis}
                  x={x(i)}
                  y={height - 6}
                  textAnchor="middle"
                  aria-hidden="true"
                >
                  {b.short}
                </text>
              ),
          )}
          {!columns &&
            lines.map((line, l) => (
              <polyline
                key={line.label}
                className={`${css.stroke} ${colours[l % colours.length]}`}
                points={line.points.map((n, i) => `${x(i)},${y(n)}`).join(' ')}
              />
            ))}
          {lines.map((line, l) =>
            line.points.map((n, i) => (
              // biome-ignore lint/a11y/useSemanticElements: there is no button in a drawing
              <g
                // biome-ignore lint/suspicious/noArrayIndexKey: a point is its place
                key={`${l}-${i}`}
                role="button"
                className={`${css.mark} ${colours[l % colours.length]}`}
                data-point={`${l}-${i}`}
                tabIndex={l === stopAt.line && i === stopAt.bucket ? 0 : -1}
                aria-label={words(l, i)}
                onClick={() => props.onPoint?.(l, i)}
                onKeyDown={(e) => press(e, l, i)}
                onMouseEnter={() => setAt({ line: l, bucket: i })}
                onMouseLeave={() => setAt(undefined)}
                onFocus={() => setAt({ line: l, bucket: i })}
                onBlur={() => setAt(undefined)}
              >
                {columns ? (
                  <>
                    <rect
                      className={css.hit}
                      x={x(i) - step / 2}
                      y={0}
                      width={step}
                      height={height - bottom}
                    />
                    <rect
                      className={css.column}
                      x={x(i) - Math.min(28, step * 0.72) / 2}
                      y={n === 0 ? y(0) - 1 : Math.min(y(n), y(0) - 2)}
                      width={Math.max(1, Math.min(28, step * 0.72))}
                      height={n === 0 ? 1 : Math.max(2, y(0) - y(n))}
                      rx={Math.min(3, step / 6)}
                      opacity={n === 0 ? 0.35 : soFar(i) ? 0.5 : 1}
                    />
                  </>
                ) : (
                  <>
                    <circle className={css.hit} cx={x(i)} cy={y(n)} r={12} />
                    <circle
                      className={css.dot}
                      cx={x(i)}
                      cy={y(n)}
                      r={Math.max(1.5, Math.min(3.5, step / 5))}
                      opacity={soFar(i) ? 0.5 : 1}
                    />
                  </>
                )}
                {at?.line === l && at.bucket === i && (
                  // it comes and goes with the focus: a click that began on it would be lost
                  <circle
                    pointerEvents="none"
                    cx={x(i)}
                    cy={y(n)}
                    r={6}
                    fill="var(--heed-card)"
                    stroke="var(--heed-accent)"
                    strokeWidth={2.5}
                  />
                )}
              </g>
            )),
          )}
        </svg>
      </div>
      <ul className={css.legend} aria-label="Lines">
        {lines.map((line, l) => (
          <li key={line.label}>
            <button
              type="button"
              className={`${css.place} ${colours[l % colours.length]}`}
              data-line={l}
              onClick={() => props.onLine?.(l)}
            >
              <span className={css.swatch} aria-hidden="true" />
              <span>
                {line.label} – <b>{count(line.total)}</b> {noun}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
