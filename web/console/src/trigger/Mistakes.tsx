import { Icon } from '../ui/Icon';
import type { Problem } from './spec';
import css from './trigger.module.css';

/** Mistakes, each in a line. */
export function Mistakes({ all }: { all: readonly { where?: string; message: string }[] }) {
  if (all.length === 0) return null;
  return (
    <div role="alert">
      <ul className={css.wrong}>
        {all.map(({ where, message }) => (
          <li key={`${where} ${message}`}>
            <Icon name="alert" size={14} />
            <span>
              {where && <code>{where} </code>}
              {message}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

/** A problem in words. */
export const wordsOf = (p: Problem): string => p.message + (p.hint ? ` (${p.hint})` : '');
