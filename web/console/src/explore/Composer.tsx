import { Button, SegmentedControl, Stack, Textarea, TextInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import {
  useAudiences,
  useCheck,
  useKind,
  useSaveDefinition,
  useTemplates,
  useTriggers,
} from '../api/queries';
import { useMay } from '../api/session';
import { count, plural } from '../format/number';
import { sentence } from '../format/words';
import { Icon } from '../ui/Icon';
import { done, failed } from '../ui/notice';
import { Snippet } from '../ui/Snippet';
import ui from '../ui/ui.module.css';
import css from './explore.module.css';
import type { Node } from './measure';
import { audienceSpec } from './SaveAudience';
import { useExplore } from './useExplore';
import { suggest } from './words';

const channelTitle = (name: string): string => (name === 'web' ? 'Web pop-up' : sentence(name));

/** The text of a message as the body of a template. */
export const bodyOf = (text: string): string =>
  text
    .trim()
    .split(/\n{2,}/)
    .map((p) => p.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('\n', '<br>'))
    .map((p) => `<p>${p}</p>`)
    .join('\n');

/** A campaign on them, to be completed with what starts it. */
export const campaignSpec = (c: {
  audience: string | undefined;
  channel: string;
  template: string;
  trigger: string;
}): {
  when: { trigger: string };
  who?: string[];
  what: { channel: string; template: string }[];
  status: string;
} => ({
  when: { trigger: c.trigger },
  ...(c.audience === undefined ? {} : { who: [c.audience] }),
  what: [{ channel: c.channel, template: c.template }],
  status: 'draft',
});

/** The same as heed apply takes it. Names of definitions need no quotes. */
export const campaignYaml = (name: string, spec: ReturnType<typeof campaignSpec>): string =>
  [
    'kind: campaign',
    `name: ${name}`,
    `when: {trigger: ${spec.when.trigger}}   # what starts it`,
    ...(spec.who ? [`who: [${spec.who.join(', ')}]`] : []),
    ...spec.what.map((w) => `what: [{channel: ${w.channel}, template: ${w.template}}]`),
    `status: ${spec.status}`,
  ].join('\n');

/** The campaign that sends a saved message, and what Heed says against it. */
function Draft(props: { name: string; audience: string | undefined; channel: string }) {
  const triggers = useTriggers();
  const trigger = triggers.data?.definitions[0]?.name ?? 'my-trigger';
  const spec = campaignSpec({ ...props, template: props.name, trigger });
  const check = useCheck('campaign', props.name, spec, triggers.data !== undefined);
  const [wrong] = check.data?.problems ?? [];
  return (
    <>
      <Snippet
        label="The campaign that sends it, to complete"
        text={campaignYaml(props.name, spec)}
      />
      {wrong && (
        <p className={css.hint} role="status">
          It cannot be applied as it is: {[wrong.message, wrong.hint].filter(Boolean).join('; ')}.
        </p>
      )}
    </>
  );
}

/**
 * The beginning of a message to these people: it keeps who they are and what it says. What sends it
 * is a campaign.
 */
export function Composer(props: { tree: Node; words: string; described: string; total: number }) {
  const { s, zone } = useExplore();
  const may = useMay('marketer');
  const channels = useKind<{ type: string }>('channel');
  const audiences = useAudiences();
  const templates = useTemplates();
  const saveAudience = useSaveDefinition('audience');
  const saveTemplate = useSaveDefinition('template');
  const [channel, setChannel] = useState('');
  const [subject, setSubject] = useState('');
  const [text, setText] = useState('');
  const [review, setReview] = useState(false);
  const [saved, setSaved] = useState<{ audience: string; template: string }>();
  const everybody = Object.keys(props.tree).length === 0;
  const names = [
    ...new Set(['outbox', 'web', ...(channels.data?.definitions ?? []).map((c) => c.name)]),
  ];
  const save = async () => {
    const taken = [audiences, templates].flatMap((q) =>
      (q.data?.definitions ?? []).map((d) => d.name),
    );
    const name = suggest(props.words, taken);
    try {
      if (!everybody) {
        await saveAudience.mutateAsync({
          name,
          version: 0,
          spec: audienceSpec(props.tree, props.described, s.zone ?? zone),
        });
      }
      await saveTemplate.mutateAsync({
        name,
        version: 0,
        spec: {
          channel,
          ...(channel === 'web' ? { as: 'popup' } : {}),
          ...(subject.trim() && channel !== 'web' ? { subject: subject.trim() } : {}),
          body: bodyOf(text),
        },
      });
      setSaved({ audience: name, template: name });
      done(`The audience and the message ${name} are saved`);
    } catch (error) {
      failed('The message was not saved', error);
    }
  };
  return (
    <section className={css.composer} aria-label="Message these people" data-testid="composer">
      <h3 className={css.composerTitle}>
        <Icon name="campaign" size={17} /> Message these people
      </h3>
      <SegmentedControl
        size="xs"
        aria-label="Channel"
        value={channel}
        data={names.map((value) => ({ value, label: channelTitle(value) }))}
        onChange={(next) => {
          setChannel(next);
          setReview(false);
          setSaved(undefined);
        }}
      />
      {channel !== '' && !saved && (
        <Stack gap="sm">
          {channel !== 'web' && (
            <TextInput
              size="sm"
              label="Subject"
              value={subject}
              onChange={(e) => setSubject(e.currentTarget.value)}
            />
          )}
          <Textarea
            label="Text"
            autosize
            minRows={3}
            maxRows={8}
            autoFocus
            placeholder="Hello {{ profile.traits.firstName | default: 'there' }}, …"
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
          />
          {!review ? (
            <div>
              <Button size="xs" disabled={text.trim() === ''} onClick={() => setReview(true)}>
                Review
              </Button>
            </div>
          ) : (
            <div className={css.review} data-testid="review">
              <div>
                <b>{count(props.total)}</b> matched: {props.words}
              </div>
              <p className={css.hint}>
                Nothing is sent from here. This keeps who they are
                {everybody ? '' : ' as an audience that stays up to date'} and the text as a
                template; a campaign with a trigger sends it.
              </p>
              <div className={css.line}>
                <Button
                  size="xs"
                  loading={saveAudience.isPending || saveTemplate.isPending}
                  disabled={!may}
                  onClick={save}
                >
                  {everybody ? 'Save the message' : 'Save audience and message'}
                </Button>
                {!may && <span className={css.hint}>It takes the role marketer to save them.</span>}
              </div>
            </div>
          )}
        </Stack>
      )}
      {saved && (
        <div className={css.review} role="status">
          <div>
            Saved
            {!everybody && (
              <>
                {' '}
                the audience{' '}
                <Link to="/audiences" className={ui.link}>
                  {saved.audience}
                </Link>{' '}
                ({plural(props.total, 'user')} matched) and
              </>
            )}{' '}
            the template{' '}
            <Link to="/templates" search={{ open: saved.template }} className={ui.link}>
              {saved.template}
            </Link>
            . Nothing has been sent.
          </div>
          <Draft
            name={saved.template}
            audience={everybody ? undefined : saved.audience}
            channel={channel}
          />
        </div>
      )}
    </section>
  );
}
