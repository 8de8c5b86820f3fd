import { ActionIcon } from '@mantine/core';
import { count } from '../format/number';
import { Icon } from '../ui/Icon';
import css from './explore.module.css';
import { type Query, stamp } from './measure';
import { chipQuery, isLive } from './state';
import { useExplore } from './useExplore';
import { useMeasure } from './useMeasure';

/** The walk so far: who is left after each step, exactly; each step can be taken back. */
export function Crumbs() {
  const { s, set } = useExplore();
  const chips = s.chips ?? [];
  return (
    <nav className={css.crumbs} aria-label="Who is explored">
      <ol>
        <Crumb words="All users" at={0} last={chips.length === 0} />
        {chips.map((chip, i) => (
          <Crumb
            // biome-ignore lint/suspicious/noArrayIndexKey: a step is its place in the walk
            key={i}
            words={chip.words}
            at={i + 1}
            last={i === chips.length - 1}
            remove={() => set({ chips: chips.filter((_, n) => n !== i) })}
          />
        ))}
      </ol>
    </nav>
  );
}

function Crumb(props: { words: string; at: number; last: boolean; remove?: () => void }) {
  const { s, set, zone, answer, old } = useExplore();
  const asked: Query = chipQuery(s, zone, props.at);
  // one time for everything on the page: that of the answer
  const at = s.open?.at ?? (old ? undefined : answer?.asOf);
  const left = useMeasure(at === undefined ? asked : { ...asked, asOf: stamp(at) }, {
    as: `crumb-${props.at}`,
    live: at === undefined && isLive(s),
  });
  const n = left.data?.users?.total;
  return (
    <li className={css.crumb} data-last={props.last || undefined}>
      {props.at > 0 && <Icon name="chevron" size={14} />}
      <span className={css.chip}>
        <button
          type="button"
          className={css.chipWords}
          title="See these people"
          disabled={!left.data}
          onClick={() =>
            left.data &&
            set({ open: { at: left.data.asOf, n: left.data.users?.total, chips: props.at } })
          }
        >
          {props.words}{' '}
          <b className={css.chipCount} data-old={left.isPlaceholderData || undefined}>
            {n === undefined ? '…' : count(n)}
          </b>
        </button>
        {props.remove && (
          <ActionIcon
            variant="subtle"
            size={26}
            aria-label={`Remove ${props.words}`}
            onClick={props.remove}
            c="inherit"
          >
            <Icon name="close" size={13} />
          </ActionIcon>
        )}
      </span>
    </li>
  );
}
