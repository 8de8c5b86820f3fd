import { Button, Drawer, Stack, UnstyledButton } from '@mantine/core';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { useOutbox, useOutboxMessage } from '../api/queries';
import { segmentWords } from '../sms/segments';
import { CsvButton } from '../ui/CsvButton';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Sandbox } from '../ui/Sandbox';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf, At } from '../ui/time';
import css from '../ui/ui.module.css';

/** The first words of a message. */
function teaser(message: Schema['OutboxMessage']): string {
  if (message.subject) return message.subject;
  const text = message.text ?? (message.html ?? '').replace(/<[^>]*>/g, ' ');
  return text.replace(/\s+/g, ' ').trim().slice(0, 140) || message.template;
}

export default function Outbox() {
  const outbox = useOutbox();
  const { open } = useSearch({ from: '/outbox' });
  const navigate = useNavigate({ from: '/outbox' });
  const pages = outbox.data?.pages;
  const list = pages?.flatMap((page) => page.messages) ?? [];
  return (
    <Page
      title="Outbox"
      lede="A mailbox inside Heed: what campaigns send here goes nowhere else, so the first send needs no provider."
      actions={
        <>
          <AsOf at={outbox.dataUpdatedAt || undefined} />
          <CsvButton
            name="outbox"
            head={['id', 'at', 'user', 'campaign', 'template', 'subject', 'test']}
            disabled={list.length === 0}
            rows={() =>
              list.map((m) => [m.id, m.at, m.user, m.campaign, m.template, m.subject, m.test])
            }
          />
        </>
      }
    >
      <Card flush label="Messages">
        {outbox.error && !pages ? (
          <Failure error={outbox.error} retry={outbox.refetch} />
        ) : !pages ? (
          <Loading />
        ) : list.length === 0 ? (
          <Empty
            icon="outbox"
            title="The outbox is empty"
            cause="Nothing has been sent yet by the channel “outbox”, or by one that is local. Sample history leaves no messages here."
            action={<LinkButton to="/campaigns">See the campaigns</LinkButton>}
          />
        ) : (
          <ul className={rows.rows} data-testid="outbox">
            {list.map((message) => (
              <li key={message.id} className={rows.row}>
                <UnstyledButton
                  className={rows.itemLink}
                  onClick={() => navigate({ search: { open: message.id } })}
                >
                  <span className={rows.itemText}>
                    <span className={css.titleLine}>
                      <span className={rows.itemTitle}>{teaser(message)}</span>
                      {message.test && <span className={rows.tag}>test</span>}
                    </span>
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      to {message.to || message.user}
                      {message.as ? ` as ${message.as}` : ''} · {message.campaign}
                    </span>
                  </span>
                  <span className={css.asOf}>
                    <At at={message.at} />
                  </span>
                </UnstyledButton>
              </li>
            ))}
          </ul>
        )}
        {outbox.hasNextPage && list.length > 0 && (
          <p className={css.foot}>
            <Button
              size="xs"
              variant="default"
              loading={outbox.isFetchingNextPage}
              onClick={() => outbox.fetchNextPage()}
            >
              Show older
            </Button>
          </p>
        )}
      </Card>
      <Drawer
        opened={open !== undefined}
        onClose={() => navigate({ search: {} })}
        position="right"
        size="lg"
        title="Message"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <Message id={open} />
      </Drawer>
    </Page>
  );
}

function Message({ id }: { id: string | undefined }) {
  const message = useOutboxMessage(id);
  const { data } = message;
  if (message.error && !data) return <Failure error={message.error} retry={message.refetch} />;
  if (!data) return <Loading />;
  return (
    <Stack>
      {data.as === 'sms' || data.as === 'push' ? (
        <div className={css.phone} data-testid="phone">
          <div className={css.phoneFrom}>to {data.to || data.user}</div>
          <div className={css.bubble}>{data.text}</div>
          {data.sms && <div className={css.phoneCount}>{segmentWords(data.sms)}</div>}
        </div>
      ) : data.html ? (
        <Sandbox html={data.html} title="The message as it was rendered" height={320} />
      ) : (
        <pre className={css.json}>{data.text}</pre>
      )}
      <dl className={css.facts}>
        {data.subject && (
          <>
            <dt>Subject</dt>
            <dd>{data.subject}</dd>
          </>
        )}
        <dt>To</dt>
        <dd>
          <Link to="/users/$id" params={{ id: data.user }} className={css.link}>
            {data.user}
          </Link>
          {data.to && data.to !== data.user ? `, ${data.to}` : ''}
        </dd>
        {data.channel && (
          <>
            <dt>Channel</dt>
            <dd>{data.channel}, which sends it nowhere else</dd>
          </>
        )}
        <dt>Campaign</dt>
        <dd>
          <Link to="/campaigns/$name" params={{ name: data.campaign }} className={css.link}>
            {data.campaign}
          </Link>
        </dd>
        <dt>Template</dt>
        <dd>{data.template}</dd>
        {data.trigger && (
          <>
            <dt>Trigger</dt>
            <dd>{data.trigger}</dd>
          </>
        )}
        <dt>Sent</dt>
        <dd>
          <At at={data.at} />
        </dd>
      </dl>
    </Stack>
  );
}
