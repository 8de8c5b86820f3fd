import { UnstyledButton } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useId, useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useExplanation, useTriggers } from '../api/queries';
import { list } from '../format/pattern';
import { eventLabel, outcomeWords } from '../format/words';
import { Icon } from './Icon';
import { Card } from './Page';
import { Steps } from './Sparkline';
import { Loading } from './states';
import { Ago, At } from './time';
import css from './ui.module.css';
import own from './userTriggers.module.css';

type Row = Schema['UserTrigger'];

/** Whether a row has anything to tell: progress, or what came of it. */
const says = (r: Row): boolean =>
  r.step > 0 || Boolean(r.firesAt || r.firings || r.lastFired || r.blockedUntil);

/** Where a user stands with each trigger, and why it did not fire. */
export function UserTriggers({
  user,
  rows,
  unknown,
}: {
  user: string;
  rows: readonly Row[];
  unknown?: string;
}) {
  const triggers = useTriggers();
  const [all, setAll] = useState(false);
  const busy = [...new Set(rows.filter(says).map((r) => r.trigger))];
  const idle = (triggers.data?.definitions ?? [])
    .map((t) => t.name)
    .filter((name) => !busy.includes(name));
  return (
    <Card title="Triggers" flush>
      {busy.length === 0 && (
        <p className={css.none}>
          {unknown
            ? `Where this user stands is not known at the moment: ${unknown}.`
            : 'No trigger has seen a first step of this user lately.'}
        </p>
      )}
      {busy.map((name) => (
        <One key={name} user={user} name={name} rows={rows.filter((r) => r.trigger === name)} />
      ))}
      {all && idle.map((name) => <One key={name} user={user} name={name} rows={[]} />)}
      {idle.length > 0 && !all && (
        <p className={css.foot}>
          <UnstyledButton className={css.link} onClick={() => setAll(true)} fz="sm">
            Why not the {idle.length === 1 ? 'other one' : `other ${idle.length}`}?
          </UnstyledButton>
        </p>
      )}
    </Card>
  );
}

function One({ user, name, rows }: { user: string; name: string; rows: readonly Row[] }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  return (
    <div className={css.progress} data-testid="user-trigger" data-trigger={name}>
      <div className={css.between}>
        <Link to="/triggers/$name" params={{ name }} className={own.name}>
          {name}
        </Link>
        <UnstyledButton
          className={own.why}
          aria-expanded={open}
          aria-controls={open ? id : undefined}
          aria-label={`Why: ${name}`}
          onClick={() => setOpen((now) => !now)}
        >
          Why?
          <span data-open={open || undefined}>
            <Icon name="chevron" size={13} />
          </span>
        </UnstyledButton>
      </div>
      {rows.map((row) => (
        <Where key={row.key ?? ''} row={row} />
      ))}
      {open && (
        <div id={id}>
          <Because user={user} name={name} />
        </div>
      )}
    </div>
  );
}

/** "2 of 3, waits for win until 14:03". */
function Where({ row }: { row: Row }) {
  const waits = list((row.waitsFor ?? []).map(eventLabel), 'or');
  const under = row.step > 0 || row.firesAt !== undefined;
  return (
    <div>
      {under && (
        <>
          <div className={css.titleLine}>
            <Steps reached={row.step} total={row.of} />
            {row.key && <span className={css.muted}>{row.key}</span>}
          </div>
          <div className={own.where}>
            <b>
              {row.step} of {row.of}
            </b>
            {row.firesAt ? (
              <>
                , fires at <At at={row.firesAt} />
                {waits && ` unless ${waits} comes first`}
              </>
            ) : (
              <>
                {waits && `, waits for ${waits}`}
                {row.expires && (
                  <>
                    {' until '}
                    <At at={row.expires} />
                  </>
                )}
              </>
            )}
          </div>
        </>
      )}
      {/* the server leaves out what it does not count */}
      {(row.firings || row.lastFired || row.blockedUntil) && (
        <div className={css.statHint}>
          {row.firings ? `Fired ${row.firings} ×` : row.lastFired ? 'Fired' : ''}
          {row.lastFired && (
            <>
              {', last '}
              <Ago at={row.lastFired} />
            </>
          )}
          {row.blockedUntil && (
            <>
              {row.firings || row.lastFired ? ' · blocked until ' : 'Blocked until '}
              <At at={row.blockedUntil} />
            </>
          )}
        </div>
      )}
    </div>
  );
}

const blocks: Record<string, string> = {
  once: 'It has fired, and fires once per user.',
  cooldown: 'It has fired, and rests until',
  limit: 'Its limit is reached until',
};

/** What became of the last chances. */
function Because({ user, name }: { user: string; name: string }) {
  const explanation = useExplanation(user, name);
  const { data } = explanation;
  if (explanation.error && !data) {
    return <p className={own.plain}>{messageOf(explanation.error)}</p>;
  }
  if (!data) return <Loading rows={2} />;
  return (
    <div className={own.because} data-testid="because">
      {data.rows.length === 0 && !data.blockedBy && (
        <p className={own.plain}>
          {data.inForce
            ? `No step is done: it waits for ${data.steps[0] ?? 'its first event'}.`
            : 'It is not in force any more.'}
        </p>
      )}
      {data.blockedBy && (
        <p className={own.plain}>
          {blocks[data.blockedBy]}
          {data.blockedUntil && data.blockedBy !== 'once' && (
            <>
              {' '}
              <At at={data.blockedUntil} />.
            </>
          )}
        </p>
      )}
      {data.notes.length === 0 ? (
        <p className={own.plain}>
          It has not fired for this user, and no chance is known that came to nothing.
        </p>
      ) : (
        <ul className={own.notes}>
          {data.notes.map((note) => (
            <li key={`${note.at} ${note.outcome} ${note.fireId ?? ''}`} data-outcome={note.outcome}>
              <Icon name={note.outcome === 'fired' ? 'bolt' : 'close'} size={14} />
              <span>
                {outcomeWords(note.outcome)}
                {note.event && ` (${eventLabel(note.event)})`}
                {note.key && ` for ${note.key}`}
                {note.outcome !== 'fired' && note.count > 1 && `, ${note.count} times so far`}
                {' · '}
                <At at={note.at} />
              </span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
