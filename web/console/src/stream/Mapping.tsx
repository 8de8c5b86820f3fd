import { Checkbox, Menu, Text, UnstyledButton } from '@mantine/core';
import { useState } from 'react';
import { ChoiceChip, EventChip, PickChip, QuietMenu, SwitchChip } from '../trigger/Chip';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { type Problem, put } from '../trigger/spec';
import sentence from '../trigger/trigger.module.css';
import { Icon } from '../ui/Icon';
import { Card } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Pill } from '../ui/Status';
import ui from '../ui/ui.module.css';
import {
  type Field,
  fieldsOf,
  makeTrait,
  propertyOf,
  type Spec,
  take,
  takeAll,
  timeFormatOf,
  traitOf,
  type Use,
  use,
  uses,
  usesOf,
} from './spec';
import css from './stream.module.css';
import type { Editing } from './useSampling';

const timeFormats = {
  rfc3339: 'a date and time (RFC 3339)',
  s: 'seconds since 1970',
  ms: 'milliseconds since 1970',
  us: 'microseconds since 1970',
};

interface Part {
  spec: Spec;
  set: (spec: Spec) => void;
  fields: readonly Field[];
  readOnly: boolean;
}

/** What a message says: who did what and when, and which of its fields are kept. */
export function Mapping(props: Editing & { problems: readonly Problem[] }) {
  const { spec, set, sampling, readOnly } = props;
  const fields = fieldsOf(spec, sampling.sample);
  const part = { spec, set, fields, readOnly };
  return (
    <>
      <Card title="What a message says">
        <div className={css.lines} data-testid="mapping">
          <Who {...part} />
          <Name {...part} />
          <When {...part} />
          <Mistakes
            all={props.problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))}
          />
        </div>
      </Card>
      <Card title="Fields" flush>
        {fields.length === 0 ? (
          <p className={ui.none}>
            {spec.topic === ''
              ? 'Pick a topic: its newest messages show which fields there are.'
              : 'Read the newest messages: they show which fields there are.'}
          </p>
        ) : (
          <>
            <div className={css.fieldsHead}>
              <SwitchChip
                what="Every field"
                label="every field of the value, also ones that come later"
                on={spec.properties === undefined}
                set={(all) => set(takeAll(spec, all, fields))}
                readOnly={readOnly}
              />
              <Text size="xs" c="dimmed">
                What is ticked is a property of the event. Click a field to use it for more.
              </Text>
            </div>
            <ul className={rows.rows} data-testid="fields">
              {fields.map((field) => (
                <Row
                  key={field.place}
                  {...part}
                  field={field}
                  of={sampling.sample?.messages.length}
                />
              ))}
            </ul>
          </>
        )}
      </Card>
    </>
  );
}

const none = ' ';

/** The place that is used for something. */
function Place(props: Part & { as: Use; what: string; placeholder: string; none?: string }) {
  const { spec, set, fields, as } = props;
  const value = spec[as] ?? '';
  return (
    <PickChip
      what={props.what}
      value={value}
      label={value || props.placeholder}
      placeholder={props.placeholder}
      search="Search fields, or type a place"
      options={[
        ...(props.none && value ? [{ value: none, label: props.none }] : []),
        ...fields.map((f) => ({ value: f.place, label: f.place, hint: f.examples[0] ?? f.type })),
      ]}
      create={(place) => `The place ${place}`}
      set={(place) => set(assigned(props, as, place === none ? undefined : place))}
      readOnly={props.readOnly}
    />
  );
}

/** Uses a place; how a time is written shows in its examples. */
function assigned({ spec, fields }: Part, as: Use, place: string | undefined): Spec {
  const next = use(spec, as, place);
  if (as !== 'time' || !place) return next;
  return put(next, 'timeFormat', timeFormatOf(fields.find((f) => f.place === place)));
}

function Who(part: Part) {
  const { spec } = part;
  return (
    <div className={sentence.sentence}>
      <span>Done by the user with the key</span>
      <Place
        {...part}
        as="userId"
        what="User key"
        placeholder={spec.anonymousId ? 'none' : 'pick a field'}
        none="None"
      />
      {(spec.anonymousId || !part.readOnly) && (
        <>
          <span>or the anonymous id</span>
          <Place {...part} as="anonymousId" what="Anonymous id" placeholder="none" none="None" />
        </>
      )}
    </div>
  );
}

function Name(part: Part) {
  const { spec, set, readOnly } = part;
  const [telling, setTelling] = useState(false);
  const told = telling || spec.eventFrom !== undefined;
  return (
    <div className={sentence.sentence}>
      <span>and is called</span>
      <ChoiceChip
        what="Event name"
        value={told ? 'told' : 'fixed'}
        choices={{ fixed: 'always', told: 'as a field says:' }}
        set={(next) => {
          setTelling(next === 'told');
          if (next === 'told') set(put(spec, 'event', undefined));
          else set(use(spec, 'eventFrom', undefined));
        }}
        readOnly={readOnly}
      />
      {told ? (
        <Place {...part} as="eventFrom" what="Name from" placeholder="pick a field" />
      ) : (
        <EventChip
          what="Event"
          value={spec.event ?? ''}
          set={(event) => set({ ...use(spec, 'eventFrom', undefined), event })}
          readOnly={readOnly}
        />
      )}
    </div>
  );
}

function When(part: Part) {
  const { spec, set, readOnly } = part;
  return (
    <div className={sentence.sentence}>
      <span>It happened</span>
      <Place
        {...part}
        as="time"
        what="Time"
        placeholder="when the message was written"
        none="When the message was written"
      />
      {spec.time && (
        <>
          <span>given as</span>
          <ChoiceChip
            what="Time is given as"
            value={spec.timeFormat ?? 'rfc3339'}
            choices={timeFormats}
            set={(next) => set(put(spec, 'timeFormat', next === 'rfc3339' ? undefined : next))}
            readOnly={readOnly}
          />
        </>
      )}
      <span>and counts once by</span>
      <Place
        {...part}
        as="messageId"
        what="Message id"
        placeholder="its place in the topic"
        none="Its place in the topic"
      />
    </div>
  );
}

/** A field: whether events have it, and what else it is used for. */
function Row(props: Part & { field: Field; of: number | undefined }) {
  const { spec, set, field, fields, readOnly } = props;
  const { place } = field;
  const property = propertyOf(spec, place);
  const trait = traitOf(spec, place);
  const used = usesOf(spec, place);
  // without any, all of them are meant
  const last =
    property !== undefined && Object.keys(spec.properties ?? { a: 0, b: 0 }).length === 1;
  const about = (
    <>
      <span>
        <span className={css.place}>{place}</span>
        <span className={css.examples}>
          {props.of === undefined || field.messages === 0
            ? 'not in what was read'
            : `${field.type}${field.messages < props.of ? ` in ${field.messages} of ${props.of}` : ''}`}
          {field.examples.length > 0 && ` · ${field.examples.join(', ')}`}
        </span>
      </span>
      <span className={ui.meta}>
        {used.map((as) => (
          <Pill key={as} color="brand">
            {uses[as]}
          </Pill>
        ))}
        {trait && <Pill color="teal">{`Trait ${trait}`}</Pill>}
      </span>
    </>
  );
  return (
    <li className={`${rows.row} ${css.field}`}>
      <Checkbox
        aria-label={`Take ${place}`}
        checked={property !== undefined}
        disabled={readOnly || last}
        title={
          last
            ? 'An event has one property at least'
            : property && `{{ event.properties.${property} }}`
        }
        onChange={(e) => set(take(spec, place, e.currentTarget.checked, fields))}
      />
      {readOnly ? (
        <div className={css.use}>{about}</div>
      ) : (
        <QuietMenu target={<UnstyledButton className={css.use}>{about}</UnstyledButton>}>
          <Menu.Label>Use {place} as</Menu.Label>
          {(Object.keys(uses) as Use[]).map((as) => {
            const on = used.includes(as);
            return (
              <Menu.Item
                key={as}
                rightSection={on && <Icon name="check" size={14} />}
                onClick={() => set(assigned(props, as, on ? undefined : place))}
              >
                {uses[as]}
              </Menu.Item>
            );
          })}
          <Menu.Item
            rightSection={trait && <Icon name="check" size={14} />}
            onClick={() => set(makeTrait(spec, place, !trait))}
          >
            A trait of the user
          </Menu.Item>
        </QuietMenu>
      )}
    </li>
  );
}
