import { useFeedState } from '../feed/useFeed';
import css from './shell.module.css';

const words = { live: 'Live', connecting: 'Connecting', reconnecting: 'Reconnecting' } as const;

/** Whether what the pages show is kept up to date. */
export function LiveBadge() {
  const state = useFeedState();
  return (
    <span className={css.badge} role="status" aria-live="polite" data-testid="live-badge">
      <span className={css.beat} data-state={state} aria-hidden="true" />
      {words[state]}
    </span>
  );
}
