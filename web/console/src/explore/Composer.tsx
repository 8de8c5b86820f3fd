import { Button, Checkbox, SegmentedControl, Stack, Textarea, TextInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf, Problem } from '../api/problem';
import {
  useAudiences,
  useCampaigns,
  useKind,
  usePreview,
  useReviewSend,
  useSend,
  useTemplates,
} from '../api/queries';
import { useMay } from '../api/session';
import { count, plural } from '../format/number';
import { reachWords, sentence } from '../format/words';
import { segmentsOf, segmentWords } from '../sms/segments';
import { Icon } from '../ui/Icon';
import { failed } from '../ui/notice';
import { Sandbox } from '../ui/Sandbox';
import ui from '../ui/ui.module.css';
import css from './explore.module.css';
import type { Node } from './measure';
import { useExplore } from './useExplore';
import { useMeasure } from './useMeasure';
import { suggest } from './words';

/** The outbox, which shows the message on a phone. */
const outboxSMS = 'outbox as sms';
const labels: Record<string, string> = {
  outbox: 'Outbox',
  [outboxSMS]: 'Outbox SMS',
  web: 'Web pop-up',
};

/** From so many people on, some are held back unless somebody says otherwise. */
const enoughToMeasure = 1000;
/** Beyond this share of all users, the number has to be typed. */
const many = 0.5;

/** The text of a message as the HTML of a pop-up. */
export const bodyOf = (text: string): string =>
  text
    .trim()
    .split(/\n{2,}/)
    .map((p) => p.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('\n', '<br>'))
    .map((p) => `<p>${p}</p>`)
    .join('\n');

/** The text of a message as an e-mail, with the link that marketing needs. */
export const letterOf = (text: string): string =>
  text.includes('unsubscribe_url')
    ? bodyOf(text)
    : `${bodyOf(text)}\n<p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>`;

/** A message to these people: written, reviewed, and sent once. */
export function Composer(props: { tree: Node; words: string; described: string; total: number }) {
  const { s, zone } = useExplore();
  const may = useMay('marketer');
  const channels = useKind<{ type: string }>('channel');
  const taken = [useAudiences(), useTemplates(), useCampaigns()].flatMap((q) =>
    (q.data?.definitions ?? []).map((d) => d.name),
  );
  const review = useReviewSend();
  const send = useSend();
  const [channel, setChannel] = useState('');
  const [subject, setSubject] = useState('');
  const [text, setText] = useState('');
  const [holdout, setHoldout] = useState(props.total >= enoughToMeasure);
  const [draft, setDraft] = useState<Schema['SendDraft'] & { id: string }>();
  const names = [
    ...new Set([
      'outbox',
      outboxSMS,
      'web',
      ...(channels.data?.definitions ?? []).map((c) => c.name),
    ]),
  ];
  const type =
    channels.data?.definitions.find((c) => c.name === channel)?.spec?.type ??
    (channel === outboxSMS ? 'sms' : channel);
  const sms = type === 'sms';
  const email = type === 'email';
  const reach = usePreview({ zone: s.zone ?? zone, ...props.tree });
  /** What was reviewed is no longer what would be sent. */
  const edited = () => {
    setDraft(undefined);
    review.reset();
    send.reset();
  };
  const ask = (held: boolean) => {
    const next = {
      id: crypto.randomUUID(),
      name: suggest(props.words, taken),
      description: props.described.slice(0, 500),
      zone: s.zone ?? zone,
      channel: channel === outboxSMS ? 'outbox' : channel,
      body: channel === 'web' ? bodyOf(text) : email ? letterOf(text) : text.trim(),
      holdout: held ? '10%' : '0%',
      ...(Object.keys(props.tree).length === 0 ? {} : { audience: props.tree }),
      ...(channel === 'web' ? { as: 'popup' } : channel === outboxSMS ? { as: 'sms' } : {}),
      ...(subject.trim() && channel !== 'web' && !sms ? { subject: subject.trim() } : {}),
    };
    setDraft(next);
    const { id: _, ...body } = next;
    review.mutate(body);
  };
  const ordering = useRef(false);
  const order = () => {
    // a second click may come before the button knows of the first
    if (!draft || !review.data || ordering.current) return;
    ordering.current = true;
    send.mutate(
      { ...draft, matched: review.data.matched },
      {
        onSettled: () => {
          ordering.current = false;
        },
        onError: (error) => {
          if (error instanceof Problem && error.code === 'drifted') ask(holdout);
          else failed('The message was not sent', error);
        },
      },
    );
  };
  if (send.data) return <Sent sent={send.data} channel={channel} />;
  return (
    <section className={css.composer} aria-label="Message these people" data-testid="composer">
      <h3 className={css.composerTitle}>
        <Icon name="campaign" size={17} /> Message these people
      </h3>
      <SegmentedControl
        size="xs"
        aria-label="Channel"
        style={{ overflowX: 'auto' }} // on a phone
        value={channel}
        data={names.map((value) => ({ value, label: labels[value] ?? sentence(value) }))}
        onChange={(next) => {
          setChannel(next);
          edited();
        }}
      />
      {reach.data && reach.data.reachable.length > 0 && (
        <p className={css.reach} data-testid="reachable">
          Reachable:{' '}
          {reach.data.reachable.map((r) => `${r.channel} ${reachWords(r, count)}`).join(' · ')}
        </p>
      )}
      {channel !== '' && (
        <Stack gap="sm">
          {channel !== 'web' && !sms && (
            <TextInput
              size="sm"
              label="Subject"
              value={subject}
              onChange={(e) => {
                setSubject(e.currentTarget.value);
                edited();
              }}
            />
          )}
          <Textarea
            label="Text"
            description={
              sms
                ? `${segmentWords(segmentsOf(text.trim()))}; fields may change that`
                : email
                  ? 'A link to unsubscribe and your postal address go below it'
                  : undefined
            }
            inputWrapperOrder={['label', 'input', 'description', 'error']}
            autosize
            minRows={3}
            maxRows={8}
            autoFocus
            placeholder="Hello {{ profile.traits.firstName | default: 'there' }}, …"
            value={text}
            onChange={(e) => {
              setText(e.currentTarget.value);
              edited();
            }}
          />
          {!draft || !review.data ? (
            <div className={css.line}>
              <Button
                size="xs"
                disabled={text.trim() === '' || (email && subject.trim() === '') || !may}
                loading={review.isPending}
                onClick={() => ask(holdout)}
              >
                Review
              </Button>
              {!may && <span className={css.hint}>It takes the role marketer to send.</span>}
              {review.error && (
                <span className={css.wrong} role="alert">
                  {messageOf(review.error)}
                </span>
              )}
            </div>
          ) : (
            <Review
              words={props.words}
              review={review.data}
              holdout={holdout}
              sending={send.isPending || review.isPending}
              drifted={send.error instanceof Problem && send.error.code === 'drifted'}
              onHoldout={(held) => {
                setHoldout(held);
                ask(held);
              }}
              onSend={order}
            />
          )}
        </Stack>
      )}
    </section>
  );
}

/** Whom it reaches and whom not, what one of them reads, and the button that sends. */
function Review(props: {
  words: string;
  review: Schema['SendReview'];
  holdout: boolean;
  sending: boolean;
  drifted: boolean;
  onHoldout: (held: boolean) => void;
  onSend: () => void;
}) {
  const { review } = props;
  const [typed, setTyped] = useState('');
  const everybody = useMeasure({ users: {} }).data?.users?.total ?? 0;
  const share = everybody > 0 ? review.matched / everybody : 0;
  const confirm = share > many && review.matched > 1;
  return (
    <div className={css.review} data-testid="review">
      {props.drifted && (
        <p className={css.drift} role="status">
          The number has changed since the review, so nothing was sent. These are the figures now.
        </p>
      )}
      <dl className={css.sums}>
        <div>
          <dt>Matched: {props.words}</dt>
          <dd data-testid="matched">{count(review.matched)}</dd>
        </div>
        {review.excluded.map((x) => (
          <div key={x.reason}>
            <dt title={x.sentence}>
              {x.reason === 'holdout' ? 'Held back to measure what it does' : sentence(x.sentence)}
            </dt>
            <dd>−{count(x.users)}</dd>
          </div>
        ))}
        <div className={css.sum}>
          <dt>Will get it</dt>
          <dd data-testid="sending">{count(review.sending)}</dd>
        </div>
      </dl>
      <Checkbox
        size="xs"
        label="Hold 10 % back to measure what the message does"
        checked={props.holdout}
        disabled={props.sending}
        onChange={(e) => props.onHoldout(e.currentTarget.checked)}
      />
      {review.preview && (
        <div>
          <div className={css.hint}>As {review.preview.user} would read it</div>
          {review.preview.error ? (
            <p className={css.wrong} role="alert">
              {review.preview.error}
            </p>
          ) : review.preview.body.includes('<') ? (
            <>
              {review.preview.subject && <b>{review.preview.subject}</b>}
              <Sandbox html={review.preview.body} title="The message" height={140} />
            </>
          ) : (
            <p className={css.letter}>
              {review.preview.subject && <b>{review.preview.subject}</b>}
              {review.preview.body}
            </p>
          )}
          {review.preview.missing.length > 0 && (
            <p className={css.hint}>
              Without a value for this user: {review.preview.missing.join(', ')}
            </p>
          )}
        </div>
      )}
      {confirm && (
        <TextInput
          size="xs"
          label={`That is ${Math.round(share * 100)} % of all users. Type ${review.sending} to confirm.`}
          value={typed}
          onChange={(e) => setTyped(e.currentTarget.value)}
        />
      )}
      <div className={css.line}>
        <Button
          size="sm"
          loading={props.sending}
          disabled={
            review.sending === 0 ||
            review.preview?.error !== undefined ||
            (confirm && typed.trim() !== `${review.sending}`)
          }
          // the second click of a double click must not confirm figures that came with the first one's answer
          onClick={(e) => e.detail < 2 && props.onSend()}
        >
          Send to {count(review.sending)}
        </Button>
        <span className={css.hint}>Once, to whoever is in it now.</span>
      </div>
    </div>
  );
}

function Sent({ sent, channel }: { sent: Schema['Sent']; channel: string }) {
  return (
    <section className={css.composer} role="status" data-testid="sent">
      <h3 className={css.composerTitle}>
        <Icon name="check" size={17} /> It is on its way to {plural(sent.users, 'user')}
      </h3>
      <div>
        The campaign{' '}
        <Link to="/campaigns/$name" params={{ name: sent.campaign }} className={ui.link}>
          {sent.campaign}
        </Link>{' '}
        counts what becomes of it
        {(channel === 'outbox' || channel === outboxSMS) && (
          <>
            ; the letters are in the{' '}
            <Link to="/outbox" className={ui.link}>
              Outbox
            </Link>
          </>
        )}
        .
      </div>
    </section>
  );
}
