import { count } from '../format/number';
import css from './chart.module.css';
import { share } from './share';

export interface FunnelLevel {
  label: string;
  reached: number;
  stuck: number;
  progress: number;
}

export type Place = 'reached' | 'stuck' | 'progress';

/**
 * A funnel from top to bottom. Each level says how many reached it, how many are stuck at it and
 * how many can still get on; all three lead to their people.
 */
export function FunnelChart(props: {
  label: string;
  levels: readonly FunnelLevel[];
  /** Who is at a place of a level (from 1), in words. */
  words: (level: number, place: Place) => string;
  onPlace?: ((level: number, place: Place) => void) | undefined;
}) {
  const { levels, words, onPlace } = props;
  const first = levels[0]?.reached ?? 0;
  const top = Math.max(1, first);
  return (
    <ol className={css.funnel} aria-label={props.label} data-testid="funnel">
      {levels.map((level, i) => {
        const before = levels[i - 1];
        const last = i === levels.length - 1;
        const on = level.reached - level.stuck - level.progress;
        const width = (n: number) => (n / top) * 100;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a level is its place
          <li key={i} className={css.step} data-level={i + 1}>
            <button
              type="button"
              className={css.reached}
              data-place="reached"
              title={words(i + 1, 'reached')}
              onClick={() => onPlace?.(i + 1, 'reached')}
            >
              <span className={css.stepHead}>
                <span className={css.number}>{i + 1}</span>
                <span className={css.name}>{level.label}</span>
                <span>
                  <b className={css.value}>{count(level.reached)}</b>{' '}
                  <span className={css.of}>
                    {i === 0 ? 'users' : `${share(level.reached, first)} of all`}
                    {i > 1 && before && ` · ${share(level.reached, before.reached)} of level ${i}`}
                  </span>
                </span>
              </span>
              <svg viewBox="0 0 100 34" preserveAspectRatio="none" aria-hidden="true">
                <rect className={css.track} width="100" height="34" />
                <rect className={css.fill} width={width(last ? level.reached : on)} height="34" />
                {!last && (
                  <>
                    <rect
                      className={css.progress}
                      x={width(on)}
                      width={width(level.progress)}
                      height="34"
                    />
                    <rect
                      className={css.stuck}
                      x={width(on + level.progress)}
                      width={width(level.stuck)}
                      height="34"
                    />
                  </>
                )}
              </svg>
            </button>
            {!last && (
              <div className={css.after}>
                {(['stuck', 'progress'] as const).map((place) => (
                  <button
                    key={place}
                    type="button"
                    className={css.place}
                    data-place={place}
                    disabled={level[place] === 0}
                    onClick={() => onPlace?.(i + 1, place)}
                  >
                    <span className={css.swatch} data-of={place} aria-hidden="true" />
                    <span>
                      {words(i + 1, place)} – <b>{count(level[place])}</b>
                    </span>
                  </button>
                ))}
              </div>
            )}
          </li>
        );
      })}
    </ol>
  );
}
