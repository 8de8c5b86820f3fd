import { Alert, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { useBadEvents } from '../api/queries';
import { useStreams } from '../api/streams';
import { count, plural } from '../format/number';
import { sentence } from '../format/words';
import { Card } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Pill } from '../ui/Status';
import { Failure, Loading } from '../ui/states';
import { Ago } from '../ui/time';
import ui from '../ui/ui.module.css';

type State = Schema['StreamState'];

/** How a stream gets on, in a word. */
export function Health({ state }: { state: State }) {
  if (state.paused) return <Pill color="gray">paused</Pill>;
  if (state.error) return <Pill color="red">{state.lagAt ? 'waits' : 'not connected'}</Pill>;
  return <Pill color="teal">{state.lagAt ? 'follows' : 'connecting'}</Pill>;
}

/** How a saved stream fares: what was read, and how far it is behind. */
export function Standing({ name }: { name: string }) {
  const streams = useStreams();
  const state = streams.data?.streams.find((s) => s.name === name);
  return (
    <Card title="How it fares" aside={state && <Health state={state} />}>
      {state ? (
        <div className={ui.stack} data-testid="fares">
          {state.error && (
            <Alert
              color="red"
              variant="outline"
              title="It does not get on"
              styles={{ body: { color: 'var(--mantine-color-text)' } }}
            >
              {sentence(state.error)}
            </Alert>
          )}
          <dl className={ui.facts}>
            <dt>Behind</dt>
            <dd>
              {state.lagAt ? (
                <>
                  {state.lag === 0 ? 'Nothing waits' : plural(state.lag, 'message')},{' '}
                  <Ago at={new Date(state.lagAt)} />
                </>
              ) : (
                'Not known yet: the brokers have not been asked'
              )}
            </dd>
            <dt>Newest message</dt>
            <dd>
              {state.lastMessageAt ? (
                <Ago at={new Date(state.lastMessageAt)} />
              ) : (
                'None was read yet'
              )}
            </dd>
            <dt>A minute</dt>
            <dd>{plural(state.perMinute, 'message')}</dd>
            <dt>Became events</dt>
            <dd>{plural(state.taken, 'message')}</dd>
            <dt>Left out</dt>
            <dd>
              {[
                state.bad > 0 && `${count(state.bad)} bad`,
                state.empty > 0 && `${count(state.empty)} without a value`,
              ]
                .filter(Boolean)
                .join(', ') || 'None'}
            </dd>
          </dl>
        </div>
      ) : streams.error ? (
        <Failure error={streams.error} retry={streams.refetch} />
      ) : streams.data ? (
        'It was saved a moment ago.'
      ) : (
        <Loading rows={4} />
      )}
    </Card>
  );
}

/** The messages that were left out last, and why. */
export function LeftOut({ name }: { name: string }) {
  const bad = useBadEvents();
  const mine = bad.data?.events.filter((e) => e.source === name);
  return (
    <Card
      title="Left out lately"
      flush
      aside={
        <Text size="sm" component="span">
          <Link to="/data/events" className={ui.link}>
            All refused events
          </Link>
        </Text>
      }
    >
      {bad.error && !mine ? (
        <Failure error={bad.error} retry={bad.refetch} />
      ) : !mine ? (
        <Loading rows={2} />
      ) : mine.length === 0 ? (
        <p className={ui.none}>None of the newest refused events is of this stream.</p>
      ) : (
        <ul className={rows.rows} data-testid="left-out">
          {mine.map((event, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: they have no id, and two can be alike
            <li key={`${event.at} ${i}`} className={rows.row}>
              <div className={ui.progress}>
                <div className={ui.between}>
                  <b>{sentence(event.reason)}</b>
                  <span className={ui.asOf}>
                    <Ago at={new Date(event.at)} />
                  </span>
                </div>
                {event.sample && <pre className={ui.json}>{event.sample}</pre>}
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
