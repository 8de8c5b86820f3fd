import { ActionIcon, NativeSelect, Progress, SegmentedControl } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { compact, plural } from '../format/number';
import { span } from '../format/time';
import { Icon } from '../ui/Icon';
import { Card } from '../ui/Page';
import { Sparkline } from '../ui/Sparkline';
import { AsOf, At } from '../ui/time';
import ui from '../ui/ui.module.css';
import type { Spec } from './spec';
import css from './trigger.module.css';
import { type Result, useBacktest } from './useBacktest';

/** What the trigger would have done lately, while it is edited. */
export function Rail(props: {
  name: string;
  /** Undefined while it cannot be asked about; why says why. */
  spec: Spec | undefined;
  why: string;
  /** It will be asked about in a moment. */
  waiting: boolean;
  campaigns: readonly string[];
}) {
  const [days, setDays] = useState(7);
  const [picked, setPicked] = useState<string>();
  const [again, setAgain] = useState(0);
  const campaign = picked ?? props.campaigns[0] ?? '';
  const test = useBacktest(
    props.spec && {
      trigger: props.spec as Schema['JSONObject'],
      name: props.name,
      days,
      preview: true,
      examples: 8,
      ...(campaign ? { campaign } : {}),
    },
    again,
  );
  const { result } = test;
  const pending = test.pending || (props.waiting && !props.spec);
  return (
    <Card
      title="On the past"
      flush
      aside={
        <SegmentedControl
          size="xs"
          aria-label="How far back"
          value={String(days)}
          onChange={(next) => setDays(Number(next))}
          data={[
            { value: '1', label: '1 d' },
            { value: '7', label: '7 d' },
            { value: '30', label: '30 d' },
          ]}
        />
      }
    >
      <div
        className={css.rail}
        data-testid="backtest"
        aria-busy={pending}
        data-stale={!test.current || undefined}
      >
        <Progress
          value={pending ? Math.max(6, test.share * 100) : 0}
          size={3}
          radius={0}
          aria-label="Reading the past"
          style={{ visibility: pending ? 'visible' : 'hidden' }}
        />
        <div className={css.railBody} role="status">
          {test.error ? (
            <>
              <p className={css.plain}>{messageOf(test.error)}</p>
              <Again on={() => setAgain((n) => n + 1)} />
            </>
          ) : !result ? (
            <p className={css.plain}>{props.spec ? 'Reading what users did …' : props.why}</p>
          ) : (
            <Figure result={result} stale={!test.current} why={props.spec ? '' : props.why} />
          )}
        </div>
      </div>
      {result && !test.error && (
        <>
          {props.campaigns.length > 1 && (
            <NativeSelect
              className={css.railPick ?? ''}
              size="xs"
              label="With the limits of"
              data={[...props.campaigns]}
              value={campaign}
              onChange={(e) => setPicked(e.currentTarget.value)}
            />
          )}
          <Details result={result} campaign={campaign} />
        </>
      )}
    </Card>
  );
}

function Again({ on }: { on: () => void }) {
  return (
    <ActionIcon variant="default" aria-label="Try again" onClick={on}>
      <Icon name="play" size={15} />
    </ActionIcon>
  );
}

/** The time that it covers: the log may not reach back as far as was asked for, unless the past was brought in. */
function since(r: Result): string {
  const from = Math.max(Date.parse(r.from), Date.parse(r.logFrom ?? r.asOf));
  if (!r.short || r.counts.old > 0) return `in ${plural(r.days, 'day')}`;
  return `in the last ${span((Date.parse(r.asOf) - from) / 1000)}, all that the log holds`;
}

function Figure(props: { result: Result; stale: boolean; why: string }) {
  const { result: r } = props;
  const about = r.exact ? '' : 'about ';
  return (
    <>
      <p className={css.figure} data-testid="backtest-figure" data-exact={r.exact}>
        would have fired{' '}
        <b>
          {about}
          {plural(r.firings, 'time')}
        </b>{' '}
        for <b>{plural(r.users, 'user')}</b> {since(r)}
      </p>
      <p className={ui.statHint}>
        {props.why
          ? props.why
          : props.stale
            ? 'Reading again …'
            : r.exact
              ? 'Exact, by the engine that decides live.'
              : `From ${Math.max(1, Math.round(r.share * 100))} % of the users; the exact figure follows.`}
      </p>
    </>
  );
}

function Details({ result: r, campaign }: { result: Result; campaign: string }) {
  const refused: [string, number][] = [
    ['over the trigger’s limit', r.refused.limit],
    ['not in the audience', r.refused.audience],
    ['cancelled before the answer', r.refused.cancelled],
  ];
  const fate: [string, number][] = r.campaign
    ? [
        ['in none of its audiences', r.campaign.audience],
        ['held back to measure lift', r.campaign.holdout],
        ['over its cap', r.campaign.cap],
        ['would be sent', r.campaign.sends],
      ]
    : [];
  return (
    <>
      {r.perDay.length > 1 && r.firings > 0 && (
        <div className={css.railPart}>
          <Sparkline
            values={r.perDay.map((d) => d.firings)}
            height={44}
            width={300}
            label={`Firings a day: ${r.perDay.map((d) => `${d.day} ${d.firings}`).join(', ')}`}
          />
          <div className={css.days}>
            <span>{r.perDay[0]?.day}</span>
            <span>{r.perDay.at(-1)?.day}</span>
          </div>
        </div>
      )}
      <Counts title="Matched, and did not fire" rows={refused.filter(([, n]) => n > 0)} />
      {r.campaign && <Counts title={`Of these, by ${campaign}`} rows={fate} />}
      <div className={css.railPart}>
        <h3 className={css.railTitle}>Who, lately</h3>
        {r.examples.length === 0 ? (
          <p className={css.plain}>
            Nobody: {compact(r.counts.events)} events were read, {compact(r.counts.matched)} of them
            of these names.
          </p>
        ) : (
          <ul className={css.examples} data-testid="backtest-examples">
            {r.examples.map((e) => (
              <li key={e.fire}>
                {/* beside the draft, not in its place */}
                <Link to="/users/$id" params={{ id: e.user }} target="_blank" className={ui.link}>
                  {e.user}
                </Link>
                {e.key && <span className={css.muted}>{e.key}</span>}
                <At at={e.at} />
              </li>
            ))}
          </ul>
        )}
      </div>
      {(r.notes?.length ?? 0) > 0 && (
        <ul className={css.notes}>
          {r.notes?.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
      <p className={ui.foot}>
        <AsOf range={`${compact(r.counts.events)} events`} at={new Date(r.asOf)} />
      </p>
    </>
  );
}

function Counts({ title, rows }: { title: string; rows: readonly [string, number][] }) {
  if (rows.length === 0) return null;
  return (
    <div className={css.railPart}>
      <h3 className={css.railTitle}>{title}</h3>
      <dl className={css.counts}>
        {rows.map(([label, n]) => (
          <div key={label}>
            <dt>{label}</dt>
            <dd>{compact(n)}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}
