import { TextInput } from '@mantine/core';
import { useRef } from 'react';
import { useChannels, useEventFields, useKind, useTraits } from '../api/queries';
import type { Stream } from '../api/streams';
import type { Editor } from '../definition/useEditor';
import { PickChip } from '../trigger/Chip';
import { Code } from '../trigger/Code';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { put } from '../trigger/spec';
import trigger from '../trigger/trigger.module.css';
import ui from '../ui/ui.module.css';
import { Languages } from './Languages';
import { lineIn, type Part, partsOf, type Spec, sentBy, textIn, withPart } from './spec';
import css from './template.module.css';

const shown: Record<string, { value: string; label: string; hint?: string }[]> = {
  web: [
    { value: 'popup', label: 'a pop-up', hint: 'over the page' },
    { value: 'banner', label: 'a banner', hint: 'at the edge' },
    { value: 'inline', label: 'a part of the page' },
  ],
  outbox: [
    { value: '', label: 'a message' },
    { value: 'email', label: 'an e-mail' },
    { value: 'sms', label: 'a text message' },
    { value: 'push', label: 'a notification' },
  ],
};

/** A template as a form: where it goes, and its texts. */
export function Form(props: {
  editor: Editor<Spec>;
  type: string;
  /** The language of the text that is edited, '' for that for everybody. */
  locale: string;
  setLocale: (locale: string) => void;
}) {
  const { editor, type, locale, setLocale } = props;
  const { spec, change, readOnly } = editor;
  const channels = useChannels();
  const names = ['web', 'outbox', ...(channels.data?.definitions ?? []).map((c) => c.name)];
  const typeOf = (name: string) =>
    channels.data?.definitions.find((c) => c.name === name)?.spec.type ?? name;
  const as = spec.as ?? '';
  const ways = shown[type] ?? [];
  const here = spec.locales?.[locale] ? locale : '';
  const at = here === '' ? '' : `locales.${here}.`;
  const parts = partsOf(type, as);
  // what stands beside a part is shown there, the rest below
  const placed = new Set(parts.map(([part]) => at + part));
  const rest = editor.problems.filter((p) => !placed.has(p.path ?? ''));
  return (
    <div className={trigger.body}>
      <div className={trigger.sentence}>
        <span>Sent by</span>
        <PickChip
          what="Channel"
          value={spec.channel}
          label={spec.channel}
          placeholder="pick a channel"
          search="Search channels"
          options={[...new Set(names)].map((value) => ({
            value,
            label: value,
            hint: typeOf(value),
          }))}
          set={(channel) => change(sentBy(spec, channel, typeOf(channel)))}
          readOnly={readOnly}
        />
        {ways.length > 0 && (
          <>
            <span>as</span>
            <PickChip
              what="Shown as"
              value={as}
              label={
                as.startsWith('slot:')
                  ? `the slot ${as.slice(5)}`
                  : (ways.find((w) => w.value === as)?.label ?? as)
              }
              placeholder="a message"
              search={type === 'web' ? 'Or type the name of a slot' : 'Search'}
              options={ways}
              create={type === 'web' ? (name) => `In the slot “${name}”` : undefined}
              set={(way) =>
                change(put(spec, 'as', ways.some((w) => w.value === way) ? way : `slot:${way}`))
              }
              readOnly={readOnly}
            />
          </>
        )}
        {type === 'web' && (
          <>
            <span>gone after</span>
            <PickChip
              what="Gone after"
              value={spec.expires ?? ''}
              label={spec.expires ?? '5m'}
              placeholder="5m"
              search="Or type a time such as 90s"
              options={['1m', '5m', '10m', '1h', '1d', '7d'].map((value) => ({
                value,
                label: value,
              }))}
              create={(time) => `After ${time}`}
              set={(expires) => change(put(spec, 'expires', expires))}
              readOnly={readOnly}
            />
          </>
        )}
      </div>
      <Languages
        spec={spec}
        change={change}
        locale={locale}
        setLocale={setLocale}
        readOnly={readOnly}
      />
      {parts.map(([part, label]) => (
        <One
          key={at + part}
          part={part}
          label={label}
          text={textIn(spec, here)[part] ?? ''}
          fallback={here === '' ? '' : (spec[part] ?? '')}
          set={(said) => change(withPart(spec, here, part, said))}
          wrong={editor.problems.filter((p) => p.path === at + part).map(wordsOf)}
          readOnly={readOnly}
        />
      ))}
      <Mistakes all={rest.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))} />
    </div>
  );
}

/** One part of a text, and what is wrong with it. */
function One(props: {
  part: Part;
  label: string;
  text: string;
  /** What is said where it is empty. */
  fallback: string;
  set: (text: string) => void;
  wrong: string[];
  readOnly: boolean;
}) {
  const { part, label, text, set, wrong, readOnly } = props;
  const area = useRef<HTMLTextAreaElement>(null);
  if (part !== 'body')
    return (
      <TextInput
        label={label}
        value={text}
        placeholder={props.fallback}
        onChange={(e) => set(e.currentTarget.value)}
        error={wrong.join(' ') || undefined}
        readOnly={readOnly}
        mb="sm"
      />
    );
  return (
    <div>
      <div className={css.bodyHead}>
        <b>{label}</b>
        {!readOnly && (
          <Fields
            insert={(field) => {
              const from = area.current?.selectionStart ?? text.length;
              const to = area.current?.selectionEnd ?? from;
              set(text.slice(0, from) + field + text.slice(to));
            }}
          />
        )}
      </div>
      <Code
        ref={area}
        label={label}
        text={text}
        set={set}
        wrong={wrong.map(lineIn)}
        readOnly={readOnly}
        rows={8}
      />
      {text === '' && props.fallback !== '' && (
        <p className={ui.muted}>The text for everybody is said here.</p>
      )}
      <Mistakes all={wrong.map((message) => ({ message }))} />
    </div>
  );
}

const always = [
  'profile.id',
  'profile.country',
  'profile.locale',
  'event.name',
  'event.timestamp',
  'campaign.name',
  'unsubscribe_url',
];

/** The fields that can be printed. */
function Fields({ insert }: { insert: (liquid: string) => void }) {
  const traits = useTraits();
  const streams = useKind<Stream>('stream').data?.definitions ?? [];
  const collections = useKind<{ fields?: Record<string, string> }>('collection');
  const events = streams.flatMap((s) => s.spec.event ?? []);
  const known = new Set([
    ...(traits.data?.traits ?? []).map((t) => `profile.${t.field}`),
    ...streams.flatMap((s) =>
      Object.keys(s.spec.properties ?? {}).map((name) => `event.properties.${name}`),
    ),
    ...useEventFields([...new Set(events)]).map((f) => f.field),
    ...(collections.data?.definitions ?? []).flatMap((c) =>
      Object.keys(c.spec.fields ?? {}).map((name) => `pull.${c.name}.${name}`),
    ),
    ...always,
  ]);
  return (
    <PickChip
      what="Insert a field"
      value=""
      label="Insert a field"
      placeholder="Insert a field"
      search="Search, or type event.properties.product"
      options={[...known].map((value) => ({ value, label: value }))}
      create={(field) => `{{ ${field} }}`}
      set={(field) =>
        insert(
          field.startsWith('profile.traits.') ? `{{ ${field} | default: "" }}` : `{{ ${field} }}`,
        )
      }
      readOnly={false}
    />
  );
}
