import { Button, Progress, Switch, Text } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { useCrowd, useDemo, useHome, useLoadSample, useSample } from '../api/queries';
import { useMay } from '../api/session';
import { useLive } from '../feed/useFeed';
import { compact, plural, rate } from '../format/number';
import { clockTime, span } from '../format/time';
import { Icon } from '../ui/Icon';
import { Card, Page, Stat } from '../ui/Page';
import { Snippet } from '../ui/Snippet';
import { Sparkline } from '../ui/Sparkline';
import { Empty, Failure, Loading } from '../ui/states';
import { To } from '../ui/To';
import { AsOf } from '../ui/time';
import { Alerts } from './Alerts';
import css from './home.module.css';

type Step = Schema['HomeStep'];

const steps: Record<Step['id'], { title: string; todo: string }> = {
  send_event: { title: 'Send an event', todo: 'Paste the tag, or run the command' },
  see_user: { title: 'See a user', todo: 'They appear with the first event' },
  build_audience: { title: 'Build an audience', todo: 'Users by what they are and did' },
  connect_channel: { title: 'Connect a channel', todo: 'The Outbox works without any provider' },
  test: { title: 'Test it on yourself', todo: 'Tests never count in reports' },
  launch: { title: 'Launch', todo: 'Set a campaign to live' },
};

export default function Home() {
  const home = useHome();
  const { data } = home;
  return (
    <Page
      title="Home"
      lede="What is going on, and what to do next."
      actions={<AsOf at={data ? new Date(data.asOf) : undefined} />}
    >
      {data ? (
        <Body data={data} />
      ) : home.error ? (
        <Card>
          <Failure error={home.error} retry={home.refetch} />
        </Card>
      ) : (
        <Card>
          <Loading rows={9} />
        </Card>
      )}
    </Page>
  );
}

function Body({ data }: { data: Schema['Home'] }) {
  const { stats } = useLive();
  const { figures } = data;
  const started = data.checklist.some((s) => s.id === 'send_event' && s.done);
  const window = span(figures.activeUsersWindowSeconds);
  return (
    <div className={css.grid}>
      <div className={css.figures}>
        <Stat
          label="Events per second"
          value={rate(figures.eventsPerSecond)}
          hint={
            started && figures.newest
              ? `the newest at ${clockTime(new Date(figures.newest))}`
              : 'None: nothing has been sent yet'
          }
          chart={
            stats && (
              <Sparkline
                values={stats.perMinute.slice(-30)}
                height={26}
                label="Events in each of the last 30 minutes"
              />
            )
          }
        />
        <Stat
          label="Active users"
          value={compact(figures.activeUsers)}
          hint={
            figures.activeUsers > 0 ? `last ${window}` : `None did anything in the last ${window}`
          }
        />
        <Stat
          label="Live campaigns"
          value={compact(figures.liveCampaigns)}
          hint={
            figures.liveCampaigns > 0 ? (
              <Link to="/campaigns" className={css.link}>
                See them
              </Link>
            ) : (
              'None has the status live'
            )
          }
        />
        <Stat
          label="Failed deliveries"
          value={compact(figures.failures)}
          hint={
            figures.failures > 0
              ? 'last hour; see Live for reasons'
              : 'None failed in the last hour'
          }
        />
      </div>
      <Alerts />
      <div className={css.columns}>
        <div className={css.main}>
          {data.tour?.length ? <Tour tour={data.tour} /> : null}
          <FirstEvent data={data} started={started} />
        </div>
        <div className={css.side}>
          {data.demo && <CrowdSwitch />}
          <SampleShop />
          <Checklist steps={data.checklist} />
        </div>
      </div>
    </div>
  );
}

function Tour({ tour }: { tour: readonly Schema['TourLink'][] }) {
  return (
    <Card title="The tour" aside={<span className={css.aside}>about five minutes</span>} flush>
      <ol className={css.tour} data-testid="tour">
        {tour.map((step, i) => (
          <li key={step.title}>
            <To href={step.href} className={css.tourStep}>
              <span className={css.number} aria-hidden="true">
                {i + 1}
              </span>
              <span className={css.tourText}>
                <span className={css.tourTitle}>{step.title}</span>
                {step.text && <span className={css.hint}>{step.text}</span>}
              </span>
              <Icon name={/^(?:\/shop|https?:)/.test(step.href) ? 'external' : 'arrow'} size={16} />
            </To>
          </li>
        ))}
      </ol>
    </Card>
  );
}

function CrowdSwitch() {
  const demo = useDemo(true);
  const set = useCrowd();
  const may = useMay('marketer');
  const crowd = demo.data?.crowd;
  if (!crowd) return null;
  return (
    <Card title="Simulated shoppers">
      <Switch
        checked={set.isPending ? set.variables : crowd.running}
        onChange={(e) => set.mutate(e.currentTarget.checked)}
        disabled={!may}
        label={crowd.running ? 'The crowd is shopping' : 'The crowd is at home'}
        description={
          crowd.running
            ? [
                crowd.users && plural(crowd.users, 'shopper'),
                crowd.eventsPerSecond && `about ${rate(crowd.eventsPerSecond)} events/s`,
              ]
                .filter(Boolean)
                .join(', ') || 'They browse, buy and play so that Live has something to show'
            : 'Switch it on to see Live fill up'
        }
      />
    </Card>
  );
}

function SampleShop() {
  const { data: sample } = useSample();
  const load = useLoadSample();
  const may = useMay('marketer');
  if (!sample || sample.status === 'loaded') return null;
  const share = sample.of ? (100 * sample.done) / sample.of : 0;
  return (
    <Card title="Sample shop">
      {sample.status === 'loading' ? (
        <>
          <Text size="sm" mb="xs">
            14 months of history are being loaded:{' '}
            {sample.of ? `${compact(sample.done)} of ${plural(sample.of, 'event')}` : 'counting'}
          </Text>
          <Progress value={share} aria-label="Loading the sample shop" />
        </>
      ) : (
        <>
          <Text size="sm" mb="xs">
            {sample.status === 'failed'
              ? 'Loading the sample shop stopped; the log of the server says why. It goes on where it was.'
              : '14 months of visits, clicks and orders of people who do not exist, to explore with. Nothing of it fires a trigger.'}
          </Text>
          <Button
            variant="light"
            loading={load.isPending}
            disabled={!may}
            onClick={() => load.mutate()}
          >
            Load sample shop
          </Button>
        </>
      )}
    </Card>
  );
}

function Checklist({ steps: list }: { steps: readonly Step[] }) {
  const done = list.filter((s) => s.done).length;
  const next = list.find((s) => !s.done)?.id;
  return (
    <Card
      title="From zero to launch"
      aside={
        <span className={css.aside}>
          {done} of {list.length}
        </span>
      }
      flush
    >
      <ol className={css.list} data-testid="checklist">
        {list.map((step) => {
          const words = steps[step.id];
          const body = (
            <>
              <span className={css.tick} data-done={step.done || undefined}>
                {step.done && <Icon name="check" size={14} />}
              </span>
              <span className={css.tourText}>
                <span className={css.tourTitle}>
                  {words.title}
                  <span className={css.srOnly}>{step.done ? ' (done)' : ' (to do)'}</span>
                </span>
                <span className={css.hint}>{step.evidence || words.todo}</span>
              </span>
            </>
          );
          return (
            <li
              key={step.id}
              data-step={step.id}
              data-done={step.done}
              data-next={step.id === next || undefined}
            >
              {step.href ? (
                <To href={step.href} className={css.tourStep}>
                  {body}
                </To>
              ) : (
                <div className={css.tourStep}>{body}</div>
              )}
            </li>
          );
        })}
      </ol>
    </Card>
  );
}

function FirstEvent({ data, started }: { data: Schema['Home']; started: boolean }) {
  const { source } = data;
  return (
    <Card
      title={started ? 'Send more events' : 'Send the first event'}
      aside={source && <span className={css.aside}>source “{source.name}”</span>}
    >
      {!started && (
        <Empty
          waiting
          icon="live"
          title="Waiting for the first event"
          cause="Nothing has arrived yet. Paste the tag into a page, run the command below, or press a button on the test page; this turns by itself."
          action={
            <Button
              component="a"
              href="/test"
              target="_blank"
              rel="noreferrer"
              rightSection={<Icon name="external" size={16} />}
            >
              Open the test page
            </Button>
          }
        />
      )}
      {source ? (
        <div className={css.snippets}>
          <Snippet label="Tag for a web page" text={source.snippet} />
          <Snippet label="One event with curl" text={source.curl} />
          {started && (
            <Text size="sm" c="dimmed">
              Everything that arrives is on Live within a second.{' '}
              <Link to="/live" className={css.link}>
                Watch them arrive
              </Link>
            </Text>
          )}
        </div>
      ) : (
        <Text size="sm" c="dimmed">
          There is no source yet: apply a definition of kind source to get a write key.
        </Text>
      )}
    </Card>
  );
}
