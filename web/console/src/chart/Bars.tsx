import { count } from '../format/number';
import { Icon } from '../ui/Icon';
import css from './chart.module.css';
import { share } from './share';

export interface Bar {
  key: string;
  label: string;
  value: number;
  /** What is no value of its own: missing, or all others. */
  soft?: boolean;
}

/**
 * Horizontal bars with count and share. A click on a bar picks it; the button at its end leads to
 * the people behind it.
 */
export function Bars(props: {
  /** What the bars show, for who cannot see them. */
  label: string;
  bars: readonly Bar[];
  /** What the shares are of. */
  total: number;
  /** What is counted: users. */
  noun: string;
  /** Where little room is. */
  narrow?: boolean;
  onPick?: ((bar: Bar) => void) | undefined;
  onPeople?: ((bar: Bar) => void) | undefined;
}) {
  const { bars, total, noun, onPick, onPeople } = props;
  const top = Math.max(1, ...bars.map((b) => b.value));
  return (
    <ul
      className={`${css.bars} ${props.narrow ? css.narrow : ''}`}
      aria-label={props.label}
      data-testid="bars"
    >
      {bars.map((bar) => {
        const body = (
          <>
            <span className={css.name} title={bar.label}>
              {bar.label}
            </span>
            <svg viewBox="0 0 100 18" preserveAspectRatio="none" aria-hidden="true">
              <rect className={css.track} width="100" height="18" rx="1" />
              <rect
                className={bar.soft ? css.soft : css.fill}
                width={bar.value === 0 ? 0 : Math.max(0.4, (bar.value / top) * 100)}
                height="18"
                rx="1"
              />
            </svg>
            <span className={css.value}>{count(bar.value)}</span>
            <span className={css.share}>{share(bar.value, total)}</span>
          </>
        );
        const soft = bar.soft || undefined;
        return (
          <li key={bar.key} className={css.row} data-bar={bar.key}>
            {onPick ? (
              <button
                type="button"
                className={css.bar}
                data-soft={soft}
                onClick={() => onPick(bar)}
              >
                {body}
              </button>
            ) : (
              <div className={css.bar} data-soft={soft}>
                {body}
              </div>
            )}
            {onPeople && (
              <button
                type="button"
                className={css.people}
                aria-label={`See ${noun}: ${bar.label}, ${count(bar.value)}`}
                title={`See these ${count(bar.value)} ${noun}`}
                onClick={() => onPeople(bar)}
              >
                <Icon name="users" size={17} />
              </button>
            )}
          </li>
        );
      })}
    </ul>
  );
}
