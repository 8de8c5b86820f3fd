import {
  ActionIcon,
  Autocomplete,
  Button,
  NativeSelect,
  NumberInput,
  SegmentedControl,
  Stack,
  TagsInput,
  TextInput,
} from '@mantine/core';
import type { Schema } from '../api/client';
import { useEventFields } from '../api/queries';
import { conditionWords, ops } from '../format/pattern';
import { Icon } from '../ui/Icon';
import { ChoiceChip, FormChip } from './Chip';
import { Kept } from './Kept';
import { type Condition, flat, unflat } from './spec';
import css from './trigger.module.css';

export type Field = Schema['EventField'];

/** What any event can be asked for, besides what it carries. */
const always: Field[] = [
  ['context.page.path', 'text'],
  ['context.page.url', 'text'],
  ['context.page.title', 'text'],
  ['context.page.referrer', 'text'],
  ['context.campaign.source', 'text'],
  ['context.campaign.name', 'text'],
  ['context.country', 'text'],
  ['context.locale', 'text'],
  ['context.device', 'text'],
  ['context.browser', 'text'],
  ['context.os', 'text'],
  ['context.bot', 'boolean'],
  ['event.source', 'text'],
  ['event.timestamp', 'time'],
].map(([field = '', type]) => ({ field, types: [type as Field['types'][number]], values: [] }));

/** The fields that conditions on these events can use. */
export function useFields(events: readonly string[]): Field[] {
  const seen = useEventFields(events.filter(Boolean));
  const traits = useEventFields(['identify'])
    .filter((f) => f.field.startsWith('event.traits.'))
    .map((f) => ({ ...f, field: f.field.slice('event.'.length) }));
  const known = new Map<string, Field>();
  for (const f of [...seen, ...traits, ...always]) if (!known.has(f.field)) known.set(f.field, f);
  return [...known.values()];
}

/** The conditions of a step: chips that are joined by "and" or "or". */
export function Conditions(props: {
  value: Condition;
  event: string;
  set: (next: Condition | undefined) => void;
  openAtFirst: boolean;
  readOnly: boolean;
  /** What can be asked, if it is not what the event carries, and the words before it. */
  fields?: readonly Field[];
  lead?: string;
}) {
  const { value, event, set, readOnly, lead = 'only where' } = props;
  const seen = useFields(props.fields ? [] : [event]);
  const fields = props.fields ?? seen;
  const shape = flat(value);
  if (!shape) {
    return (
      <Kept
        words={`${lead} ${conditionWords(value)}`}
        part={{ where: value }}
        remove={readOnly ? undefined : () => set(undefined)}
      />
    );
  }
  const { join, list } = shape;
  const change = (i: number, next: Condition | undefined) =>
    set(
      unflat(
        join,
        next ? list.map((c, n) => (n === i ? next : c)) : list.filter((_, n) => n !== i),
      ),
    );
  return (
    <div className={css.sentence}>
      <span>{lead}</span>
      {list.map((c, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a comparison is its place
        <span key={i} className={css.joined}>
          {i > 0 && (
            <ChoiceChip
              what="Join"
              value={join}
              choices={{ all: 'and', any: 'or' }}
              set={(next) => set(unflat(next, list))}
              readOnly={readOnly}
            />
          )}
          <FormChip
            what="Condition"
            label={c.field ? conditionWords(c) : props.fields ? 'pick a trait' : 'pick a property'}
            empty={!c.field}
            width={300}
            openAtFirst={props.openAtFirst && i === list.length - 1 && !c.field}
            readOnly={readOnly}
          >
            {(close) => (
              <Comparison
                value={c}
                fields={fields}
                set={(next) => change(i, next)}
                close={close}
                remove={() => {
                  change(i, undefined);
                  close();
                }}
              />
            )}
          </FormChip>
        </span>
      ))}
      {!readOnly && (
        <ActionIcon
          variant="subtle"
          size="md"
          aria-label="Add another condition"
          onClick={() => set(unflat(join, [...list, { field: '', op: 'eq', value: '' }]))}
          c="var(--heed-muted)"
        >
          <Icon name="plus" size={15} />
        </ActionIcon>
      )}
    </div>
  );
}

type Op = NonNullable<Condition['op']>;
type Type = 'text' | 'number' | 'boolean' | 'time';
const types: Record<Type, string> = {
  text: 'Text',
  number: 'Number',
  boolean: 'Yes/no',
  time: 'Time',
};
const typeOf = (value: unknown): Type =>
  typeof value === 'number'
    ? 'number'
    : typeof value === 'boolean'
      ? 'boolean'
      : typeof value === 'string' && /^\d{4}-\d\d-\d\d(T|$)/.test(value)
        ? 'time'
        : 'text';

const cast = (value: unknown, type: Type): unknown => {
  if (type === 'number') return Number(value) || 0;
  if (type === 'boolean') return value === true || value === 'true';
  if (type === 'time')
    return typeOf(value) === 'time' ? value : new Date().toISOString().slice(0, 10);
  return String(value);
};

/** The list itself scrolls: what else scrolls has to be reachable by keyboard. */
const scrolling = {
  withScrollArea: false,
  styles: { options: { maxHeight: 200, overflowY: 'auto' } },
} as const;

/** One comparison: a field, how it is compared, and a value of the field's type. */
function Comparison(props: {
  value: Condition;
  fields: readonly Field[];
  set: (next: Condition) => void;
  remove: () => void;
  close: () => void;
}) {
  const { value: c, fields, set } = props;
  const op = (c.op ?? 'eq') as Op;
  const known = fields.find((f) => f.field === c.field);
  const many = op === 'in' || op === 'nin';
  const none = op === 'exists' || op === 'missing';
  const values = Array.isArray(c.value) ? (c.value as unknown[]) : [];
  const type = many
    ? typeOf(values[0] ?? cast(known?.values[0] ?? '', known?.types[0] ?? 'text'))
    : typeOf(c.value);
  const suggestions = (known?.values ?? []).filter((v) => typeOf(v) === type).map(String);

  const pick = (field: string) => {
    const types = fields.find((f) => f.field === field)?.types;
    const next = { ...c, field, op };
    // the value takes the type that the field has
    if (!types || none || many || types.includes(type)) set(next);
    else set({ ...next, value: cast(c.value, types[0] ?? 'text') });
  };
  const compare = (next: Op) => {
    const { value, ...rest } = c;
    if (next === 'exists' || next === 'missing') return set({ ...rest, op: next });
    const list = next === 'in' || next === 'nin';
    const one = Array.isArray(value)
      ? (value[0] ?? '')
      : (value ?? cast('', known?.types[0] ?? 'text'));
    const all = Array.isArray(value) ? value : value === undefined || value === '' ? [] : [value];
    set({ ...rest, op: next, value: list ? all : one });
  };
  return (
    <Stack gap="xs">
      <Autocomplete
        label="Property"
        description="Seen with this event, or any other"
        data={fields.map((f) => f.field)}
        value={c.field ?? ''}
        onChange={pick}
        comboboxProps={{ withinPortal: false }}
        {...scrolling}
        data-autofocus
      />
      <NativeSelect
        label="Comparison"
        value={op}
        data={Object.entries(ops).map(([value, label]) => ({ value, label }))}
        onChange={(e) => compare(e.currentTarget.value as Op)}
      />
      {!none && (
        <SegmentedControl
          aria-label="Type of the value"
          size="xs"
          fullWidth
          value={type}
          data={Object.entries(types).map(([value, label]) => ({ value, label }))}
          onChange={(next) =>
            set({
              ...c,
              value: many ? values.map((v) => cast(v, next as Type)) : cast(c.value, next as Type),
            })
          }
        />
      )}
      {many && (
        <TagsInput
          label="Values"
          description="Type one and press Enter"
          data={suggestions}
          value={values.map(String)}
          onChange={(next) => set({ ...c, value: next.map((v) => cast(v, type)) })}
          acceptValueOnBlur
          comboboxProps={{ withinPortal: false }}
        />
      )}
      {!many && !none && type === 'number' && (
        <NumberInput
          label="Value"
          value={c.value as number}
          onChange={(n) => set({ ...c, value: typeof n === 'number' ? n : Number(n) || 0 })}
        />
      )}
      {!many && !none && type === 'boolean' && (
        <NativeSelect
          label="Value"
          value={String(c.value)}
          data={[
            { value: 'true', label: 'true' },
            { value: 'false', label: 'false' },
          ]}
          onChange={(e) => set({ ...c, value: e.currentTarget.value === 'true' })}
        />
      )}
      {!many && !none && type === 'text' && (
        <Autocomplete
          label="Value"
          data={suggestions}
          value={String(c.value ?? '')}
          onChange={(value) => set({ ...c, value })}
          comboboxProps={{ withinPortal: false }}
          {...scrolling}
        />
      )}
      {!many && !none && type === 'time' && (
        <TextInput
          label="Value"
          description="A date, or a time such as 2026-11-20T09:00:00Z"
          value={String(c.value ?? '')}
          onChange={(e) => set({ ...c, value: e.currentTarget.value })}
        />
      )}
      <div className={css.foot}>
        <Button size="xs" variant="default" onClick={props.close}>
          Done
        </Button>
        <Button size="xs" variant="subtle" color="red" onClick={props.remove}>
          Remove
        </Button>
      </div>
    </Stack>
  );
}
