import type { Schema } from '../api/client';
import { useAlerts } from '../api/queries';
import { Icon } from '../ui/Icon';
import { Card } from '../ui/Page';
import { To } from '../ui/To';
import { Ago, AsOf } from '../ui/time';
import css from './home.module.css';

/** What is out of the ordinary; nothing while all is as usual. */
export function Alerts() {
  const { data } = useAlerts();
  if (!data || data.alerts.length === 0) return null;
  return (
    <div id="alerts">
      <Card title="Out of the ordinary" aside={<AsOf at={new Date(data.asOf)} />} flush>
        <ul className={css.list} data-testid="alerts">
          {data.alerts.map((a) => (
            <Alert key={`${a.kind} ${a.subject}`} alert={a} />
          ))}
        </ul>
      </Card>
    </div>
  );
}

function Alert({ alert }: { alert: Schema['Alert'] }) {
  return (
    <li data-alert={alert.kind}>
      <To href={alert.href} className={css.tourStep}>
        <span className={css.alertIcon}>
          <Icon name="alert" size={18} />
        </span>
        <span className={css.tourText}>
          <span className={css.tourTitle}>
            {alert.title}, since <Ago at={alert.since} />
          </span>
          <span className={css.hint}>
            {alert.detail} {alert.advice}
          </span>
        </span>
        <Icon name="arrow" size={16} />
      </To>
    </li>
  );
}
