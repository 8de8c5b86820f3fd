import { Link } from '@tanstack/react-router';
import { useAlerts } from '../api/queries';
import { plural } from '../format/number';
import { Icon } from '../ui/Icon';
import css from './shell.module.css';

/** How many things are out of the ordinary; nothing while all is as usual. */
export function AlertBadge() {
  const { data } = useAlerts();
  const n = data?.alerts.length ?? 0;
  if (n === 0) return null;
  return (
    <Link
      to="/"
      hash="alerts"
      className={css.alerts}
      aria-label={plural(n, 'alert')}
      title={data?.alerts.map((a) => a.title).join('\n')}
      data-testid="alert-badge"
    >
      <Icon name="alert" size={16} />
      {n}
    </Link>
  );
}
