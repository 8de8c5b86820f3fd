import { UnstyledButton } from '@mantine/core';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { Schema } from '../api/client';
import {
  type Template as Saved,
  useCampaigns,
  useChannels,
  useDefinition,
  useStarters,
  useTemplatePreview,
  useTemplates,
} from '../api/queries';
import { unused } from '../campaign/spec';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { useEditor } from '../definition/useEditor';
import { some } from '../format/pattern';
import { sentence } from '../format/words';
import { Form } from '../template/Form';
import { blank, ordered, type Spec, shape, starts } from '../template/spec';
import { everybody, TemplatePreview } from '../template/TemplatePreview';
import own from '../template/template.module.css';
import { textOf } from '../trigger/yaml';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { Sandbox } from '../ui/Sandbox';
import { Failure, Loading } from '../ui/states';
import { At } from '../ui/time';
import css from '../ui/ui.module.css';

/** A template that exists. */
export default function Template() {
  const { name } = useParams({ from: '/templates/$name' });
  const answer = useDefinition<Spec>('template', name);
  if (answer.saved) return <Editor key={name} saved={answer.saved} start={answer.saved.spec} />;
  return <Absent kind="template" name={name} answer={answer} />;
}

/** A template that does not exist yet: what it begins with, then its editor. */
export function NewTemplate() {
  const { starter, channel, copy } = useSearch({ from: '/new/template' });
  const copied = useDefinition<Spec>('template', copy ?? '').saved;
  const starters = useStarters();
  const channels = useChannels();
  const templates = useTemplates();
  const begun = starters.data?.starters.find((s) => s.name === starter);
  const ready = channels.data && templates.data && (starter === undefined || starters.data);
  const error = starters.error ?? channels.error ?? templates.error;
  if ((starter === undefined && channel === undefined && !copied) || !ready)
    return (
      <Page title="New template" lede="Begin with a design and change all of it, or with nothing.">
        {ready && starters.data ? (
          <Gallery starters={starters.data.starters} channels={channels.data.definitions} />
        ) : (
          <Card>
            {error ? (
              <Failure
                error={error}
                retry={() => {
                  for (const query of [starters, channels, templates])
                    if (query.error) void query.refetch();
                }}
              />
            ) : (
              <Loading rows={8} />
            )}
          </Card>
        )}
      </Page>
    );
  const byType = (type: string) =>
    channels.data.definitions.find((c) => c.spec.type === type)?.name;
  const typeOf = (name: string) =>
    channels.data.definitions.find((c) => c.name === name)?.spec.type ?? name;
  let start: Spec = { ...starts[typeOf(channel ?? 'web')], channel: channel ?? 'web' };
  if (begun) {
    const { name: _, kind: __, ...spec } = begun.spec as Spec & { name?: string; kind?: string };
    const by = begun.type === 'web' ? 'web' : byType(begun.type);
    // without a channel of its type it goes to the outbox, which stands for all of them
    start = by ? { ...spec, channel: by } : { ...spec, channel: 'outbox', as: begun.type };
  }
  if (copied) start = copied.spec;
  return (
    <Editor
      key={`${starter} ${channel} ${copy}`}
      saved={undefined}
      start={start}
      called={unused(
        copied?.name ?? begun?.name ?? start.as?.replace(':', '-') ?? start.channel,
        templates.data.definitions.map((t) => t.name),
      )}
    />
  );
}

function Gallery(props: { starters: Schema['TemplateStarter'][]; channels: { name: string }[] }) {
  const navigate = useNavigate({ from: '/new/template' });
  const names = new Set(['web', 'outbox', ...props.channels.map((c) => c.name)]);
  return (
    <div className={css.stack}>
      <Card title="With nothing, for the channel">
        <div className={own.blanks}>
          {[...names].map((channel) => (
            <LinkButton
              key={channel}
              to="/new/template"
              search={{ channel }}
              variant="default"
              size="xs"
            >
              {channel}
            </LinkButton>
          ))}
        </div>
      </Card>
      <div className={css.tiles} data-testid="starters">
        {props.starters.map(({ name, spec, type }) => (
          <UnstyledButton
            key={name}
            className={`${css.card} ${css.tile}`}
            onClick={() => navigate({ search: { starter: name } })}
          >
            <div className={css.thumb} aria-hidden="true">
              <Thumb name={name} body={spec.body ?? ''} />
            </div>
            <div className={css.tileText}>
              <b>{sentence(name.replaceAll('-', ' '))}</b>
              <span className={css.statHint}>
                {type === 'email' ? 'E-mail' : 'On the page'} · {spec.description}
              </span>
            </div>
          </UnstyledButton>
        ))}
      </div>
    </div>
  );
}

/** A design as somebody unknown sees it. */
function Thumb({ name, body }: { name: string; body: string }) {
  const preview = useTemplatePreview({ channel: 'outbox', body }, '', everybody);
  return <Sandbox html={preview.data?.body ?? ''} title={`Preview of ${name}`} height={250} bare />;
}

function Editor(props: { saved: Saved | undefined; start: Spec; called?: string }) {
  const { saved } = props;
  const navigate = useNavigate();
  const channels = useChannels();
  const campaigns = useCampaigns();
  const [locale, setLocale] = useState('');
  const editor = useEditor<Spec>({
    kind: 'template',
    saved,
    blank,
    start: props.start,
    called: props.called,
    suggest: (spec) => spec.as?.replace(':', '-') ?? spec.channel,
    toText: (name, spec) => textOf('template', name, ordered(spec), []),
    shape,
    lacks: (spec) => ((spec.body ?? '') === '' ? 'It says nothing yet' : undefined),
    complete: (spec) => (spec.body ?? '') !== '',
    onMade: (name) => void navigate({ to: '/templates/$name', params: { name }, replace: true }),
  });
  const { spec, asked } = editor;
  const type =
    channels.data?.definitions.find((c) => c.name === spec.channel)?.spec.type ?? spec.channel;
  const using = campaigns.data?.definitions.filter(
    (c) => saved && c.spec.what.some((v) => v.template === saved.name),
  );
  return (
    <Frame
      editor={editor}
      title={saved?.name ?? 'New template'}
      lede={
        using?.length
          ? `Sent by ${some(using.map((c) => c.name))}. What you save is what is sent next.`
          : 'What is said, written in Liquid: {{ values }} and {% tags %}.'
      }
      cost={
        using?.length
          ? 'Campaigns that use it fail until they get another one. Its versions stay and it can be written again.'
          : 'Its versions stay and it can be written again.'
      }
      onCopy={() => void navigate({ to: '/new/template', search: { copy: saved?.name } })}
      form={<Form editor={editor} type={type} locale={locale} setLocale={setLocale} />}
      called="Form"
      wide
      asideLabel="What it says"
      aside={
        <>
          <Card>
            <div className={css.stack}>
              <TemplatePreview
                name={editor.name}
                spec={asked}
                {...(editor.yaml ? {} : { reader: spec.locales?.[locale] ? locale : everybody })}
              />
            </div>
          </Card>
          {saved && (
            <p className={css.statHint}>
              Version {saved.version}, saved by {saved.author} <At at={saved.at} />
            </p>
          )}
        </>
      }
    />
  );
}
