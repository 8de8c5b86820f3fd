import { Text } from '@mantine/core';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { type Definition, useDefinition } from '../api/queries';
import { addressOf, channelTypes, type Channel as Spec } from '../campaign/channels';
import { Try } from '../campaign/Try';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { useEditor } from '../definition/useEditor';
import { readText, textOf } from '../trigger/yaml';

type Saved = Definition<Spec>;

/** A channel that exists. */
export default function Channel() {
  const { name } = useParams({ from: '/channels/$name' });
  const answer = useDefinition<Spec>('channel', name);
  const { saved } = answer;
  if (saved) return <Editor key={name} saved={saved} start={saved.spec} />;
  return <Absent kind="channel" name={name} answer={answer} />;
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
  const editor = useEditor<Spec>({
    kind: 'channel',
    role: 'admin',
    saved,
    blank: { type: '' },
    start: props.start,
    called: props.start.type,
    suggest: () => '',
    toText: (name, spec) => textOf('channel', name, spec, []),
    yamlOnly: true,
    read: (text) => {
      const read = readText('channel', text);
      return 'line' in read
        ? read
        : { ...read, spec: { ...read.spec, type: String(read.spec.type ?? '') } };
    },
    onMade: (name) => void navigate({ to: '/channels/$name', params: { name }, replace: true }),
  });
  const { name, spec } = editor;
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
    <Frame
      editor={editor}
      title={saved?.name ?? `New channel: ${kind?.label ?? props.start.type}`}
      lede={kind?.about}
      cost="Nothing can be sent by it any more. Its versions stay and it can be written again."
      asideLabel="Try it"
      aside={
        <Try
          documents={documents}
          address={saved && addressOf([saved], saved.name)}
          event={undefined}
          why={
            !saved || editor.draft.dirty
              ? 'Save it first: nothing is sent by it until a live campaign names it'
              : undefined
          }
        />
      }
    >
      {!editor.readOnly && (
        <Text size="sm" c="dimmed">
          {'Secrets are stored encrypted and shown as ***, which keeps the one there is. A secret may also stand elsewhere: $' +
            '{env:NAME} or $' +
            '{file:PATH}.'}
        </Text>
      )}
    </Frame>
  );
}
