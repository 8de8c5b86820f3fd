import { ActionIcon } from '@mantine/core';
import { useEventFields, useTraits } from '../api/queries';
import { RangeChip } from '../definition/RangeChip';
import { ChoiceChip, EventChip, type Option, PickChip } from '../trigger/Chip';
import { Conditions } from '../trigger/Conditions';
import css from '../trigger/trigger.module.css';
import { Icon } from '../ui/Icon';
import {
  type Behavior,
  behaviorOf,
  fieldWords,
  putBehavior,
  type Spec,
  turn,
  userFields,
  type What,
  whatOf,
} from './spec';

const whats: Record<What, string> = {
  days: 'on how many days they did',
  events: 'how often they did',
  recency: 'how many days ago they last did',
  sum: 'the sum of',
  field: 'who they are:',
};

/** What the dimension is of, as a sentence. */
export function Source(props: { spec: Spec; set: (spec: Spec) => void; readOnly: boolean }) {
  const { spec, set, readOnly } = props;
  const did = behaviorOf(spec);
  return (
    <>
      <div className={css.sentence} data-testid="source">
        <span>Users by</span>
        <ChoiceChip
          what="By"
          value={whatOf(spec)}
          choices={whats}
          set={(what) => what !== whatOf(spec) && set(turn(spec, what))}
          readOnly={readOnly}
        />
        {did ? (
          <Did did={did} sum={whatOf(spec) === 'sum'} {...props} />
        ) : (
          <FieldChip
            value={spec.field ?? ''}
            set={(field) => set({ ...spec, field })}
            readOnly={readOnly}
          />
        )}
      </div>
      {did?.where && (
        <Conditions
          value={did.where as never}
          event={did.event ?? ''}
          set={(where) => set(putBehavior(spec, { where: where as Behavior['where'] }))}
          openAtFirst={false}
          readOnly={readOnly}
        />
      )}
    </>
  );
}

function Did(props: {
  did: Behavior;
  sum: boolean;
  spec: Spec;
  set: (spec: Spec) => void;
  readOnly: boolean;
}) {
  const { did, spec, set, readOnly } = props;
  const seen = useEventFields(did.event ? [did.event] : []);
  const numbers = seen
    .filter((f) => f.types.includes('number') && !f.field.includes('[]'))
    .map((f): Option => ({ value: f.field, label: f.field.replace(/^properties\./, '') }));
  const put = (patch: Partial<Behavior>) => set(putBehavior(spec, patch));
  return (
    <>
      {props.sum && (
        <>
          <PickChip
            what="Number"
            value={did.field ?? ''}
            {...(did.field ? { label: did.field.replace(/^properties\./, '') } : {})}
            options={numbers}
            placeholder="pick a number"
            search="Search, or name a property"
            create={(text) => `Property: ${text}`}
            set={(field) => put({ field: field.includes('.') ? field : `properties.${field}` })}
            readOnly={readOnly}
          />
          <span>over</span>
        </>
      )}
      <EventChip
        what="Event"
        value={did.event ?? ''}
        label={did.event ? undefined : 'anything'}
        set={(event) => put({ event })}
        readOnly={readOnly}
      />
      {did.event && !readOnly && (
        <ActionIcon
          variant="subtle"
          size="sm"
          aria-label="Any event"
          onClick={() => put({ event: undefined as never, where: undefined as never })}
          c="var(--heed-muted)"
        >
          <Icon name="close" size={14} />
        </ActionIcon>
      )}
      <RangeChip
        value={did.during}
        set={(during) => put({ during: during as never })}
        readOnly={readOnly}
      />
    </>
  );
}

/** A field of users: a trait, or what Heed knows of them by itself. */
function FieldChip(props: { value: string; set: (field: string) => void; readOnly: boolean }) {
  const traits = useTraits();
  const options: Option[] = [
    ...(traits.data?.traits ?? []).map((t) => ({
      value: t.field,
      label: fieldWords(t.field),
      hint: t.types.join(' or '),
    })),
    ...userFields,
  ];
  return (
    <PickChip
      what="Trait or field"
      value={props.value}
      {...(props.value ? { label: fieldWords(props.value) } : {})}
      options={options}
      placeholder="pick a trait"
      search="Search, or name a trait"
      create={(text) => `Trait: ${text}`}
      set={(field) => props.set(field.includes('.') ? field : `traits.${field}`)}
      openAtFirst={props.value === ''}
      readOnly={props.readOnly}
    />
  );
}
