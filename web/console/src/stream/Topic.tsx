import { NativeSelect, Textarea, TextInput } from '@mantine/core';
import { ChoiceChip, PickChip } from '../trigger/Chip';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { type Problem, put } from '../trigger/spec';
import sentence from '../trigger/trigger.module.css';
import { Card } from '../ui/Page';
import ui from '../ui/ui.module.css';
import { Fold, Secret } from './Connection';
import type { Spec } from './spec';
import css from './stream.module.css';
import type { Editing } from './useSampling';

type Avro = NonNullable<Spec['avro']>;

/** Which topic is read, from where on, and how its messages are written. */
export function Topic(props: Editing & { saved: boolean; problems: readonly Problem[] }) {
  const { spec, set, sampling, readOnly } = props;
  const pick = (topic: string) => {
    const next = { ...spec, topic };
    set(next);
    if (props.may) sampling.read(next);
  };
  const format = spec.format ?? 'json';
  return (
    <Card title="Topic">
      <div className={css.lines}>
        <div className={sentence.sentence}>
          <span>The topic</span>
          <PickChip
            what="Topic"
            value={spec.topic}
            label={spec.topic || 'pick a topic'}
            placeholder="pick a topic"
            search={sampling.topics ? 'Search topics' : 'Type its name, or connect first'}
            options={(sampling.topics ?? []).map((value) => ({ value, label: value }))}
            create={(name) => `The topic ${name}`}
            set={pick}
            readOnly={readOnly}
          />
          <span>with messages in</span>
          <ChoiceChip
            what="Format"
            value={format}
            choices={{ json: 'JSON', avro: 'Avro' }}
            set={(next) => {
              const { avro: _, format: __, ...rest } = spec;
              set(next === 'avro' ? { ...rest, format: next, avro: {} } : rest);
            }}
            readOnly={readOnly}
          />
        </div>
        {format === 'avro' && (
          <Schemas
            avro={spec.avro ?? {}}
            set={(avro) => set({ ...spec, avro })}
            readOnly={readOnly}
          />
        )}
        <Start spec={spec} set={set} readOnly={readOnly} />
        {props.saved && (
          <p className={ui.statHint}>
            It has begun: where it begins matters again only if the brokers forget its position.
          </p>
        )}
        <Fold title="Consumer group" open={spec.group !== undefined}>
          <TextInput
            label="Consumer group"
            description="Keeps the position on the brokers"
            placeholder="one of this installation and stream"
            value={spec.group ?? ''}
            readOnly={readOnly}
            onChange={(e) => set(put(spec, 'group', e.currentTarget.value))}
          />
        </Fold>
        <Mistakes all={props.problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))} />
      </div>
    </Card>
  );
}

type Part = Pick<Editing, 'spec' | 'set' | 'readOnly'>;

/** As an input has a time: in the clock of this place, to the minute. */
function local(time: string): string {
  const at = new Date(time);
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return Number.isNaN(shifted.getTime()) ? '' : shifted.toISOString().slice(0, 16);
}

/** Where it begins, and whether it is read at all. */
function Start({ spec, set, readOnly }: Part) {
  const { start = 'latest' } = spec;
  const from = start === 'latest' || start === 'earliest' ? start : 'since';
  const since = (at: Date) =>
    set({ ...spec, start: `${at.toISOString().slice(0, 'yyyy-mm-ddThh:mm'.length)}:00Z` });
  return (
    <div className={sentence.sentence}>
      <span>Begins with</span>
      <ChoiceChip
        what="Begins with"
        value={from}
        choices={{
          latest: 'what comes from now on',
          earliest: 'the oldest message there is',
          since: 'messages since',
        }}
        set={(next) => {
          if (next === 'since') since(new Date());
          else set(put(spec, 'start', next === 'earliest' ? next : undefined));
        }}
        readOnly={readOnly}
      />
      {from === 'since' && (
        <TextInput
          type="datetime-local"
          size="xs"
          aria-label="Since"
          value={local(start)}
          readOnly={readOnly}
          onChange={(e) => e.currentTarget.value && since(new Date(e.currentTarget.value))}
        />
      )}
      <span>and is</span>
      <ChoiceChip
        what="Whether it is read"
        value={spec.paused ? 'paused' : 'read'}
        choices={{ read: 'read', paused: 'paused, keeping its position' }}
        set={(next) => set(put(spec, 'paused', next === 'paused'))}
        readOnly={readOnly}
      />
    </div>
  );
}

const framings = [
  { value: 'single-object', label: 'As single objects (C3 01 and a fingerprint first)' },
  { value: 'confluent', label: 'By a schema registry (00 and a number first)' },
  { value: 'none', label: 'Bare: the data alone' },
];

/** How messages in Avro are written. */
function Schemas(props: { avro: Avro; set: (avro: Avro) => void; readOnly: boolean }) {
  const { avro, set, readOnly } = props;
  const framing = avro.framing ?? 'single-object';
  const asks = framing === 'confluent' && avro.schema === undefined;
  const field = (key: 'registry' | 'user', label: string, placeholder: string) => (
    <TextInput
      label={label}
      placeholder={placeholder}
      autoComplete="off"
      value={avro[key] ?? ''}
      readOnly={readOnly}
      onChange={(e) => set(put(avro, key, e.currentTarget.value))}
    />
  );
  return (
    <>
      <div className={css.pair}>
        <NativeSelect
          label="Written"
          data={framings}
          value={framing}
          disabled={readOnly}
          onChange={(e) => {
            const next = e.currentTarget.value as typeof framing;
            const { schema } = avro;
            const kept = schema === undefined ? {} : { schema };
            set(next === 'single-object' ? kept : { framing: next, ...kept });
          }}
        />
        {framing === 'confluent' && (
          <NativeSelect
            label="Schemas"
            data={[
              { value: 'registry', label: 'The registry tells them' },
              { value: 'one', label: 'All are written with one' },
            ]}
            value={asks ? 'registry' : 'one'}
            disabled={readOnly}
            onChange={(e) =>
              set({ framing, ...(e.currentTarget.value === 'one' ? { schema: '' } : {}) })
            }
          />
        )}
      </div>
      {asks ? (
        <div className={css.pair}>
          {field('registry', 'Registry', 'https://schemas.example')}
          {field('user', 'User of the registry', 'optional')}
          <Secret
            label="Password of the registry"
            value={avro.password ?? ''}
            set={(password) => set(put(avro, 'password', password))}
            readOnly={readOnly}
          />
        </div>
      ) : (
        <Textarea
          label="Schema"
          placeholder='{"type": "record", …}'
          autosize
          minRows={3}
          maxRows={12}
          styles={{ input: { fontFamily: 'var(--mantine-font-family-monospace)' } }}
          value={avro.schema ?? ''}
          readOnly={readOnly}
          onChange={(e) => set({ ...avro, schema: e.currentTarget.value })}
        />
      )}
    </>
  );
}
