import { Anchor, Button, SegmentedControl } from '@mantine/core';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import type { Schema } from '../api/client';
import { useTimeline, useUser } from '../api/queries';
import { merge } from '../feed/store';
import { useLive } from '../feed/useFeed';
import { dateTime, dayTime } from '../format/time';
import { Deliveries } from '../ui/Deliveries';
import { DeliveriesCsv } from '../ui/DeliveriesCsv';
import { EventsCsv } from '../ui/EventsCsv';
import { EventTable } from '../ui/EventTable';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { Empty, Failure, Loading } from '../ui/states';
import { Ago, AsOf } from '../ui/time';
import { UserCampaigns } from '../ui/UserCampaigns';
import { UserReach } from '../ui/UserReach';
import { UserTriggers } from '../ui/UserTriggers';
import css from '../ui/ui.module.css';

type UserView = Schema['User'];

export default function User() {
  const { id } = useParams({ from: '/users/$id' });
  const user = useUser(id);
  const { data } = user;
  const trait = (name: string) => {
    const value = data?.traits.find((t) => t.name === name)?.value;
    return typeof value === 'string' ? value : '';
  };
  // as the list of users calls them
  const title = trait('name') || `${trait('firstName')} ${trait('lastName')}`.trim() || id;
  return (
    <Page
      title={title}
      lede={
        data && (
          <>
            {title !== id && <span className={css.mono}>{id} · </span>}
            {data.movedTo ? (
              <>
                {'This turned out to be '}
                <Link to="/users/$id" params={{ id: data.movedTo }}>
                  {data.movedTo}
                </Link>
              </>
            ) : data.known ? (
              'Known user'
            ) : (
              'Anonymous: no identify call yet'
            )}
            {data.lastSeen && (
              <>
                {' · last seen '}
                <Ago at={data.lastSeen} />
              </>
            )}
          </>
        )
      }
      actions={
        <>
          {(data || !user.error) && <AsOf at={user.dataUpdatedAt || undefined} />}
          <LinkButton to="/users" variant="default" size="xs">
            All users
          </LinkButton>
        </>
      }
    >
      {user.error && !data ? (
        <Card>
          <Failure error={user.error} retry={user.refetch} />
        </Card>
      ) : (
        <div className={css.twoColumns}>
          <Timeline id={id} />
          <div className={css.stack}>
            {data ? (
              <>
                <UserCampaigns user={id} />
                <UserTriggers user={id} rows={data.triggers} unknown={data.triggersUnknown} />
                <UserReach id={id} />
                <Profile user={data} />
              </>
            ) : (
              <Card>
                <Loading />
              </Card>
            )}
          </div>
        </div>
      )}
    </Page>
  );
}

function Timeline({ id }: { id: string }) {
  const { show } = useSearch({ from: '/users/$id' });
  const navigate = useNavigate({ from: '/users/$id' });
  const timeline = useTimeline(id);
  const live = useLive();

  const pages = timeline.data?.pages;
  const items = useMemo(() => pages?.flatMap((page) => page.items) ?? [], [pages]);
  const events = useMemo(
    () =>
      merge(
        items.flatMap((i) => (i.event ? [i.event] : [])),
        live.events.filter((e) => e.user === id && !e.event.startsWith('heed.')).reverse(),
        (e) => e.receivedAt,
        // the log holds what was imported in the order of its import
      ).toSorted((a, b) => Date.parse(b.receivedAt) - Date.parse(a.receivedAt)),
    [items, live.events, id],
  );
  const deliveries = useMemo(
    () =>
      merge(
        items.flatMap((i) => (i.delivery ? [i.delivery] : [])),
        live.deliveries.filter((d) => d.user === id).reverse(),
        (d) => d.at,
      ),
    [items, live.deliveries, id],
  );
  const view = show ?? 'events';
  const last = pages?.at(-1);
  const shown = view === 'events' ? events : deliveries;
  return (
    <Card
      title="Timeline"
      flush
      aside={
        <span className={css.meta}>
          <SegmentedControl
            size="xs"
            value={view}
            aria-label="What to show"
            onChange={(next) =>
              navigate({
                search: { show: next === 'deliveries' ? 'deliveries' : undefined },
                replace: true,
              })
            }
            data={[
              { value: 'events', label: `Events ${events.length}` },
              { value: 'deliveries', label: `Deliveries ${deliveries.length}` },
            ]}
          />
          {view === 'events' ? (
            <EventsCsv events={events} />
          ) : (
            <DeliveriesCsv deliveries={deliveries} />
          )}
        </span>
      }
    >
      {timeline.error && !pages ? (
        <Failure error={timeline.error} retry={timeline.refetch} />
      ) : !pages ? (
        <Loading rows={8} />
      ) : shown.length === 0 ? (
        <Empty
          icon={view === 'events' ? 'events' : 'outbox'}
          title={view === 'events' ? 'No events found' : 'No deliveries'}
          cause={
            view === 'events'
              ? 'The log holds no event of this user in the time that was searched.'
              : 'No campaign has tried to reach this user in the time that was searched.'
          }
          action={
            timeline.hasNextPage ? (
              <Button
                onClick={() => timeline.fetchNextPage()}
                loading={timeline.isFetchingNextPage}
              >
                Look further back
              </Button>
            ) : (
              <LinkButton to="/live" search={{ q: id }}>
                Wait for the next one on Live
              </LinkButton>
            )
          }
        />
      ) : view === 'events' ? (
        <EventTable events={events} />
      ) : (
        <Deliveries deliveries={deliveries} withUser={false} />
      )}
      {pages && (
        <p className={css.foot} data-testid="searched">
          {last?.complete
            ? 'Nothing older is kept.'
            : last?.searchedTo
              ? `Searched back to ${dateTime(new Date(last.searchedTo))}.`
              : 'Searched as far as time allowed.'}
          {shown.length > 0 && timeline.hasNextPage && (
            <>
              {' '}
              <Anchor
                component="button"
                type="button"
                size="sm"
                underline="always"
                onClick={() => timeline.fetchNextPage()}
              >
                {timeline.isFetchingNextPage ? 'Looking…' : 'Look further back'}
              </Anchor>
            </>
          )}
        </p>
      )}
    </Card>
  );
}

function Profile({ user }: { user: UserView }) {
  const facts: [string, string | undefined][] = [
    ['User id', user.userId],
    ['Anonymous ids', user.anonymousIds.join(', ')],
    [
      'E-mail',
      user.email && `${user.email.value} (${user.email.verified ? 'verified' : 'not verified'})`,
    ],
    [
      'Phone',
      user.phone && `${user.phone.value} (${user.phone.verified ? 'verified' : 'not verified'})`,
    ],
    ['First seen', user.firstSeen && dayTime(new Date(user.firstSeen))],
    [
      'First touch',
      [user.acquisition.campaign, user.acquisition.source, user.acquisition.referrer]
        .filter(Boolean)
        .join(', '),
    ],
    [
      'Last touch',
      user.lastTouch.at &&
        `${[user.lastTouch.source, user.lastTouch.medium, user.lastTouch.campaign].filter(Boolean).join(', ')}, ${dayTime(new Date(user.lastTouch.at))}`,
    ],
    ['Country', user.country],
    ['Language', user.locale],
    ['Time zone', user.timezone],
    ['Device', [user.device, user.os, user.browser].filter(Boolean).join(', ')],
    ['Audiences', user.audiences.join(', ')],
  ];
  // what was said about consent has a card of its own
  const traits = user.traits.filter((t) => t.name !== 'consent');
  const known = facts.filter((f): f is [string, string] => !!f[1]);
  return (
    <>
      <Card title="Profile">
        {known.length === 0 ? (
          <span className={css.muted}>Nothing is known beyond the id.</span>
        ) : (
          <dl className={css.facts}>
            {known.map(([label, value]) => (
              <Fact key={label} label={label} value={value} />
            ))}
          </dl>
        )}
      </Card>
      <Card title="Traits">
        {traits.length === 0 ? (
          <span className={css.muted}>None: no identify call carried traits.</span>
        ) : (
          <dl className={css.facts}>
            {traits.map((trait) => (
              <Fact
                key={trait.name}
                label={trait.name}
                value={typeof trait.value === 'string' ? trait.value : JSON.stringify(trait.value)}
              />
            ))}
          </dl>
        )}
      </Card>
    </>
  );
}

function Fact({ label, value }: { label: string; value: string }) {
  return (
    <>
      <dt>{label}</dt>
      <dd>{value}</dd>
    </>
  );
}
