import { Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { type Definition, useCheck, useDefinition } from '../api/queries';
import { useMay } from '../api/session';
import { addressOf, channelTypes, type Channel as Spec } from '../campaign/channels';
import { Try } from '../campaign/Try';
import { Absent } from '../definition/Absent';
import { Actions } from '../definition/Actions';
import { More, Newer, Questions } from '../definition/Guards';
import { goodName, useDraft } from '../definition/useDraft';
import css from '../trigger/trigger.module.css';
import { Yaml } from '../trigger/Yaml';
import { readText, textOf } from '../trigger/yaml';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import ui from '../ui/ui.module.css';

type Saved = Definition<Spec>;

/** A channel that exists. */
export default function Channel() {
  const { name } = useParams({ from: '/channels/$name' });
  const answer = useDefinition<Spec>('channel', name);
  const { saved } = answer;
  if (saved) return <Editor key={name} saved={saved} start={saved.spec} />;
  return (
    <Absent
      kind="channel"
      name={name}
      icon="settings"
      answer={answer}
      others={
        <LinkButton to="/settings" search={{ tab: 'channels' }}>
          See all channels
        </LinkButton>
      }
    />
  );
}

/** A channel that does not exist yet. */
export function NewChannel() {
  const { type } = useSearch({ from: '/new/channel' });
  const kind = channelTypes.find((t) => t.type === type) ?? channelTypes[0];
  const start = { type: kind?.type ?? 'webhook', ...kind?.start };
  return <Editor key={start.type} saved={undefined} start={start} />;
}

function Editor(props: { saved: Saved | undefined; start: Spec }) {
  const { saved } = props;
  const navigate = useNavigate();
  const may = useMay('admin');
  const readOnly = !may || saved?.readOnly === true;
  const [typed, setTyped] = useState(props.start.type);
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const reset = () => {
    setText(undefined);
    setBroken(undefined);
  };
  const draft = useDraft<Spec>({
    kind: 'channel',
    saved,
    blank: { type: '' },
    start: props.start,
    readOnly,
    broken: broken !== undefined,
    onReset: reset,
    onMade: (name) => void navigate({ to: '/channels/$name', params: { name }, replace: true }),
  });
  const { spec, dirty } = draft;
  const name = saved?.name ?? typed;
  const toText = (of: Spec) => textOf('channel', name, of, []);
  const [asked] = useDebouncedValue(spec, 150);
  const check = useCheck('channel', goodName(name) ? name : 'draft', asked, !broken);
  const problems = broken ? [] : (check.data?.problems ?? []);
  const write = (next: string) => {
    setText(next);
    const read = readText('channel', next);
    if ('line' in read) return setBroken(read);
    if (saved && read.name !== '' && read.name !== saved.name)
      return setBroken({ line: 2, message: `A saved channel keeps its name, ${saved.name}` });
    setBroken(undefined);
    draft.setSpec({ ...read.spec, type: String(read.spec.type ?? '') });
    if (!saved) setTyped(read.name);
  };
  const why = saved?.readOnly
    ? 'This channel is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change channels'
      : problems.length > 0
        ? 'Something is wrong with it'
        : undefined;
  const kind = channelTypes.find((t) => t.type === spec.type);
  const documents = () =>
    [
      {
        kind: 'campaign',
        name: 'channel-test',
        when: { once: 'trial' },
        what: [{ channel: name, template: 'channel-test' }],
        status: 'draft',
      },
      { kind: 'template', name: 'channel-test', channel: name, ...kind?.sample },
    ] as unknown as Schema['AnyJSON'];
  return (
    <Page
      title={saved?.name ?? `New channel: ${kind?.label ?? props.start.type}`}
      lede={kind?.about}
      actions={
        <Actions
          draft={draft}
          name={name}
          yaml
          broken={broken !== undefined}
          unchanged={saved !== undefined && !dirty}
          why={why}
        >
          {saved && !readOnly && (
            <More
              kind="channel"
              saved={saved}
              label="Delete the channel"
              cost="Nothing can be sent by it any more. Its versions stay and it can be written again."
              onGone={() => {
                draft.gone();
                void navigate({ to: '/settings', search: { tab: 'channels' } });
              }}
            />
          )}
        </Actions>
      }
    >
      <Newer draft={draft} />
      <div className={css.columns}>
        <div className={ui.stack}>
          <Card flush label="The channel">
            <Yaml
              kind="channel"
              text={text ?? toText(spec)}
              set={write}
              broken={broken}
              problems={problems}
              readOnly={readOnly}
            />
          </Card>
          <Text size="sm" c="dimmed">
            {readOnly
              ? `${why ?? 'It cannot be changed here'}.`
              : 'Secrets are stored encrypted and shown as ***, which keeps the one there is. A secret may also stand elsewhere: $' +
                '{env:NAME} or $' +
                '{file:PATH}.'}
          </Text>
        </div>
        <aside className={ui.stack} aria-label="Try it">
          <Try
            documents={documents}
            address={saved && addressOf([saved], saved.name)}
            event={undefined}
            why={
              !saved || dirty
                ? 'Save it first: nothing is sent by it until a live campaign names it'
                : undefined
            }
          />
        </aside>
      </div>
      <Questions draft={draft} saved={saved} yaml={toText} />
    </Page>
  );
}
