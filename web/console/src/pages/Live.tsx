import { Button, SegmentedControl, TextInput, Tooltip } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo, useRef, useState } from 'react';
import { type Live as LiveView, partly } from '../feed/store';
import { useFeedState, useLive } from '../feed/useFeed';
import { compact, rate } from '../format/number';
import { behind } from '../format/time';
import { eventLabel } from '../format/words';
import { Deliveries } from '../ui/Deliveries';
import { DeliveriesCsv } from '../ui/DeliveriesCsv';
import { EventsCsv } from '../ui/EventsCsv';
import { EventTable, gist } from '../ui/EventTable';
import { useSearched } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { Card, Page } from '../ui/Page';
import { TriggerFunnel } from '../ui/Progress';
import { Sparkline } from '../ui/Sparkline';
import { Empty, Loading } from '../ui/states';
import { AsOf, useNow } from '../ui/time';
import css from '../ui/ui.module.css';
import live from './live.module.css';

const shown = 100;

export default function Live() {
  const state = useFeedState();
  const now = useLive();
  const search = useSearch({ from: '/live' });
  const navigate = useNavigate({ from: '/live' });
  const [paused, setPaused] = useState<LiveView>();
  const view = paused ?? now;
  const mounted = useRef(Date.now());

  const [typed, type] = useSearched();
  const wanted = typed.trim().toLowerCase();
  const name = search.name;
  const matching = useMemo(
    () =>
      view.events.filter(
        (e) =>
          (!name || e.event === name) &&
          (!wanted ||
            `${e.event} ${e.user} ${e.source} ${e.url ?? ''} ${gist(e)}`
              .toLowerCase()
              .includes(wanted)),
      ),
    [view.events, wanted, name],
  );
  const deliveries = useMemo(
    () =>
      view.deliveries.filter(
        (d) => !wanted || `${d.user} ${d.campaign} ${d.status}`.toLowerCase().includes(wanted),
      ),
    [view.deliveries, wanted],
  );
  const only = (name: string | undefined) =>
    navigate({ search: (old) => ({ ...old, name }), replace: true });
  const missed = paused ? now.events.findIndex((e) => e.id === paused.events[0]?.id) : 0;
  const { stats } = view;
  const open = search.open ?? 'events';

  const names = (stats?.byName ?? []).slice(0, 12);
  const top = Math.max(0.001, ...names.map((n) => n.perSecond), names[0] ? 0 : 1);
  const stream = (
    <Card
      title="Events"
      flush
      aside={
        <span className={css.meta}>
          <span className={css.asOf}>
            {wanted || name
              ? `${compact(matching.length)} of the newest ${compact(view.events.length)}`
              : `newest ${Math.min(shown, view.events.length)}`}
            {stats && stats.dropped > 0 && (
              <Tooltip label="Too many came at once to show each; all of them are counted and stored">
                <span> · {compact(stats.dropped)} not shown</span>
              </Tooltip>
            )}
          </span>
          <EventsCsv events={matching} />
        </span>
      }
    >
      {state === 'connecting' && !stats ? (
        <Loading rows={8} label="Connecting" />
      ) : matching.length === 0 ? (
        view.events.length > 0 ? (
          <Empty
            icon="search"
            title="No match"
            cause={`None of the newest ${view.events.length} events match the filter.`}
            action={<Button onClick={() => type('', { name: undefined })}>Clear the filter</Button>}
          />
        ) : (
          <Empty
            waiting
            icon="live"
            title="Waiting for events"
            cause="Nothing has arrived since Heed started: no page or server sends to it yet."
            action={
              <Button onClick={() => navigate({ to: '/' })}>See how to send the first one</Button>
            }
          />
        )
      ) : (
        <EventTable
          events={matching.slice(0, shown)}
          withUser
          fresh={!paused && Date.now() - mounted.current > 1500}
        />
      )}
    </Card>
  );
  const rail = (
    <>
      <Card title="By event" flush aside={<span className={css.asOf}>per second, in all</span>}>
        {names.length === 0 ? (
          <p className={live.none}>No event has arrived yet.</p>
        ) : (
          <ul className={live.rates} data-testid="rates">
            {names.map((n) => (
              <li key={n.name}>
                <button
                  type="button"
                  className={live.rate}
                  aria-pressed={name === n.name}
                  onClick={() => only(name === n.name ? undefined : n.name)}
                  title={`Show only ${n.name}`}
                >
                  <span className={live.what}>{eventLabel(n.name)}</span>
                  <svg
                    viewBox="0 0 100 8"
                    preserveAspectRatio="none"
                    className={live.bar}
                    aria-hidden="true"
                  >
                    <rect
                      width={(n.perSecond / top) * 100}
                      height="8"
                      rx="2"
                      fill="var(--heed-bar)"
                    />
                  </svg>
                  <span className={live.num}>{rate(n.perSecond)}</span>
                  <span className={live.total}>{compact(n.count)}</span>
                </button>
              </li>
            ))}
          </ul>
        )}
      </Card>
      <Card title="Triggers" flush aside={<span className={css.asOf}>users under way</span>}>
        {view.progress && view.progress.partitions < view.progress.of && (
          <p className={live.none} role="status">
            {partly(view.progress)}
          </p>
        )}
        {view.progress?.triggers.length ? (
          view.progress.triggers.map((p) => <TriggerFunnel key={p.trigger} progress={p} />)
        ) : (
          <p className={live.none}>No trigger is in force: no campaign is live yet.</p>
        )}
      </Card>
      <Card title="Deliveries" flush aside={<DeliveriesCsv deliveries={deliveries} />}>
        {deliveries.length === 0 ? (
          <p className={live.none}>
            {wanted
              ? 'None matches the filter.'
              : 'Nothing was sent or refused yet: no trigger has fired.'}
          </p>
        ) : (
          <Deliveries deliveries={deliveries.slice(0, 30)} />
        )}
      </Card>
    </>
  );

  return (
    <Page
      title="Live"
      lede="Everything that arrives, and what Heed makes of it."
      actions={
        <>
          <Age view={view} paused={paused !== undefined} />
          <Button
            size="xs"
            variant={paused ? 'filled' : 'default'}
            leftSection={<Icon name={paused ? 'play' : 'pause'} size={14} />}
            onClick={() => setPaused(paused ? undefined : now)}
            aria-pressed={paused !== undefined}
          >
            {paused ? `Resume${missed > 0 ? ` (${missed} new)` : ''}` : 'Pause'}
          </Button>
        </>
      }
    >
      <div className={live.bandwidth}>
        <div className={`${css.card} ${live.strip}`}>
          <Figure
            label="events/s"
            value={stats ? rate(stats.eventsPerSecond) : '–'}
            hint="over 5 s"
          />
          <Figure
            label="active users"
            value={stats ? compact(stats.activeUsers) : '–'}
            hint="5 min, within 2 %"
          />
          <Figure label="failed" value={stats ? compact(stats.failures) : '–'} hint="last hour" />
          <div className={live.spark}>
            <Sparkline
              values={stats?.perMinute ?? []}
              height={40}
              width={240}
              label={`Events in each of the last 60 minutes; ${compact((stats?.perMinute ?? []).reduce((a, b) => a + b, 0))} in total`}
            />
            <span className={css.statHint}>events a minute, last hour</span>
          </div>
        </div>
      </div>
      <div className={live.filters}>
        <TextInput
          aria-label="Filter by event, user or property"
          placeholder="Filter by event, user or property"
          leftSection={<Icon name="search" size={16} />}
          value={typed}
          onChange={(e) => type(e.currentTarget.value)}
          className={live.filter}
        />
        {name && (
          <Button
            size="sm"
            variant="light"
            rightSection={<Icon name="close" size={14} />}
            onClick={() => only(undefined)}
            aria-label={`Stop showing only ${eventLabel(name)}`}
          >
            {eventLabel(name)}
          </Button>
        )}
      </div>
      <SegmentedControl
        className={live.switch}
        fullWidth
        mb="md"
        value={open}
        onChange={(next) =>
          navigate({
            search: (old) => ({ ...old, open: next === 'events' ? undefined : next }),
            replace: true,
          })
        }
        data={[
          { value: 'events', label: 'Events' },
          { value: 'rest', label: 'Triggers & deliveries' },
        ]}
        aria-label="What to show"
      />
      <div className={live.columns} data-open={open}>
        <div className={live.stream}>{stream}</div>
        <div className={live.rail}>{rail}</div>
      </div>
    </Page>
  );
}

function Figure({ label, value, hint }: { label: string; value: string; hint: string }) {
  return (
    <div>
      <div className={live.figure}>{value}</div>
      <div className={css.statHint}>
        {label} <span className={live.hint}>· {hint}</span>
      </div>
    </div>
  );
}

/** How far behind the view is, or since when it stands still. */
function Age({ view, paused }: { view: LiveView; paused: boolean }) {
  const now = useNow();
  const { stats } = view;
  if (!stats) return null;
  const at = new Date(stats.asOf);
  if (paused) return <AsOf range="paused" at={at} />;
  const late = Math.max(stats.behindMs, now.getTime() - at.getTime() - 1000);
  return (
    <span className={css.asOf} data-testid="behind">
      {behind(late)}
    </span>
  );
}
