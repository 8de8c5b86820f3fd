import { Alert, Button, Menu, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate, useParams } from '@tanstack/react-router';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { type Definition, useCheck, useDefinition } from '../api/queries';
import { useMay } from '../api/session';
import { type Stream as Spec, useSample, useStreams } from '../api/streams';
import { Absent } from '../definition/Absent';
import { Actions } from '../definition/Actions';
import { More, Newer, Questions } from '../definition/Guards';
import { goodName, useDraft } from '../definition/useDraft';
import { plural } from '../format/number';
import css from '../trigger/trigger.module.css';
import { Yaml } from '../trigger/Yaml';
import { readText, textOf } from '../trigger/yaml';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Failure } from '../ui/states';
import { Ago } from '../ui/time';
import ui from '../ui/ui.module.css';
import { Fares } from './Streams';

type Saved = Definition<Spec>;

/** A stream that exists. */
export default function Stream() {
  const { name } = useParams({ from: '/data/streams/$name' });
  const answer = useDefinition<Spec>('stream', name);
  const { saved } = answer;
  if (saved) return <Editor key={name} saved={saved} start={saved.spec} />;
  return (
    <Absent
      kind="stream"
      name={name}
      icon="events"
      answer={answer}
      others={<LinkButton to="/data/streams">See all streams</LinkButton>}
    />
  );
}

/** A stream that does not exist yet. */
export function NewStream() {
  return <Editor saved={undefined} start={{ kafka: { brokers: ['localhost:9092'] }, topic: '' }} />;
}

function Editor(props: { saved: Saved | undefined; start: Spec }) {
  const { saved } = props;
  const navigate = useNavigate();
  const may = useMay('admin');
  const readOnly = !may || saved?.readOnly === true;
  const [typed, setTyped] = useState('registrations');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const draft = useDraft<Spec>({
    kind: 'stream',
    saved,
    blank: { kafka: { brokers: [] }, topic: '' },
    start: props.start,
    readOnly,
    broken: broken !== undefined,
    onReset: () => {
      setText(undefined);
      setBroken(undefined);
    },
    onMade: (name) => void navigate({ to: '/data/streams/$name', params: { name }, replace: true }),
  });
  const { spec, dirty } = draft;
  const name = saved?.name ?? typed;
  const toText = (of: Spec) => textOf('stream', name, of, ['sasl', 'tls']);
  const [asked] = useDebouncedValue(spec, 150);
  const check = useCheck('stream', goodName(name) ? name : 'draft', asked, !broken);
  const problems = broken ? [] : (check.data?.problems ?? []);
  const write = (next: string) => {
    setText(next);
    const read = readText('stream', next);
    if ('line' in read) return setBroken(read);
    if (saved && read.name !== '' && read.name !== saved.name)
      return setBroken({ line: 2, message: `A saved stream keeps its name, ${saved.name}` });
    setBroken(undefined);
    draft.setSpec(read.spec as unknown as Spec);
    if (!saved) setTyped(read.name);
  };
  /** What is picked is written into the text. */
  const pick = (part: Partial<Spec>) => {
    draft.setSpec({ ...spec, ...part });
    setText(undefined);
  };
  const why = saved?.readOnly
    ? 'This stream is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change streams'
      : problems.length > 0
        ? 'Something is wrong with it'
        : undefined;
  return (
    <Page
      title={saved?.name ?? 'New stream'}
      lede="A Kafka topic of others. Each of its messages becomes an event."
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
              kind="stream"
              saved={saved}
              label="Delete the stream"
              cost="Nothing is read of the topic any more. The events that came by it stay."
              onGone={() => {
                draft.gone();
                void navigate({ to: '/data/streams' });
              }}
            />
          )}
        </Actions>
      }
    >
      <Newer draft={draft} />
      <div className={css.columns}>
        <div className={ui.stack}>
          {saved && <Now name={saved.name} />}
          <Card flush label="The stream">
            <Yaml
              kind="stream"
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
              : 'Name the brokers and read a sample: what it shows can be picked. Secrets are stored encrypted and shown as ***, which keeps the one there is.'}
          </Text>
        </div>
        {may && (
          <aside className={ui.stack} aria-label="Sample">
            <Sample
              name={saved?.name}
              spec={spec}
              pick={readOnly ? undefined : pick}
              broken={broken !== undefined}
            />
          </aside>
        )}
      </div>
      <Questions draft={draft} saved={saved} yaml={toText} />
    </Page>
  );
}

/** How a saved one fares. */
function Now({ name }: { name: string }) {
  const streams = useStreams();
  const state = streams.data?.streams.find((s) => s.name === name);
  if (!state) return null;
  return (
    <>
      {state.error && (
        <Alert color="red" title="It does not get on">
          {state.error}
        </Alert>
      )}
      <Text size="sm" data-testid="fares">
        {state.paused ? 'paused · ' : ''}
        <Fares state={state} />
      </Text>
    </>
  );
}

interface Sampled {
  name: string | undefined;
  spec: Spec;
  pick: ((part: Partial<Spec>) => void) | undefined;
  broken: boolean;
}

/** Real messages, and what would be made of them. */
function Sample({ name, spec, pick, broken }: Sampled) {
  const sample = useSample();
  const read = (of: Spec) => sample.mutate({ name, spec: of });
  const { data } = sample;
  return (
    <>
      <Card
        title="Sample"
        aside={
          <Button size="xs" loading={sample.isPending} disabled={broken} onClick={() => read(spec)}>
            {spec.topic === '' ? 'List topics' : 'Read messages'}
          </Button>
        }
      >
        {sample.error ? (
          <Failure error={sample.error} />
        ) : !data ? (
          <Text size="sm" c="dimmed">
            The newest messages of the topic. Nothing is stored, and no position moves.
          </Text>
        ) : data.topics.length > 0 ? (
          <ul className={rows.rows} data-testid="topics">
            {data.topics.map((topic) => (
              <li key={topic} className={rows.row}>
                <Button
                  variant="subtle"
                  size="compact-sm"
                  disabled={!pick}
                  onClick={() => {
                    pick?.({ topic });
                    read({ ...spec, topic });
                  }}
                >
                  {topic}
                </Button>
              </li>
            ))}
          </ul>
        ) : data.messages.length === 0 ? (
          <Empty
            icon="events"
            title="The topic is empty"
            cause={`It has ${plural(data.partitions, 'partition')} and no message.`}
          />
        ) : (
          <ul className={rows.rows} data-testid="fields">
            {data.fields.map((f) => (
              <Field key={f.place} field={f} of={data.messages.length} spec={spec} pick={pick} />
            ))}
          </ul>
        )}
      </Card>
      {data && data.messages.length > 0 && (
        <Card title="What becomes of them">
          <ul className={rows.rows} data-testid="messages">
            {data.messages.map((m) => (
              <Message key={`${m.partition}-${m.offset}`} message={m} />
            ))}
          </ul>
        </Card>
      )}
    </>
  );
}

const uses = [
  ['userId', 'The user’s id'],
  ['anonymousId', 'An anonymous id'],
  ['eventFrom', 'The event’s name'],
  ['time', 'When it happened'],
  ['messageId', 'The message’s id'],
] as const;

/** A place of the messages, and what it can be used as. */
function Field(props: {
  field: Schema['StreamField'];
  of: number;
  spec: Spec;
  pick: ((part: Partial<Spec>) => void) | undefined;
}) {
  const { field, spec, pick } = props;
  const last = field.place.split('.').at(-1) ?? field.place;
  return (
    <li className={rows.row} style={{ display: 'flex', alignItems: 'center', gap: 8 }}>
      <span
        className={rows.itemText}
        style={{ flex: 1, padding: '8px 0', overflowWrap: 'anywhere' }}
      >
        <span className={rows.itemTitle}>{field.place}</span>
        <span className={rows.itemHint} style={{ display: 'block' }}>
          {field.type}
          {field.messages < props.of && ` in ${field.messages} of ${props.of}`}
          {field.examples.length > 0 && ` · ${field.examples.join(', ')}`}
        </span>
      </span>
      {pick && (
        <Menu position="bottom-end" shadow="md">
          <Menu.Target>
            <Button variant="default" size="compact-xs" aria-label={`Use ${field.place}`}>
              Use
            </Button>
          </Menu.Target>
          <Menu.Dropdown>
            {uses.map(([key, label]) => (
              <Menu.Item key={key} onClick={() => pick({ [key]: field.place })}>
                {label}
              </Menu.Item>
            ))}
            <Menu.Item
              onClick={() => pick({ properties: { ...spec.properties, [last]: field.place } })}
            >
              A property
            </Menu.Item>
            <Menu.Item onClick={() => pick({ traits: { ...spec.traits, [last]: field.place } })}>
              A trait of the user
            </Menu.Item>
          </Menu.Dropdown>
        </Menu>
      )}
    </li>
  );
}

function Message({ message: m }: { message: Schema['StreamMessage'] }) {
  return (
    <li className={rows.row}>
      <span
        className={rows.itemText}
        style={{ display: 'block', padding: '8px 0', overflowWrap: 'anywhere' }}
      >
        {m.problem ? (
          <span className={rows.itemTitle}>Left out: {m.problem}</span>
        ) : m.events.length === 0 ? (
          <span className={rows.itemHint}>Say who did it, and what it is called</span>
        ) : (
          m.events.map((e) => (
            <span key={e.messageId} className={rows.itemTitle} style={{ display: 'block' }}>
              {e.user} · {e.event}
            </span>
          ))
        )}
        <span className={rows.itemHint} style={{ display: 'block' }}>
          <Ago at={new Date(m.at)} /> · {m.key !== '' && `key ${m.key} · `}
          <code>{m.value.slice(0, 300)}</code>
        </span>
      </span>
    </li>
  );
}
