import { Button, UnstyledButton } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useId, useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useUserCampaigns } from '../api/queries';
import { dateTime } from '../format/time';
import { Icon } from './Icon';
import { Card } from './Page';
import { Loading } from './states';
import css from './ui.module.css';
import own from './userTriggers.module.css';

type Explanation = Schema['CampaignExplanation'];

/** How many are shown at first. */
const few = 6;

/** Whether it got as far as deciding about the user. */
const touched = (x: Explanation): number => (x.outcomes.length + x.waiting.length > 0 ? 1 : 0);

/** Why a user did, or did not, get each campaign. */
export function UserCampaigns({ user }: { user: string }) {
  const explained = useUserCampaigns(user);
  const { data } = explained;
  const [all, setAll] = useState(false);
  // what did reach them, or was kept from it, before what never had to do with them
  const sorted = (data?.campaigns ?? []).toSorted((a, b) => touched(b) - touched(a));
  return (
    <Card title="Campaigns" flush>
      {explained.error && !data ? (
        <p className={css.none}>{messageOf(explained.error)}</p>
      ) : !data ? (
        <Loading rows={3} />
      ) : data.campaigns.length === 0 ? (
        <p className={css.none}>There is no campaign yet.</p>
      ) : (
        sorted.slice(0, all ? sorted.length : few).map((x) => <One key={x.campaign} x={x} />)
      )}
      {!all && sorted.length > few && (
        <p className={css.foot}>
          <Button size="xs" variant="default" onClick={() => setAll(true)}>
            Show all {sorted.length} campaigns
          </Button>
        </p>
      )}
      {data && !data.complete && data.searchedTo && (
        <p className={css.foot}>Searched back to {dateTime(new Date(data.searchedTo))}.</p>
      )}
    </Card>
  );
}

function One({ x }: { x: Explanation }) {
  const [open, setOpen] = useState(false);
  const id = useId();
  const more = x.text.filter((t) => t !== x.answer);
  return (
    <div className={css.progress} data-testid="user-campaign" data-campaign={x.campaign}>
      <div className={css.between}>
        {x.status ? (
          <Link to="/campaigns/$name" params={{ name: x.campaign }} className={own.name}>
            {x.campaign}
          </Link>
        ) : (
          <b>{x.campaign}</b>
        )}
        {more.length > 0 && (
          <UnstyledButton
            className={own.why}
            aria-expanded={open}
            aria-controls={open ? id : undefined}
            aria-label={`Why: ${x.campaign}`}
            onClick={() => setOpen((now) => !now)}
          >
            Why?
            <span data-open={open || undefined}>
              <Icon name="chevron" size={13} />
            </span>
          </UnstyledButton>
        )}
      </div>
      <div className={own.where} data-got={x.got || undefined}>
        {x.answer}
      </div>
      {open && (
        <ul id={id} className={`${own.because} ${own.sentences}`} data-testid="campaign-because">
          {more.map((sentence, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: sentences may repeat, and the list is replaced as a whole
            <li key={i}>{sentence}</li>
          ))}
        </ul>
      )}
    </div>
  );
}
