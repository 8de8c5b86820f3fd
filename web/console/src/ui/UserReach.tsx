import type { Schema } from '../api/client';
import { useUserReach } from '../api/reach';
import { dayTime } from '../format/time';
import { channelType, reasonWords } from '../format/words';
import { Card } from './Page';
import { Pill } from './Status';
import { Suppressions } from './Suppressions';
import { Failure, Loading } from './states';
import css from './ui.module.css';

/** By which channels a user may be written to, what was said, and what keeps messages back. */
export function UserReach({ id }: { id: string }) {
  const reach = useUserReach(id);
  const { data } = reach;
  return (
    <Card title="May be written to" label="May be written to">
      {reach.error && !data ? (
        <Failure error={reach.error} retry={reach.refetch} />
      ) : !data ? (
        <Loading rows={3} />
      ) : (
        <div data-testid="reach">
          <dl className={css.facts}>
            {data.channels.map((c) => (
              <div key={c.channel} style={{ display: 'contents' }}>
                <dt>{c.channel}</dt>
                <dd>
                  <Answer label="Marketing" answer={c.marketing} />
                  <Answer label="Transactional" answer={c.transactional} />
                  {c.suppressions.length > 0 && <Suppressions list={c.suppressions} />}
                </dd>
              </div>
            ))}
          </dl>
          <p className={css.muted} style={{ margin: '0.75rem 0 0' }}>
            {data.statements.length === 0
              ? 'Nothing was said about consent.'
              : 'What was said about consent:'}
          </p>
          {data.statements.length > 0 && (
            <dl className={css.facts}>
              {data.statements.map((s) => (
                <div key={s.key} style={{ display: 'contents' }}>
                  <dt>{s.key === 'gpc' ? 'Global Privacy Control' : channelType(s.key).label}</dt>
                  <dd>{said(s)}</dd>
                </div>
              ))}
            </dl>
          )}
        </div>
      )}
    </Card>
  );
}

function Answer({ label, answer }: { label: string; answer: Schema['ReachAnswer'] }) {
  return (
    <div title={answer.sentence}>
      {label}{' '}
      {answer.allowed ? (
        <Pill color="teal">Yes</Pill>
      ) : (
        <>
          <Pill color="orange">No</Pill>{' '}
          <span className={css.muted}>{reasonWords(answer.reason)}</span>
        </>
      )}
    </div>
  );
}

/** A statement in words: state, source, wording and time. */
function said(s: Schema['ConsentStatement']): string {
  const state =
    s.key === 'gpc'
      ? s.state === 'granted'
        ? 'sent by the browser'
        : 'not sent'
      : {
          granted: 'given',
          refused: 'refused',
          unknown: 'not understood',
          pending: s.askedAt ? 'given, not confirmed yet' : 'given, not confirmed',
        }[s.state];
  const confirmed = s.confirmedAt
    ? `; confirmed ${dayTime(new Date(s.confirmedAt))} ${s.confirmedBy ?? ''}`.trimEnd()
    : '';
  // a yes of an import without a time is as old as time itself
  const at = s.at && new Date(s.at).getFullYear() > 1970 ? `, ${dayTime(new Date(s.at))}` : '';
  return `${state}${at}${s.source ? `, ${s.source}` : ''}${s.wording ? `: “${s.wording}”` : ''}${confirmed}`;
}
