import { Link } from '@tanstack/react-router';
import { useBadEvents, useEventNames } from '../api/queries';
import { compact } from '../format/number';
import { eventLabel, sentence } from '../format/words';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Failure, Loading } from '../ui/states';
import { Ago, AsOf, At } from '../ui/time';
import css from '../ui/ui.module.css';

export default function Events() {
  const names = useEventNames();
  const list = [...(names.data?.names ?? [])].sort(
    (a, b) => b.count - a.count || a.name.localeCompare(b.name),
  );
  const top = Math.max(1, ...list.map((n) => n.count));
  return (
    <Page
      title="Data"
      lede="The events that arrive, found by themselves, and what was refused at the door."
      actions={<AsOf at={names.dataUpdatedAt || undefined} />}
    >
      <div className={css.twoColumns}>
        <Card
          title="Events"
          flush
          aside={
            names.data && (
              <span className={css.asOf}>
                since <At at={names.data.since} />
              </span>
            )
          }
        >
          {names.error && !names.data ? (
            <Failure error={names.error} retry={names.refetch} />
          ) : !names.data ? (
            <Loading />
          ) : list.length === 0 ? (
            <Empty
              waiting
              icon="events"
              title="No events yet"
              cause="Nothing has arrived since Heed started: no page or server sends to it."
              action={<LinkButton to="/">See how to send one</LinkButton>}
            />
          ) : (
            <ul className={rows.rows} data-testid="event-names">
              {list.map((name) => (
                <li key={name.name} className={rows.row}>
                  <Link to="/live" search={{ name: name.name }} className={rows.itemLink}>
                    <span className={rows.itemText}>
                      <span className={css.titleLine}>
                        <span className={rows.itemTitle}>{eventLabel(name.name)}</span>
                        {name.key && <span className={rows.tag}>key event</span>}
                        {!name.declared && !name.name.startsWith('heed.') && (
                          <span className={rows.tag}>discovered</span>
                        )}
                      </span>
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {name.description ??
                          (name.lastSeen ? (
                            <>
                              last seen <Ago at={name.lastSeen} />
                            </>
                          ) : (
                            'declared, never seen since the start'
                          ))}
                      </span>
                    </span>
                    <svg
                      viewBox="0 0 100 8"
                      width="110"
                      height="8"
                      preserveAspectRatio="none"
                      aria-hidden="true"
                    >
                      <rect
                        width={Math.max(name.count > 0 ? 1 : 0, (name.count / top) * 100)}
                        height="8"
                        rx="2"
                        fill="var(--heed-bar)"
                      />
                    </svg>
                    <b className={css.right} style={{ minWidth: 64 }}>
                      {compact(name.count)}
                    </b>
                  </Link>
                </li>
              ))}
            </ul>
          )}
        </Card>
        <Bad />
      </div>
    </Page>
  );
}

function Bad() {
  const bad = useBadEvents();
  const { data } = bad;
  return (
    <Card title="Refused" flush>
      {bad.error && !data ? (
        <Failure error={bad.error} retry={bad.refetch} />
      ) : !data ? (
        <Loading rows={3} />
      ) : data.events.length === 0 ? (
        <p className={css.none}>None: everything that arrived since the start could be read.</p>
      ) : (
        <ul className={rows.rows} data-testid="bad-events">
          {data.events.map((event, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: refusals have no id, and two can be alike
            <li key={`${event.at} ${i}`} className={rows.row}>
              <div className={css.progress}>
                <div className={css.between}>
                  <b>{sentence(event.reason)}</b>
                  <span className={css.asOf}>
                    <At at={event.at} />
                  </span>
                </div>
                <span className={css.statHint}>
                  {[event.event, event.source && `source ${event.source}`, event.protocol]
                    .filter(Boolean)
                    .join(' · ')}
                </span>
                {event.sample && <pre className={css.json}>{event.sample}</pre>}
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
