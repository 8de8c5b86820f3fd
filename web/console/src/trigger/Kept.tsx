import { ActionIcon } from '@mantine/core';
import { Icon } from '../ui/Icon';
import css from './trigger.module.css';
import { lines } from './yaml';

/** What the sentence has no chips for: kept as it is, shown as its lines of YAML. */
export function Kept(props: {
  words?: string;
  part: Record<string, unknown>;
  remove?: (() => void) | undefined;
}) {
  return (
    <div className={css.kept} data-testid="kept">
      <div>
        {props.words && <span>{props.words} </span>}
        <span className={css.muted}>Kept as written; change it in YAML.</span>
        {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
        <pre tabIndex={0}>{lines(props.part).trimEnd()}</pre>
      </div>
      {props.remove && (
        <ActionIcon
          variant="subtle"
          aria-label="Remove these lines"
          onClick={props.remove}
          c="var(--heed-muted)"
        >
          <Icon name="close" size={15} />
        </ActionIcon>
      )}
    </div>
  );
}
