import { Link } from '@tanstack/react-router';
import css from './shell.module.css';

/** What belongs to campaigns: themselves, and what starts them. */
export function CampaignTabs() {
  return (
    <nav className={css.tabs} aria-label="Campaigns and triggers">
      <Link to="/campaigns">Campaigns</Link>
      <Link to="/triggers">Triggers</Link>
    </nav>
  );
}
