import { Link } from '@tanstack/react-router';
import css from './shell.module.css';

/** What is known: of events, and of users. */
export function DataTabs() {
  return (
    <nav className={css.tabs} aria-label="Events, streams, traits and dimensions">
      <Link to="/data/events">Events</Link>
      <Link to="/data/streams">Streams</Link>
      <Link to="/data/traits">Traits &amp; dimensions</Link>
    </nav>
  );
}
