import { Button, Checkbox, Stack, Textarea, TextInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useRef, useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf, Problem } from '../api/problem';
import {
  useAudiences,
  useCampaigns,
  useDeleteDefinition,
  useKind,
  usePreview,
  useReviewSend,
  useSaveDefinition,
  useSend,
  useTemplates,
} from '../api/queries';
import { useMay } from '../api/session';
import { count, plural } from '../format/number';
import { reachWords, sentence } from '../format/words';
import { segmentsOf, segmentWords } from '../sms/segments';
import { Languages } from '../template/Languages';
import { languageOf, type Spec, type Text, textIn, withPart } from '../template/spec';
import { Icon } from '../ui/Icon';
import { failed } from '../ui/notice';
import { Sandbox } from '../ui/Sandbox';
import { Segments } from '../ui/Segments';
import ui from '../ui/ui.module.css';
import css from './explore.module.css';
import type { Node } from './measure';
import { audienceSpec } from './SaveAudience';
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

/** A message to these people: written, reviewed, and sent once, or kept sending to who comes later. */
export function Composer(props: {
  tree: Node;
  words: string;
  described: string;
  total: number;
  /** What people are called who come to them later. */
  newcomers: string;
}) {
  const { s, zone } = useExplore();
  const may = useMay('marketer');
  const channels = useKind<{ type: string; local?: boolean }>('channel');
  const taken = [useAudiences(), useTemplates(), useCampaigns()].flatMap((q) =>
    (q.data?.definitions ?? []).map((d) => d.name),
  );
  const review = useReviewSend();
  const send = useSend();
  const [channel, setChannel] = useState('');
  const [said, setSaid] = useState<Spec>({ channel: '' });
  const [locale, setLocale] = useState('');
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
  const spec = channels.data?.definitions.find((c) => c.name === channel)?.spec;
  const type = spec?.type ?? (channel === outboxSMS ? 'sms' : channel);
  const sms = type === 'sms';
  const email = type === 'email';
  const titled = channel !== 'web' && !sms;
  const reach = usePreview({ zone: s.zone ?? zone, ...props.tree });
  const here = said.locales?.[locale] ? locale : '';
  const { subject = '', body = '' } = textIn(said, here);
  /** What was reviewed is no longer what would be sent. */
  const edited = () => {
    setDraft(undefined);
    review.reset();
    send.reset();
  };
  const change = (next: Spec) => {
    setSaid(next);
    edited();
  };
  /** A text as the channel takes it; what is empty is left out. */
  const written = (text: Text): Text => {
    const { subject = '', body = '' } = text;
    const made = channel === 'web' ? bodyOf(body) : email ? letterOf(body) : body.trim();
    return {
      ...(body.trim() ? { body: made } : {}),
      ...(subject.trim() && titled ? { subject: subject.trim() } : {}),
    };
  };
  const others = Object.entries(said.locales ?? {})
    .map(([tag, text]) => [tag, written(text)] as const)
    .filter(([, text]) => Object.keys(text).length > 0);
  const ask = (held: boolean) => {
    const next = {
      id: crypto.randomUUID(),
      name: suggest(props.words, taken),
      description: props.described.slice(0, 500),
      zone: s.zone ?? zone,
      channel: channel === outboxSMS ? 'outbox' : channel,
      body: '',
      ...written(said),
      holdout: held ? '10%' : '0%',
      ...(Object.keys(props.tree).length === 0 ? {} : { audience: props.tree }),
      ...(channel === 'web' ? { as: 'popup' } : channel === outboxSMS ? { as: 'sms' } : {}),
      ...(said.locale ? { locale: said.locale } : {}),
      ...(others.length > 0 ? { locales: Object.fromEntries(others) } : {}),
    };
    setDraft(next);
    const { id: _, ...asked } = next;
    review.mutate(asked);
  };
  const ordering = useRef(false);
  const order = (keep: boolean) => {
    // a second click may come before the button knows of the first
    if (!draft || !review.data || ordering.current) return;
    ordering.current = true;
    send.mutate(
      { ...draft, ...(keep ? { keep } : {}), matched: review.data.matched },
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
  if (send.data)
    return (
      <Sent
        sent={send.data}
        users={review.data?.sending ?? send.data.users}
        caught={channel === 'outbox' || channel === outboxSMS || spec?.local === true}
        kept={send.variables?.keep === true}
        newcomers={props.newcomers}
        freeze={(at) => audienceSpec(props.tree, props.described, s.zone ?? zone, at)}
      />
    );
  const unsaid = (said.body ?? '').trim() === '' || (email && (said.subject ?? '').trim() === '');
  return (
    <section className={css.composer} aria-label="Message these people" data-testid="composer">
      <h3 className={css.composerTitle}>
        <Icon name="campaign" size={17} /> Message these people
      </h3>
      <Segments
        size="xs"
        aria-label="Channel"
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
          {titled && (
            <TextInput
              size="sm"
              label="Subject"
              value={subject}
              placeholder={here === '' ? undefined : said.subject}
              onChange={(e) => change(withPart(said, here, 'subject', e.currentTarget.value))}
            />
          )}
          <Textarea
            label="Text"
            description={
              sms
                ? `${segmentWords(segmentsOf(body.trim()))}; fields may change that`
                : email
                  ? 'A link to unsubscribe and your postal address go below it'
                  : undefined
            }
            inputWrapperOrder={['label', 'input', 'description', 'error']}
            autosize
            minRows={3}
            maxRows={8}
            autoFocus
            placeholder={
              here === '' ? "Hello {{ profile.traits.firstName | default: 'there' }}, …" : said.body
            }
            value={body}
            onChange={(e) => change(withPart(said, here, 'body', e.currentTarget.value))}
          />
          <Languages
            spec={said}
            change={change}
            locale={locale}
            setLocale={setLocale}
            readOnly={false}
          />
          {!draft || !review.data ? (
            <div className={css.line}>
              <Button
                size="xs"
                disabled={unsaid || !may}
                loading={review.isPending}
                onClick={() => ask(holdout)}
              >
                Review
              </Button>
              {!may && <span className={css.hint}>It takes the role marketer to send.</span>}
              {may && unsaid && here !== '' && (
                <span className={css.hint}>The text for everybody else is still empty.</span>
              )}
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
              newcomers={draft.audience ? props.newcomers : undefined}
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
  /** Who comes to them later; nobody comes to everybody. */
  newcomers: string | undefined;
  onHoldout: (held: boolean) => void;
  onSend: (keep: boolean) => void;
}) {
  const { review } = props;
  const [typed, setTyped] = useState('');
  const [reading, setReading] = useState(0);
  const languages = review.languages ?? [];
  const read = languages.some((l) => l.preview)
    ? (languages[reading]?.preview ?? languages.find((l) => l.preview)?.preview)
    : review.preview;
  const everybody = useMeasure({ users: {} }).data?.users?.total ?? 0;
  const share = everybody > 0 ? review.matched / everybody : 0;
  const confirm = share > many && review.matched > 1;
  const blocked =
    review.sending === 0 ||
    [review.preview, ...languages.map((l) => l.preview)].some((p) => p?.error !== undefined) ||
    (confirm && typed.trim() !== `${review.sending}`);
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
              {x.reason === 'holdout' ? 'Held back to measure the lift' : sentence(x.sentence)}
            </dt>
            <dd>−{count(x.users)}</dd>
          </div>
        ))}
        <div className={css.sum}>
          <dt>Will get it</dt>
          <dd data-testid="sending">{count(review.sending)}</dd>
        </div>
        {languages.map((l) => (
          <div key={l.locale} data-text={l.fallback ? 'everybody' : l.locale}>
            <dt>{textWords(l)}</dt>
            <dd>{count(l.users)}</dd>
          </div>
        ))}
      </dl>
      <Checkbox
        size="xs"
        label="Hold 10 % back to measure what the message does"
        checked={props.holdout}
        disabled={props.sending}
        onChange={(e) => props.onHoldout(e.currentTarget.checked)}
      />
      {languages.length > 0 && (
        <Segments
          size="xs"
          aria-label="Read in"
          value={String(reading)}
          onChange={(next) => setReading(Number(next))}
          data={languages.map((l, i) => ({
            value: String(i),
            label: l.fallback ? 'Everybody else' : languageOf(l.locale),
            disabled: l.preview === undefined,
          }))}
        />
      )}
      {read && <Read preview={read} />}
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
          disabled={blocked}
          // the second click of a double click must not confirm figures that came with the first one's answer
          onClick={(e) => e.detail < 2 && props.onSend(false)}
        >
          Send to {count(review.sending)}
        </Button>
        {props.newcomers && (
          <Button
            size="sm"
            variant="default"
            loading={props.sending}
            disabled={blocked}
            onClick={(e) => e.detail < 2 && props.onSend(true)}
          >
            Keep sending to {props.newcomers}
          </Button>
        )}
      </div>
      <span className={css.hint}>
        Send: once, to whoever is in it now.
        {props.newcomers &&
          ` Keep sending: to them, and to each of the ${props.newcomers} once, until the campaign is paused.`}
      </span>
    </div>
  );
}

/** Who gets a text. */
function textWords(l: Schema['SendLanguage']): string {
  if (!l.fallback) return `Read it in ${languageOf(l.locale)}`;
  const text = l.locale
    ? `the text for everybody, in ${languageOf(l.locale)}`
    : 'the text for everybody';
  return l.unknown > 0
    ? `Get ${text} (the language of ${count(l.unknown)} is not known)`
    : `Get ${text}`;
}

/** What somebody reads. */
function Read({ preview }: { preview: Schema['SendPreview'] }) {
  return (
    <div data-testid="read">
      <div className={css.hint}>As {preview.user} would read it</div>
      {preview.error ? (
        <p className={css.wrong} role="alert">
          {preview.error}
        </p>
      ) : preview.body.includes('<') ? (
        <>
          {preview.subject && <b>{preview.subject}</b>}
          <Sandbox html={preview.body} title="The message" height={140} />
        </>
      ) : (
        <p className={css.letter}>
          {preview.subject && <b>{preview.subject}</b>}
          {preview.body}
        </p>
      )}
      {preview.missing.length > 0 && (
        <p className={css.hint}>Without a value for this user: {preview.missing.join(', ')}</p>
      )}
    </div>
  );
}

function Sent(props: {
  sent: Schema['Sent'];
  /** How many the review said would get it. */
  users: number;
  /** It goes to the outbox and nowhere else. */
  caught: boolean;
  /** It goes on to who comes later. */
  kept: boolean;
  newcomers: string;
  /** The audience as it was at a time, in µs. */
  freeze: (at: number) => Record<string, unknown>;
}) {
  const { sent } = props;
  return (
    <section className={css.composer} role="status" data-testid="sent">
      <h3 className={css.composerTitle}>
        <Icon name="check" size={17} /> It is on its way to {plural(props.users, 'user')}
        {props.users < sent.users && ` of ${count(sent.users)}`}
        {props.kept && `, and goes on to ${props.newcomers}`}
      </h3>
      <div>
        The campaign{' '}
        <Link to="/campaigns/$name" params={{ name: sent.campaign }} className={ui.link}>
          {sent.campaign}
        </Link>{' '}
        counts what becomes of it
        {props.kept && ', and ends when you pause it'}
        {props.caught && (
          <>
            ; the messages are in the{' '}
            <Link to="/outbox" className={ui.link}>
              Outbox
            </Link>
          </>
        )}
        .
      </div>
      {sent.audience && (
        <Left audience={sent.audience} sent={sent} fixed={props.kept} freeze={props.freeze} />
      )}
    </section>
  );
}

/** The audience that a message leaves behind: it is kept, frozen, or taken back. */
function Left(props: {
  audience: string;
  sent: Schema['Sent'];
  /** The campaign lives by it. */
  fixed: boolean;
  freeze: (at: number) => Record<string, unknown>;
}) {
  const { audience, sent } = props;
  const campaigns = useCampaigns();
  const audiences = useAudiences();
  const saveCampaign = useSaveDefinition('campaign');
  const saveAudience = useSaveDefinition('audience');
  const remove = useDeleteDefinition('audience');
  const [state, setState] = useState<'updating' | 'frozen' | 'gone'>('updating');
  const campaign = campaigns.data?.definitions.find((d) => d.name === sent.campaign);
  const version = audiences.data?.definitions.find((d) => d.name === audience)?.version;
  if (state === 'gone')
    return (
      <div className={css.hint}>
        They are not kept as an audience; the message goes out all the same.
      </div>
    );
  const undo = async () => {
    if (!campaign || version === undefined) return;
    try {
      // whom it goes to is settled; without the audience it asks nobody about it
      const { who: _, ...spec } = campaign.spec;
      await saveCampaign.mutateAsync({ name: campaign.name, spec, version: campaign.version });
      await remove.mutateAsync({ name: audience, version });
      setState('gone');
    } catch (error) {
      failed('The audience is still there', error);
    }
  };
  const freeze = async () => {
    if (version === undefined) return;
    try {
      const spec = props.freeze(new Date(sent.at).getTime() * 1000);
      await saveAudience.mutateAsync({ name: audience, spec, version });
      setState('frozen');
    } catch (error) {
      failed('The audience still keeps updating', error);
    }
  };
  return (
    <div className={css.line}>
      <span>
        They are kept as the audience{' '}
        <Link to="/audiences/$name" params={{ name: audience }} className={ui.link}>
          {audience}
        </Link>
        {state === 'frozen' ? ', as they were then.' : ', which keeps updating.'}
      </span>
      {!props.fixed && (
        <>
          {state === 'updating' && (
            <Button
              size="compact-xs"
              variant="default"
              loading={saveAudience.isPending}
              disabled={version === undefined}
              onClick={freeze}
            >
              Keep just these {count(sent.users)}
            </Button>
          )}
          <Button
            size="compact-xs"
            variant="default"
            loading={saveCampaign.isPending || remove.isPending}
            disabled={version === undefined || campaign === undefined}
            onClick={undo}
          >
            Undo
          </Button>
        </>
      )}
    </div>
  );
}
