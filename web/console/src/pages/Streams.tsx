import { Link } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { useMay } from '../api/session';
import { useStreams } from '../api/streams';
import { count, plural } from '../format/number';
import { DataTabs } from '../shell/DataTabs';
import { Health } from '../stream/Standing';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Failure, Loading } from '../ui/states';
import { Ago } from '../ui/time';

type State = Schema['StreamState'];

/** Other people's Kafka topics as a source. */
export default function Streams() {
  const streams = useStreams();
  const may = useMay('admin');
  const add = may && (
    <LinkButton to="/new/stream" size="xs" leftSection={<Icon name="plus" size={14} />}>
      Connect Kafka
    </LinkButton>
  );
  return (
    <Page
      title="Data"
      lede="Kafka topics of others: each message is an event that triggers, audiences and templates can use."
      actions={add}
    >
      <DataTabs />
      <Card title="Streams" flush>
        {streams.error && !streams.data ? (
          <Failure error={streams.error} retry={streams.refetch} />
        ) : !streams.data ? (
          <Loading />
        ) : streams.data.streams.length === 0 ? (
          <Empty
            icon="events"
            title="No stream yet"
            cause="Registrations, orders or contracts in a Kafka topic can start campaigns."
            action={add}
          />
        ) : (
          <ul className={rows.rows} data-testid="streams">
            {streams.data.streams.map((s) => (
              <li key={s.name} className={rows.row}>
                <Link to="/data/streams/$name" params={{ name: s.name }} className={rows.itemLink}>
                  <span className={rows.itemText}>
                    <span className={rows.itemTitle}>{s.name}</span>
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      {s.topic} · <Fares state={s} />
                    </span>
                  </span>
                  <Health state={s} />
                  <Icon name="chevron" size={16} />
                </Link>
              </li>
            ))}
          </ul>
        )}
      </Card>
    </Page>
  );
}

/** What it did lately, in words. */
function Fares({ state: s }: { state: State }) {
  return (
    <>
      {s.lastMessageAt ? (
        <>
          newest message <Ago at={new Date(s.lastMessageAt)} />
        </>
      ) : (
        'no message yet'
      )}
      {s.perMinute > 0 && ` · ${count(s.perMinute)} a minute`}
      {` · ${s.lag === 0 ? 'nothing waits' : `${plural(s.lag, 'message')} behind`}`}
      {s.bad > 0 && ` · ${count(s.bad)} bad`}
    </>
  );
}
