import { NumberInput, SegmentedControl, Stack } from '@mantine/core';
import { useMemo } from 'react';
import { useAudiences, useDefinitions, useDimensions, useTraits } from '../api/queries';
import { RangeChip } from '../definition/RangeChip';
import { userFields } from '../dimension/spec';
import type { FunnelSpec } from '../explore/SavedFunnels';
import { localZone } from '../explore/useExplore';
import { useMeasure } from '../explore/useMeasure';
import { dimensionTitle, valueWords } from '../explore/words';
import { plural } from '../format/number';
import { list } from '../format/pattern';
import {
  ChoiceChip,
  FormChip,
  type Option,
  PeriodChip,
  PickChip,
  TimesChip,
  useEventOptions,
} from '../trigger/Chip';
import { Conditions, type Field } from '../trigger/Conditions';
import { Kept } from '../trigger/Kept';
import { Drop } from '../trigger/Sentence';
import type { Condition } from '../trigger/spec';
import sentence from '../trigger/trigger.module.css';
import {
  type Did,
  dimensionOf,
  type InFunnel,
  type Is,
  kindOf,
  leafOf,
  type Node,
  plainSteps,
  type State,
  timesWords,
  words,
} from './tree';

interface Props {
  node: Node;
  set: (node: Node) => void;
  remove: () => void;
  self: string;
  /** It was added a moment ago: what has to be picked first is open. */
  fresh: boolean;
  readOnly: boolean;
}

/** One condition, as a sentence. */
export function Leaf(props: Props) {
  const { readOnly, remove } = props;
  const { node, not } = leafOf(props.node);
  const set = (next: Node) => props.set(not ? { not: next } : next);
  const turn = (next: 'is' | 'not') => props.set(next === 'not' ? { not: node } : node);
  const body = () => {
    switch (kindOf(node)) {
      case 'where':
        return <Trait {...props} />;
      case 'is':
        return <InDimension {...props} />;
      case 'did':
        return (node.did as Did).is ? undefined : <Happened {...props} />;
      case 'consent':
        return (
          <>
            <ChoiceChip
              what="Consent is"
              value={not ? 'not' : 'is'}
              choices={{ is: 'agreed to', not: 'did not agree to' }}
              set={turn}
              readOnly={readOnly}
            />
            <PickChip
              what="Consent"
              value={String(node.consent)}
              options={['email', 'sms', 'push'].map((value) => ({ value, label: value }))}
              placeholder="what?"
              search="Search, or name another"
              create={(text) => `Consent: ${text}`}
              set={(consent) => set({ consent })}
              readOnly={readOnly}
            />
          </>
        );
      case 'audience':
        return (
          <>
            <ChoiceChip
              what="Member"
              value={not ? 'not' : 'is'}
              choices={{ is: 'is in', not: 'is not in' }}
              set={turn}
              readOnly={readOnly}
            />
            <Another
              value={String(node.audience)}
              self={props.self}
              fresh={props.fresh}
              set={(audience) => set({ audience })}
              readOnly={readOnly}
            />
          </>
        );
      case 'funnel':
        return plainSteps(node.funnel as InFunnel) && !('where' in (node.funnel as object)) ? (
          <InAFunnel
            value={node.funnel as InFunnel}
            not={not}
            turn={turn}
            fresh={props.fresh}
            set={(funnel) => set({ funnel })}
            readOnly={readOnly}
          />
        ) : undefined;
      default:
        return undefined;
    }
  };
  const inner = body();
  if (!inner) {
    return (
      <Kept words={words(props.node)} part={props.node} remove={readOnly ? undefined : remove} />
    );
  }
  return (
    <div className={sentence.sentence}>
      {inner}
      {!readOnly && kindOf(node) !== 'where' && <Drop what={words(props.node)} on={remove} />}
    </div>
  );
}

/** A condition on traits. */
function Trait({ node, set, remove, fresh, readOnly }: Props) {
  const traits = useTraits();
  const fields: Field[] = (traits.data?.traits ?? []).map((t) => ({
    field: t.field,
    types: t.types.filter((x): x is Field['types'][number] => x !== 'list' && x !== 'object'),
    values: t.values.map((v) => v.value),
  }));
  return (
    <Conditions
      value={node.where as Condition}
      event=""
      fields={fields}
      lead="trait"
      set={(where) => (where ? set({ where }) : remove())}
      openAtFirst={fresh}
      readOnly={readOnly}
    />
  );
}

const missing = '\u0000';

/** The value of a dimension. */
function InDimension({ node, set, fresh, readOnly }: Props) {
  const is = node.is as Is;
  const by = dimensionOf(is);
  const zone = useMemo(localZone, []);
  const dimensions = useDimensions();
  const counts = useMeasure(
    by ? { zone, breakdown: { by: [is.dimension as { dimension: string }], top: 200 } } : undefined,
    { as: `values ${by}` },
  );
  const rows = counts.data?.breakdown?.rows ?? [];
  const known: Option[] = rows.map((r) => ({
    value: r.values[0] ?? missing,
    label: valueWords(by, r.values[0] ?? null),
    hint: plural(r.count, 'user'),
  }));
  const picked = is.values.map((v) => v ?? missing);
  const options = [
    ...known,
    ...picked
      .filter((v) => !known.some((k) => k.value === v))
      .map((value) => ({ value, label: valueWords(by, value === missing ? null : value) })),
  ];
  const put = (next: Partial<Is>) => set({ is: { ...is, ...next } });
  return (
    <>
      <PickChip
        what="Dimension"
        value={by}
        {...(by ? { label: dimensionTitle(by) } : {})}
        options={[
          ...(dimensions.data?.dimensions ?? []).map((d) => ({
            value: d.name,
            label: dimensionTitle(d.name),
            hint: d.description,
          })),
          ...userFields,
        ]}
        placeholder="pick a dimension"
        search="Search dimensions"
        set={(next) =>
          put({
            dimension: next.includes('.') ? { field: next } : { dimension: next },
            values: [],
          })
        }
        openAtFirst={fresh && by === ''}
        readOnly={readOnly}
      />
      <ChoiceChip
        what="Is"
        value={is.not ? 'not' : 'is'}
        choices={{ is: 'is', not: 'is not' }}
        set={(next) => {
          const { not: _, ...rest } = is;
          set({ is: next === 'not' ? { ...rest, not: true } : rest });
        }}
        readOnly={readOnly}
      />
      {by !== '' && (
        <PickChip
          key={by}
          what="Values"
          value={picked[0] ?? ''}
          several={picked}
          label={
            picked.length > 0
              ? list(
                  is.values.map((v) => valueWords(by, v)),
                  'or',
                )
              : 'pick values'
          }
          options={options}
          placeholder="pick values"
          search="Search values"
          create={(text) => `Value: ${text}`}
          set={(v) => {
            const next = picked.includes(v) ? picked.filter((p) => p !== v) : [...picked, v];
            put({ values: next.map((p) => (p === missing ? null : p)) });
          }}
          readOnly={readOnly}
        />
      )}
    </>
  );
}

const anything: Option = { value: '*', label: 'anything', hint: 'whatever counts as activity' };

type Often = 'did' | 'not' | 'least' | 'most' | 'exactly' | 'between';

const often = ({ min, max }: Did): Often =>
  max === 0
    ? 'not'
    : max === undefined
      ? (min ?? 1) <= 1
        ? 'did'
        : 'least'
      : min === max
        ? 'exactly'
        : (min ?? 1) <= 1
          ? 'most'
          : 'between';

/** What they did or did not do. */
function Happened({ node, set, fresh, readOnly }: Props) {
  const did = node.did as Did;
  const put = (next: Did) => {
    const out: Did = { ...next };
    for (const key of Object.keys(out) as (keyof Did)[])
      if (out[key] === undefined) delete out[key];
    set({ did: out });
  };
  const how = often(did);
  const choose = (next: Often) => {
    const { min, max, ...rest } = did;
    const n = Math.max(2, min ?? max ?? 2);
    put(
      {
        did: rest,
        not: { ...rest, max: 0 },
        least: { ...rest, min: n },
        most: { ...rest, max: n },
        exactly: { ...rest, min: n, max: n },
        between: { ...rest, min: n, max: Math.max(n + 1, max ?? 0) },
      }[next],
    );
  };
  return (
    <>
      <FormChip
        what="How often"
        label={how === 'not' ? 'did not do' : how === 'did' ? 'did' : `did ${timesWords(did)}:`}
        width={290}
        readOnly={readOnly}
      >
        {(close) => (
          <Stack gap="xs">
            <SegmentedControl
              orientation="vertical"
              size="xs"
              aria-label="How often"
              value={how}
              onChange={(next) => choose(next as Often)}
              data={[
                { value: 'did', label: 'did it' },
                { value: 'not', label: 'did not do it' },
                { value: 'least', label: 'at least so many times' },
                { value: 'most', label: 'at most so many times' },
                { value: 'exactly', label: 'exactly so many times' },
                { value: 'between', label: 'between two numbers' },
              ]}
            />
            {(how === 'least' || how === 'exactly' || how === 'between') && (
              <NumberInput
                label={how === 'between' ? 'From' : 'Times'}
                size="xs"
                min={1}
                allowDecimal={false}
                value={did.min ?? 1}
                onChange={(n) =>
                  typeof n === 'number' &&
                  put({ ...did, min: n, ...(how === 'exactly' ? { max: n } : {}) })
                }
                onKeyDown={(e) => e.key === 'Enter' && close()}
              />
            )}
            {(how === 'most' || how === 'between') && (
              <NumberInput
                label={how === 'between' ? 'To' : 'Times'}
                size="xs"
                min={1}
                allowDecimal={false}
                value={did.max ?? 1}
                onChange={(n) => typeof n === 'number' && put({ ...did, max: n })}
                onKeyDown={(e) => e.key === 'Enter' && close()}
              />
            )}
          </Stack>
        )}
      </FormChip>
      <PickChip
        what="Event"
        value={did.event ?? anything.value}
        {...(did.event === undefined ? { label: anything.label } : {})}
        options={[anything, ...useEventOptions()]}
        placeholder="pick an event"
        search="Search, or name a new event"
        create={(text) => `New event: ${text}`}
        set={(event) => {
          const { event: _, where, ...rest } = did;
          if (event === anything.value) put(rest);
          else put({ ...rest, event, ...(where ? { where } : {}) });
        }}
        openAtFirst={fresh && did.event === ''}
        readOnly={readOnly}
      />
      <RangeChip
        value={did.during}
        set={(during) => put({ ...did, during: during as never })}
        readOnly={readOnly}
      />
      {did.where ? (
        <Conditions
          value={did.where as Condition}
          event={did.event ?? ''}
          set={(where) => put({ ...did, where: where as never })}
          openAtFirst
          readOnly={readOnly}
        />
      ) : (
        !readOnly &&
        did.event && (
          <button
            type="button"
            className={sentence.chip}
            data-off
            onClick={() => put({ ...did, where: { all: [{ field: '', op: 'eq', value: '' }] } })}
          >
            only where …
          </button>
        )
      )}
    </>
  );
}

/** Another audience. */
function Another(props: {
  value: string;
  self: string;
  fresh: boolean;
  set: (name: string) => void;
  readOnly: boolean;
}) {
  const audiences = useAudiences();
  return (
    <PickChip
      what="Audience"
      value={props.value}
      options={(audiences.data?.definitions ?? [])
        .filter((a) => a.name !== props.self)
        .map((a) => ({ value: a.name, label: a.name, hint: a.spec.description }))}
      placeholder="pick an audience"
      search="Search audiences"
      set={props.set}
      openAtFirst={props.fresh && props.value === ''}
      readOnly={props.readOnly}
    />
  );
}

const places: Record<State, string> = {
  reached: 'reached',
  stuck: 'is stuck at',
  progress: 'is in progress at',
};

/** What stands before the name of a saved funnel among events; no event is called so. */
const savedFunnel = 'heed.funnel:';

/** A place in a funnel. */
function InAFunnel(props: {
  value: InFunnel;
  not: boolean;
  turn: (next: 'is' | 'not') => void;
  fresh: boolean;
  set: (value: InFunnel) => void;
  readOnly: boolean;
}) {
  const { value, set, readOnly } = props;
  const steps = plainSteps(value) ?? [];
  const named = value.funnel.funnel;
  const saved = useDefinitions<FunnelSpec>('funnel').data?.definitions ?? [];
  const most = named
    ? (saved.find((d) => d.name === named)?.spec.steps.length ?? value.level)
    : steps.length;
  return (
    <>
      <ChoiceChip
        what="State"
        value={props.not ? 'not' : value.state}
        choices={
          props.not ? { ...places, not: 'is not at' } : (places as Record<State | 'not', string>)
        }
        set={(state) => {
          if (state === 'not') return;
          if (props.not) props.turn('is');
          else set({ ...value, state });
        }}
        readOnly={readOnly}
      />
      <TimesChip
        what="Level"
        value={value.level}
        words={(n) => `level ${n}`}
        set={(level) => set({ ...value, level: Math.min(level, Math.max(1, most)) })}
        readOnly={readOnly}
      />
      <span>of</span>
      <PickChip
        what="Steps"
        value={steps[0] ?? ''}
        several={steps}
        label={
          named
            ? `the funnel ${named}`
            : steps.length > 0
              ? steps.join(' → ')
              : 'pick steps in order'
        }
        options={[
          ...saved.map((d) => ({
            value: `${savedFunnel}${d.name}`,
            label: `The funnel ${d.name}`,
            hint: 'saved',
          })),
          ...useEventOptions(),
        ]}
        placeholder="pick steps in order"
        search="Search, or name a new event"
        create={(text) => `New event: ${text}`}
        set={(event) => {
          if (event.startsWith(savedFunnel)) {
            set({ ...value, funnel: { funnel: event.slice(savedFunnel.length) }, level: 1 });
            return;
          }
          const next = steps.includes(event) ? steps.filter((s) => s !== event) : [...steps, event];
          set({
            ...value,
            funnel: {
              window: value.funnel.window ?? '1h',
              steps: next.map((e) => ({ event: e })),
            },
            level: Math.min(value.level, Math.max(1, next.length)),
          });
        }}
        openAtFirst={props.fresh && steps.length === 0 && !named}
        readOnly={readOnly}
      />
      {!named && (
        <>
          <span>within</span>
          <PeriodChip
            what="Window"
            value={value.funnel.window ?? '1h'}
            set={(window) => set({ ...value, funnel: { ...value.funnel, window } })}
            readOnly={readOnly}
          />
        </>
      )}
      <span>, begun</span>
      <RangeChip
        value={value.during}
        set={(during) => {
          const { during: _, ...rest } = value;
          set(during ? { ...rest, during } : rest);
        }}
        readOnly={readOnly}
      />
    </>
  );
}
