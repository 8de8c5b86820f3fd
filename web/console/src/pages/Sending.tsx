import { Checkbox, Group, NumberInput, Select, Stack, Text, TextInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import type { Schema } from '../api/client';
import { type Definition, useChannels, useDefinition, useTemplates } from '../api/queries';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { useEditor } from '../definition/useEditor';
import { PeriodChip } from '../trigger/Chip';
import { wordsOf } from '../trigger/Mistakes';
import { put } from '../trigger/spec';
import { textOf } from '../trigger/yaml';
import { Card } from '../ui/Page';
import ui from '../ui/ui.module.css';

type Spec = Schema['SendingSettingsSpec'];
type Saved = Definition<Spec>;

const name = 'sending';
const title = 'Settings for sending';
const asking = { channel: 'text', template: 'text' } as const;
const shape = {
  quiet: { from: 'text', to: 'text' },
  cap: { count: 'number', per: 'text' },
  holdout: 'text',
  release: 'number',
  optIn: { email: asking, sms: asking },
} as const;

/** What holds for all campaigns together: settings/sending. */
export default function Sending() {
  const answer = useDefinition<Spec>('settings', name);
  if (answer.data) return <Editor saved={answer.saved} />;
  return <Absent kind="settings" name={name} title={title} answer={answer} />;
}

function Editor({ saved }: { saved: Saved | undefined }) {
  const editor = useEditor<Spec>({
    kind: 'settings',
    role: 'admin',
    saved,
    fixed: name,
    blank: {},
    suggest: () => name,
    toText: (_, spec) => textOf('settings', name, spec, ['cap', 'quiet', 'email', 'sms']),
    shape,
  });
  const { spec, problems, readOnly, yaml } = editor;
  /** What is wrong at a place of the form. */
  const wrong = (path: string) => {
    const p = problems.find((p) => p.path === path || p.path?.startsWith(`${path}.`));
    return p && wordsOf(p);
  };
  const form = { spec, set: editor.change, wrong, readOnly };
  return (
    <Frame
      editor={editor}
      title={title}
      lede="What holds for all campaigns together. A campaign may have limits of its own beside them."
      nameless
      called="Form"
    >
      {!yaml && (
        <>
          <Card title="Limits" label="Limits">
            <Stack gap="lg">
              <Quiet {...form} />
              <CapOfAll {...form} />
              <Shares {...form} />
            </Stack>
          </Card>
          <Card title="Double opt-in" label="Double opt-in">
            <Stack gap="lg">
              <Asking {...form} type="email" label="E-mail" />
              <Asking {...form} type="sms" label="Text messages" />
              <Text size="sm" c="dimmed">
                A yes counts once the owner of the address has confirmed it: by the link that the
                template prints as {'{{ confirm_url }}'}, or by answering YES to a text message.
                Until then nothing but that question is sent.
              </Text>
            </Stack>
          </Card>
          <Card title="Postal addresses" label="Postal addresses">
            <Postal />
          </Card>
        </>
      )}
    </Frame>
  );
}

interface Form {
  spec: Spec;
  set: (spec: Spec) => void;
  wrong: (path: string) => string | undefined;
  readOnly: boolean;
}

/** A line of the form, with what is wrong about it. */
function Line({ problem, children }: { problem: string | undefined; children: ReactNode }) {
  return (
    <div>
      <Group gap="sm" align="center" fz="sm">
        {children}
      </Group>
      {problem && (
        <Text size="sm" c="red" role="alert" mt={4}>
          {problem}
        </Text>
      )}
    </div>
  );
}

function Quiet({ spec, set, wrong, readOnly }: Form) {
  const { quiet } = spec;
  const on = quiet !== undefined && !quiet.off;
  return (
    <Line problem={wrong('quiet')}>
      <Checkbox
        label="Quiet hours, by the user’s clock:"
        checked={on}
        disabled={readOnly}
        onChange={(e) =>
          set(
            put(
              spec,
              'quiet',
              e.currentTarget.checked ? { from: '21:00', to: '08:00' } : undefined,
            ),
          )
        }
      />
      {on ? (
        (['from', 'to'] as const).map((part) => (
          <TextInput
            key={part}
            type="time"
            size="xs"
            aria-label={part === 'from' ? 'Quiet from' : 'Quiet to'}
            value={quiet[part] ?? ''}
            readOnly={readOnly}
            onChange={(e) =>
              e.currentTarget.value &&
              set({ ...spec, quiet: { ...quiet, [part]: e.currentTarget.value } })
            }
          />
        ))
      ) : (
        <span className={ui.muted}>none: marketing is sent at any hour</span>
      )}
    </Line>
  );
}

function CapOfAll({ spec, set, wrong, readOnly }: Form) {
  const { cap } = spec;
  return (
    <Line problem={wrong('cap')}>
      <Checkbox
        label="A user gets, of all campaigns together, at most"
        checked={cap !== undefined}
        disabled={readOnly}
        onChange={(e) =>
          set(put(spec, 'cap', e.currentTarget.checked ? { count: 3, per: '7d' } : undefined))
        }
      />
      {cap ? (
        <>
          <NumberInput
            size="xs"
            w={84}
            aria-label="Messages at most"
            min={1}
            max={1000}
            allowDecimal={false}
            value={cap.count}
            readOnly={readOnly}
            onChange={(n) => typeof n === 'number' && set({ ...spec, cap: { ...cap, count: n } })}
          />
          <span>in any</span>
          <PeriodChip
            what="Cap per"
            value={cap.per}
            usual={['24h', '7d', '30d']}
            set={(per) => set({ ...spec, cap: { ...cap, per } })}
            readOnly={readOnly}
          />
        </>
      ) : (
        <span className={ui.muted}>as many as there are</span>
      )}
    </Line>
  );
}

function Shares({ spec, set, wrong, readOnly }: Form) {
  const held = Number.parseFloat(spec.holdout ?? '0') || 0;
  return (
    <>
      <Line problem={wrong('holdout')}>
        <span>Held back from all marketing:</span>
        <NumberInput
          size="xs"
          w={92}
          aria-label="Held back from all marketing, in percent"
          suffix=" %"
          min={0}
          max={100}
          value={held}
          readOnly={readOnly}
          onChange={(n) =>
            typeof n === 'number' && set(put(spec, 'holdout', n > 0 ? `${n}%` : undefined))
          }
        />
        <span className={ui.muted}>of the users, to measure what all of it achieves</span>
      </Line>
      <Line problem={wrong('release')}>
        <span>After quiet hours, a pause or a stop at most</span>
        <NumberInput
          size="xs"
          w={104}
          aria-label="Messages a second after a wait"
          placeholder="100"
          min={1}
          max={10_000}
          allowDecimal={false}
          value={spec.release ?? ''}
          readOnly={readOnly}
          onChange={(n) => set(put(spec, 'release', typeof n === 'number' ? n : undefined))}
        />
        <span>messages a second leave</span>
      </Line>
    </>
  );
}

function Asking(props: Form & { type: 'email' | 'sms'; label: string }) {
  const { spec, set, wrong, readOnly, type, label } = props;
  const channels = useChannels();
  const templates = useTemplates();
  const asking = spec.optIn?.[type];
  const mine = (channels.data?.definitions ?? []).filter((c) => c.spec.type === type);
  const fit = (channel: string) =>
    (templates.data?.definitions ?? [])
      .filter((t) => t.spec.channel === channel)
      .map((t) => t.name);
  const change = (next: Schema['AskingSpec'] | undefined) => {
    const all = put(spec.optIn ?? {}, type, next);
    set(put(spec, 'optIn', Object.keys(all).length > 0 ? all : undefined));
  };
  const first = mine[0]?.name;
  return (
    <Line problem={wrong(`optIn.${type}`)}>
      <Checkbox
        label={label}
        checked={asking !== undefined}
        disabled={readOnly || (first === undefined && !asking)}
        onChange={(e) =>
          change(
            e.currentTarget.checked && first
              ? { channel: first, template: fit(first)[0] ?? '' }
              : undefined,
          )
        }
      />
      {asking ? (
        <>
          <Select
            size="xs"
            w={160}
            aria-label={`${label}: asked by channel`}
            data={mine.map((c) => c.name)}
            value={asking.channel}
            readOnly={readOnly}
            allowDeselect={false}
            onChange={(channel) => channel && change({ channel, template: fit(channel)[0] ?? '' })}
          />
          <Select
            size="xs"
            w={200}
            aria-label={`${label}: asked by template`}
            placeholder="Template"
            data={fit(asking.channel)}
            value={asking.template || null}
            readOnly={readOnly}
            allowDeselect={false}
            onChange={(template) => template && change({ ...asking, template })}
          />
        </>
      ) : (
        <span className={ui.muted}>
          {first ? 'a yes counts as it is' : 'there is no channel of this type yet'}
        </span>
      )}
    </Line>
  );
}

/** Where the sender of marketing by e-mail can be found: its channels say it. */
function Postal() {
  const channels = useChannels();
  const mine = (channels.data?.definitions ?? []).filter((c) => c.spec.type === 'email');
  if (mine.length === 0)
    return <Text c="dimmed">Channels of type email have one, and there is none yet.</Text>;
  return (
    <dl className={ui.facts}>
      {mine.map((c) => (
        <div key={c.name} style={{ display: 'contents' }}>
          <dt>
            <Link to="/channels/$name" params={{ name: c.name }} className={ui.link ?? ''}>
              {c.name}
            </Link>
          </dt>
          <dd>{(c.spec as { address?: string }).address ?? 'None: marketing cannot go live'}</dd>
        </div>
      ))}
    </dl>
  );
}
