import { UnstyledButton } from '@mantine/core';
import { count, plural } from '../format/number';
import { At } from '../ui/time';
import css from './explore.module.css';
import { isLive, rangeOf } from './state';
import { useExplore } from './useExplore';
import { rangeWords } from './words';

/** Of when the numbers are, in whose days, and what they leave out. */
export function Foot() {
  const { s, set, answer, zone, error, fixed } = useExplore();
  if (!answer) return null;
  const { bots, internal } = answer.excluded;
  const range = rangeOf(s);
  return (
    <span className={css.foot} data-testid="as-of">
      <span>
        {range ? `What happened ${rangeWords(range)}` : 'What users are'}, as of{' '}
        <At at={new Date(answer.asOf / 1000)} />
        {range && ` · days of ${s.zone ?? zone}`}
        {error
          ? ' · could not be refreshed; it is tried again'
          : isLive(s) && !s.open && ' · refreshed every 5 s'}
      </span>
      <span>
        {s.bots
          ? 'Bots are counted'
          : range
            ? `${plural(bots, 'event')} of bots left out`
            : 'Bots are left out'}{' '}
        {fixed === undefined && (
          <UnstyledButton
            className={css.inline}
            onClick={() => set({ bots: s.bots ? undefined : true })}
          >
            {s.bots ? 'Leave bots out' : 'Count bots'}
          </UnstyledButton>
        )}
      </span>
      <span>
        {s.internal
          ? 'Internal traffic is counted'
          : range
            ? `${count(internal)} internal left out`
            : 'Internal traffic is left out'}{' '}
        {fixed === undefined && (
          <UnstyledButton
            className={css.inline}
            onClick={() => set({ internal: s.internal ? undefined : true })}
          >
            {s.internal ? 'Leave internal out' : 'Count internal'}
          </UnstyledButton>
        )}
      </span>
    </span>
  );
}
