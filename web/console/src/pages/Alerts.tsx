import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useAlerts } from '../api/queries';
import { Icon } from '../ui/Icon';
import { Card } from '../ui/Page';
import { To } from '../ui/To';
import { Ago, AsOf } from '../ui/time';
import css from './home.module.css';

/** What is out of the ordinary, and what could not be looked at; nothing while all is as usual. */
export function Alerts() {
  const { data, error } = useAlerts();
  const alerts = data?.alerts ?? [];
  const notes =
    data?.notes ??
    (error && !data
      ? [`Whether anything is out of the ordinary is not known. ${messageOf(error)}`]
      : []);
  if (alerts.length + notes.length === 0) return null;
  return (
    <div id="alerts">
      <Card
        title={alerts.length > 0 ? 'Out of the ordinary' : 'Not everything is watched'}
        aside={data && <AsOf at={new Date(data.asOf)} />}
        flush
      >
        <ul className={css.list} data-testid="alerts">
          {alerts.map((a) => (
            <Alert key={`${a.kind} ${a.subject}`} alert={a} />
          ))}
          {[...new Set(notes)].map((note) => (
            <Note key={note} note={note} />
          ))}
        </ul>
      </Card>
    </div>
  );
}

function Note({ note }: { note: string }) {
  return (
    <li data-alert="note">
      <To href="/settings?tab=health" className={css.tourStep}>
        <span className={css.noteIcon}>
          <Icon name="alert" size={18} />
        </span>
        <span className={css.tourText}>
          <span className={css.hint}>{note}</span>
        </span>
        <Icon name="arrow" size={16} />
      </To>
    </li>
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
