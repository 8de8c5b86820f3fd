import { UnstyledButton } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { Fragment, memo, useState } from 'react';
import type { LiveEvent } from '../feed/store';
import { preciseTime, weekdayTime } from '../format/time';
import { eventLabel } from '../format/words';
import { Icon } from './Icon';
import { Json } from './Json';
import css from './rows.module.css';

/** Marks that turn the direction of all that follows: they would write the rest of the line backwards. */
const turns = /[\u202a-\u202e\u2066-\u2069]/g;

/** A few words of what an event carries. */
export function gist(event: LiveEvent): string {
  const parts: string[] = [];
  for (const [key, value] of Object.entries(event.properties ?? event.traits ?? {})) {
    if (value === null || typeof value === 'object') continue;
    parts.push(`${key}: ${String(value).replace(turns, '').slice(0, 40)}`);
    if (parts.length === 4) break;
  }
  if (parts.length === 0 && event.url) {
    try {
      const url = new URL(event.url);
      return url.pathname + url.hash;
    } catch {
      return event.url;
    }
  }
  return parts.join(' · ');
}

/** Whether an event came from this very browser, through the tracker of a page on this site. */
export function isMine(event: LiveEvent): boolean {
  try {
    const mine = localStorage.getItem('heed_id');
    return mine !== null && mine !== '' && event.anonymousId === mine;
  } catch {
    return false;
  }
}

/** Events, newest first, with the day above those that are not of today; a row opens to everything that the event holds. */
export function EventTable(props: {
  events: readonly LiveEvent[];
  withUser?: boolean;
  fresh?: boolean;
}) {
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggle = (id: string) =>
    setOpen((now) => {
      const next = new Set(now);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  return (
    <ul className={css.rows} data-testid="events">
      {props.events.map((event, i) => {
        const day = new Date(event.receivedAt).toDateString();
        const before = props.events[i - 1];
        const above = (before ? new Date(before.receivedAt) : new Date()).toDateString();
        return (
          <Fragment key={event.id}>
            {day !== above && (
              <li className={css.day} data-testid="day">
                {weekdayTime(new Date(event.receivedAt))}
              </li>
            )}
            <EventRow
              event={event}
              open={open.has(event.id)}
              toggle={toggle}
              withUser={props.withUser ?? false}
              fresh={props.fresh ?? false}
            />
          </Fragment>
        );
      })}
    </ul>
  );
}

const EventRow = memo(function EventRow(props: {
  event: LiveEvent;
  open: boolean;
  toggle: (id: string) => void;
  withUser: boolean;
  fresh: boolean;
}) {
  const { event, open, toggle, withUser, fresh } = props;
  const mine = withUser && isMine(event);
  return (
    <li
      className={css.row}
      data-mine={mine || undefined}
      data-fresh={fresh || undefined}
      data-id={event.id}
    >
      <div className={withUser ? css.lineUser : css.line}>
        <UnstyledButton
          className={css.open}
          aria-expanded={open}
          aria-label={`${open ? 'Hide' : 'Show'} everything about ${eventLabel(event.event)} at ${preciseTime(new Date(event.receivedAt))}`}
          onClick={() => toggle(event.id)}
        >
          <span className={css.turn} data-open={open || undefined}>
            <Icon name="chevron" size={14} />
          </span>
        </UnstyledButton>
        <time className={css.when} dateTime={event.receivedAt} title={event.receivedAt}>
          {preciseTime(new Date(event.receivedAt))}
        </time>
        <span className={css.name} title={event.event}>
          {eventLabel(event.event)}
        </span>
        {withUser && (
          <span className={css.who}>
            {mine && <span className={css.you}>You</span>}
            <Link
              to="/users/$id"
              params={{ id: event.user }}
              className={css.userLink}
              title={event.user}
            >
              {event.user}
            </Link>
          </span>
        )}
        <span className={css.gist}>
          {event.historical && <span className={css.tag}>imported</span>}
          {gist(event)}
        </span>
      </div>
      {open && (
        <div className={css.more}>
          <Json value={event} />
          {event.truncated && (
            <p className={css.note}>Properties or traits were too large to show here.</p>
          )}
        </div>
      )}
    </li>
  );
});
