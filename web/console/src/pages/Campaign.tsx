import { Button, Modal } from '@mantine/core';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import type { Schema } from '../api/client';
import {
  type Campaign as CampaignView,
  useDefinitions,
  useDeliveries,
  useReport,
  useSetStatus,
  useTriggers,
} from '../api/queries';
import { include, useIncluded, useSchedules } from '../api/sending';
import { useMay } from '../api/session';
import { limitWords, standing, startsOnEntering } from '../campaign/spec';
import { compact, plural } from '../format/number';
import { list, periodWords, startWords } from '../format/pattern';
import { dateTime } from '../format/time';
import { reasonWords, statusWords, waitWords } from '../format/words';
import { Deliveries } from '../ui/Deliveries';
import { DeliveriesCsv } from '../ui/DeliveriesCsv';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { done, failed } from '../ui/notice';
import { Card, Page } from '../ui/Page';
import { Status } from '../ui/Status';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf, At } from '../ui/time';
import css from '../ui/ui.module.css';
import { Achieved } from './Achieved';

export default function Campaign() {
  const { name } = useParams({ from: '/campaigns/$name' });
  const campaigns = useDefinitions<Schema['CampaignSpec']>('campaign');
  const campaign = campaigns.data?.definitions.find((c) => c.name === name);
  return (
    <Page
      title={name}
      heading={
        <span className={css.titleLine}>
          {name}
          {campaign && <Status status={standing(campaign.spec)} />}
        </span>
      }
      lede={campaign?.spec.description}
      actions={
        <>
          {campaign && <StatusButton campaign={campaign} />}
          {campaign && !campaign.spec.when.once && (
            <LinkButton to="/campaigns/$name/edit" params={{ name }} variant="default" size="xs">
              Edit
            </LinkButton>
          )}
          <LinkButton to="/campaigns" variant="default" size="xs">
            All campaigns
          </LinkButton>
        </>
      }
    >
      {campaigns.error && !campaigns.data ? (
        <Card>
          <Failure error={campaigns.error} retry={campaigns.refetch} />
        </Card>
      ) : !campaigns.data ? (
        <Card>
          <Loading />
        </Card>
      ) : !campaign ? (
        <Card>
          <Empty
            icon="campaign"
            title="No such campaign"
            cause={`No campaign is called “${name}”; it may have been deleted.`}
            action={<LinkButton to="/campaigns">See all campaigns</LinkButton>}
          />
        </Card>
      ) : (
        <div className={css.twoColumns}>
          <div className={css.stack}>
            <Achieved campaign={campaign} />
            <Results name={name} spec={campaign.spec} />
          </div>
          <Rules campaign={campaign} />
        </div>
      )}
    </Page>
  );
}

function StatusButton({ campaign }: { campaign: CampaignView }) {
  const set = useSetStatus();
  const may = useMay('marketer');
  const [asking, setAsking] = useState(false);
  const { status } = campaign.spec;
  const next = status === 'live' ? 'paused' : 'live';
  if (status === 'ended') return null;
  const label = status === 'live' ? 'Pause' : status === 'paused' ? 'Resume' : 'Launch';
  const why = campaign.readOnly
    ? 'This campaign is loaded from a folder at start; change it there'
    : may
      ? undefined
      : 'Your role cannot change campaigns';
  const turn = (then?: () => void) =>
    set.mutate(
      { campaign, status: next },
      {
        onSuccess: () => {
          done(
            next === 'paused'
              ? `${campaign.name} is paused. What waits is held until it is resumed.`
              : `${campaign.name} is ${next} now.`,
          );
          then?.();
        },
        onError: (error) => failed('Not changed', error),
      },
    );
  // who is in the audience already would never enter it
  const asks = status === 'draft' && startsOnEntering(campaign.spec);
  return (
    <>
      <Button
        size="xs"
        variant={status === 'live' ? 'default' : 'filled'}
        leftSection={<Icon name={status === 'live' ? 'pause' : 'play'} size={14} />}
        disabled={why !== undefined}
        title={why}
        loading={set.isPending}
        onClick={() => (asks ? setAsking(true) : turn())}
      >
        {label}
      </Button>
      {asks && (
        <Launch campaign={campaign} opened={asking} close={() => setAsking(false)} turn={turn} />
      )}
    </>
  );
}

/** Asks what is to become of those who are in the audience already. */
function Launch(props: {
  campaign: CampaignView;
  opened: boolean;
  close: () => void;
  turn: (then?: () => void) => void;
}) {
  const { name, spec } = props.campaign;
  const included = useIncluded(name, props.opened);
  const users = included.data?.users;
  const also = () => props.turn(() => void include(name, `launch-${props.campaign.version}`));
  const launch = (how: () => void) => () => {
    props.close();
    how();
  };
  return (
    <Modal
      opened={props.opened}
      onClose={props.close}
      title={`Launch ${name}?`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <p>
        It starts for every user who enters {spec.when.audience} from now on.{' '}
        {users === undefined
          ? 'Who is in it already would not get it.'
          : users === 0
            ? 'Nobody is in it at the moment.'
            : `${plural(users, 'user')} ${users === 1 ? 'is' : 'are'} in it already: they get it only if you include them.`}
      </p>
      <div className={css.buttons}>
        <Button onClick={launch(() => props.turn())} data-autofocus>
          Launch
        </Button>
        {users !== undefined && users > 0 && (
          <Button variant="default" onClick={launch(also)}>
            Launch, and include the {compact(users)} already in it
          </Button>
        )}
      </div>
    </Modal>
  );
}

/** Why a campaign has not begun with anybody. */
function noneYet({ status, when }: Schema['CampaignSpec']): string {
  if (status === 'draft')
    return 'None: it is a draft, which starts for nobody until it is launched.';
  if (when.once) return 'None yet: what was sent is still being worked off.';
  if (when.schedule) return 'None yet: it has not run since it went live.';
  if (when.stream) return `None yet: no message has come by ${when.stream} since it went live.`;
  if (when.audience)
    return `None yet: nobody has ${when.on === 'leave' ? 'left' : 'entered'} ${when.audience} since it went live.`;
  return 'None yet: the trigger has not fired since the campaign went live. Watch users get closer on Live.';
}

function Results({ name, spec }: { name: string; spec: Schema['CampaignSpec'] }) {
  const { status } = useSearch({ from: '/campaigns/$name' });
  const navigate = useNavigate({ from: '/campaigns/$name' });
  const report = useReport(name);
  const deliveries = useDeliveries({ campaign: name, ...(status ? { status } : {}) });
  const { data } = report;
  if (report.error && !data) {
    return (
      <Card>
        <Failure error={report.error} retry={report.refetch} />
      </Card>
    );
  }
  if (!data) {
    return (
      <Card>
        <Loading rows={8} />
      </Card>
    );
  }
  const pick = (next: Schema['DeliveryStatus']) =>
    navigate({ search: { status: status === next ? undefined : next }, replace: true });
  const steps: {
    status: Schema['DeliveryStatus'];
    count: number;
    none: string;
    hint?: string;
  }[] = [
    { status: 'sent', count: data.sent, none: 'See below why' },
    { status: 'shown', count: data.shown, none: 'No browser reported one yet' },
    {
      status: 'clicked',
      count: data.clicked,
      none: 'Nobody clicked yet',
      hint:
        data.machineClicked > 0
          ? `${compact(data.machineClicked)} more by scanners, not counted`
          : '',
    },
    { status: 'dismissed', count: data.dismissed, none: 'Nobody closed one yet' },
  ];
  const back = cameBack(data);
  const all = [...steps, ...back].sort((a, b) => order.indexOf(a.status) - order.indexOf(b.status));
  // What is opened or delivered elsewhere is not shown on a page.
  const onPage = ({ status, count }: { status: string; count: number }) =>
    count > 0 || back.length === 0 || !['shown', 'dismissed'].includes(status);
  const refused = data.outcomes.filter((o) => o.status !== 'sent' && o.count > 0);
  const items = deliveries.data?.deliveries ?? [];
  const begun = data.waiting.reduce((sum, w) => sum + w.count, data.activations);
  return (
    <div className={css.stack}>
      <Card
        title={`${compact(begun)} ${begun === 1 ? 'firing' : 'firings'}`}
        flush
        aside={
          <AsOf
            range={data.since ? `since ${dateTime(new Date(data.since))}` : ''}
            at={new Date(data.asOf)}
          />
        }
      >
        {begun === 0 ? (
          <p className={css.none}>{noneYet(spec)}</p>
        ) : (
          <>
            <ul className={css.funnel} data-testid="report">
              {all.filter(onPage).map((step) => (
                <Bar
                  key={step.status}
                  label={statusWords(step.status).label}
                  hint={step.count === 0 ? step.none : (step.hint ?? '')}
                  count={step.count}
                  of={begun}
                  pressed={status === step.status}
                  onClick={() => pick(step.status)}
                />
              ))}
              {refused.map((o) => (
                <Bar
                  key={`${o.status} ${o.reason}`}
                  label={statusWords(o.status).label}
                  hint={o.reason === 'unknown' ? unknownWords(data) : reasonWords(o.reason)}
                  count={o.count}
                  of={begun}
                  soft
                  pressed={status === o.status}
                  onClick={() => pick(o.status as Schema['DeliveryStatus'])}
                />
              ))}
              {data.waiting.map((w) => (
                <Bar
                  key={`waiting ${w.reason}`}
                  label={statusWords('waiting').label}
                  hint={waitWords(w.reason)}
                  count={w.count}
                  of={begun}
                  soft
                />
              ))}
            </ul>
            <p className={css.foot}>
              {compact(begun)} = {compact(data.sent)} sent
              {refused.map(
                (o) =>
                  ` + ${compact(o.count)} ${lower(reasonWords(o.reason) || statusWords(o.status).label)}`,
              )}
              {data.waiting.map(
                (w) => ` + ${compact(w.count)} waiting: ${lower(waitWords(w.reason))}`,
              )}
              {data.more && '. More waits than was counted'}
              {data.tests > 0 && `. Tests, counted nowhere: ${compact(data.tests)}`}
            </p>
          </>
        )}
      </Card>
      <Card
        title={status ? `${statusWords(status).label}: the newest` : 'The newest deliveries'}
        flush
        aside={<DeliveriesCsv deliveries={items} />}
      >
        {deliveries.error && !deliveries.data ? (
          <Failure error={deliveries.error} retry={deliveries.refetch} />
        ) : !deliveries.data ? (
          <Loading />
        ) : items.length === 0 ? (
          <p className={css.none}>None in what was searched.</p>
        ) : (
          <Deliveries deliveries={items} withCampaign={false} />
        )}
        {deliveries.data && (
          <p className={css.foot}>
            {deliveries.data.complete
              ? 'Nothing older is kept.'
              : deliveries.data.searchedTo
                ? `Searched back to ${dateTime(new Date(deliveries.data.searchedTo))}.`
                : `The newest ${items.length}.`}
          </p>
        )}
      </Card>
    </div>
  );
}

const lower = (words: string) => words.charAt(0).toLowerCase() + words.slice(1);

/** What of the deliveries that nobody knows about a receipt has settled since. */
function unknownWords({ unknownArrived, unknownBounced }: Schema['CampaignReport']): string {
  const known = [
    unknownArrived > 0 ? `${compact(unknownArrived)} did` : '',
    unknownBounced > 0 ? `${compact(unknownBounced)} did not` : '',
  ].filter((text) => text !== '');
  const words = reasonWords('unknown');
  return known.length > 0 ? `${words}. Receipts said since: ${known.join(', ')}` : words;
}

/** What becomes of a message, in the order in which it happens. */
const order: Schema['DeliveryStatus'][] = [
  'sent',
  'delivered',
  'shown',
  'opened',
  'clicked',
  'dismissed',
  'bounced',
  'complained',
  'unsubscribed',
];

/** What came back of messages that went to addresses; nothing of other campaigns. */
function cameBack(data: Schema['CampaignReport']) {
  const machines = (n: number) =>
    n > 0 ? `${compact(n)} more by scanners and proxies, not counted` : '';
  const steps: {
    status: Schema['DeliveryStatus'];
    count: number;
    none: string;
    hint?: string;
  }[] = [
    { status: 'delivered', count: data.delivered, none: '' },
    {
      status: 'opened',
      count: data.opened,
      none: machines(data.machineOpened),
      hint: machines(data.machineOpened),
    },
    { status: 'bounced', count: data.bounced, none: '' },
    { status: 'complained', count: data.complained, none: '' },
    { status: 'unsubscribed', count: data.unsubscribed, none: '' },
  ];
  return steps.filter((s) => s.count > 0 || s.none !== '');
}

function Bar(props: {
  label: string;
  hint?: string;
  count: number;
  of: number;
  soft?: boolean;
  pressed?: boolean;
  onClick?: () => void;
}) {
  const share = props.of > 0 ? (props.count / props.of) * 100 : 0;
  return (
    <li>
      <button
        type="button"
        aria-pressed={props.pressed}
        disabled={!props.onClick}
        onClick={props.onClick}
      >
        <span>
          {props.label}
          {props.hint && (
            <span className={css.statHint} style={{ display: 'block' }}>
              {props.hint}
            </span>
          )}
        </span>
        <svg viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">
          <rect width="100" height="14" rx="1.500" fill="var(--heed-hover)" />
          <rect
            width={share}
            height="14"
            rx="1.500"
            fill={props.soft ? 'var(--heed-bar-soft)' : 'var(--heed-bar)'}
            stroke={props.soft ? 'var(--heed-bar)' : 'none'}
            strokeWidth="0.500"
          />
        </svg>
        <b className={css.right}>{compact(props.count)}</b>
        <span className={`${css.right} ${css.muted}`}>
          {share < 1 && share > 0 ? '< 1' : Math.round(share)} %
        </span>
      </button>
    </li>
  );
}

function Rules({ campaign }: { campaign: CampaignView }) {
  const triggers = useTriggers();
  const { spec } = campaign;
  const trigger = triggers.data?.definitions.find((t) => t.name === spec.when.trigger);
  const schedules = useSchedules(Boolean(spec.when.schedule));
  const schedule = schedules.data?.schedules.find((s) => s.campaign === campaign.name);
  const facts: [string, ReactNode][] = [
    ['When', startWords(spec.when, trigger)],
    ['Who', spec.who?.length ? list(spec.who, 'or') : 'Everybody'],
    [
      'What',
      spec.what.map((v) => (
        <span key={`${v.channel} ${v.template}`} style={{ display: 'block' }}>
          {v.template ? (
            <Link to="/templates" search={{ open: v.template }} className={css.link}>
              {v.template}
            </Link>
          ) : (
            'Its usual document'
          )}{' '}
          by {v.channel}
        </span>
      )),
    ],
    ...limitWords(spec),
    ...(schedule
      ? ([
          [
            'Next run',
            schedule.next ? dateTime(new Date(schedule.next)) : 'Not while it is not live',
          ],
          [
            'Last run',
            schedule.last
              ? `${dateTime(new Date(schedule.last))}, for ${plural(schedule.users, 'user')}`
              : 'None yet',
          ],
          ...(schedule.missed > 0
            ? [['Missed', `${plural(schedule.missed, 'run')}, in outages`] as [string, ReactNode]]
            : []),
        ] as [string, ReactNode][])
      : []),
    ['Goal', spec.goal ? `${spec.goal.event} within ${periodWords(spec.goal.within)}` : 'None'],
    [
      'Changed',
      <>
        <At at={campaign.at} /> by {campaign.author}, version {campaign.version}
      </>,
    ],
  ];
  return (
    <Card title="How it works">
      <dl className={css.facts}>
        {facts.map(([label, value]) => (
          <div key={label} style={{ display: 'contents' }}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {campaign.readOnly && (
        <p className={css.statHint}>Loaded from a folder at start; change it there.</p>
      )}
    </Card>
  );
}
