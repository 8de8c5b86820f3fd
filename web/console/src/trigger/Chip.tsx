import {
  Button,
  Combobox,
  Group,
  Menu,
  NativeSelect,
  NumberInput,
  Popover,
  Stack,
  UnstyledButton,
  useCombobox,
} from '@mantine/core';
import { type ReactNode, type RefObject, useEffect, useRef, useState } from 'react';
import { useEventNames } from '../api/queries';
import { compact } from '../format/number';
import { list, periodWords } from '../format/pattern';
import { eventLabel } from '../format/words';
import { Icon } from '../ui/Icon';
import css from './trigger.module.css';

// The words of the sentence that can be changed: buttons that open what changes them.

interface Common {
  /** What it is about, for who cannot see the sentence: "Event". */
  what: string;
  readOnly?: boolean | undefined;
}

/** While a list is open, what lies under it is out of reach: for pointers, keys and readers alike. */
function useQuiet(opened: boolean, target?: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    if (!opened) return;
    const page = document.querySelector('[data-quiet]');
    page?.setAttribute('inert', '');
    return () => {
      page?.removeAttribute('inert');
      // focus goes back, unless something else was clicked
      const { activeElement } = document;
      if (activeElement === document.body || activeElement?.closest('[data-portal]')) {
        target?.current?.focus();
      }
    };
  }, [opened, target]);
}

/** A button that opens a menu. */
export function QuietMenu(props: { target: ReactNode; width?: number; children: ReactNode }) {
  const [opened, setOpened] = useState(false);
  useQuiet(opened);
  return (
    <Menu
      opened={opened}
      onChange={setOpened}
      position="bottom-start"
      shadow="md"
      withInitialFocusPlaceholder={false}
      {...(props.width ? { width: props.width } : {})}
    >
      <Menu.Target>{props.target}</Menu.Target>
      <Menu.Dropdown mah={440} style={{ overflowY: 'auto' }}>
        {props.children}
      </Menu.Dropdown>
    </Menu>
  );
}

const chip = (empty: boolean) => ({ className: css.chip, 'data-empty': empty || undefined });

/** A word that opens a small form. */
export function FormChip(
  props: Common & {
    label: string;
    empty?: boolean;
    width?: number;
    openAtFirst?: boolean | undefined;
    children: (close: () => void) => ReactNode;
  },
) {
  const [opened, setOpened] = useState(props.openAtFirst ?? false);
  const close = () => setOpened(false);
  useQuiet(opened);
  if (props.readOnly) return <b className={css.fixed}>{props.label}</b>;
  return (
    <Popover
      opened={opened}
      onChange={setOpened}
      width={props.width ?? 260}
      position="bottom-start"
      shadow="md"
      trapFocus
      returnFocus
    >
      <Popover.Target>
        <UnstyledButton
          {...chip(props.empty ?? false)}
          aria-label={`${props.what}: ${props.label}`}
          onClick={() => setOpened((now) => !now)}
        >
          {props.label}
        </UnstyledButton>
      </Popover.Target>
      <Popover.Dropdown>{props.children(close)}</Popover.Dropdown>
    </Popover>
  );
}

/** A word that is there or not. */
export function SwitchChip(
  props: Common & { label: string; on: boolean; set: (on: boolean) => void },
) {
  if (props.readOnly) return props.on ? <b className={css.fixed}>{props.label}</b> : null;
  return (
    <UnstyledButton
      className={css.chip}
      data-off={!props.on || undefined}
      aria-pressed={props.on}
      onClick={() => props.set(!props.on)}
    >
      <Icon name={props.on ? 'check' : 'plus'} size={13} />
      {props.label}
    </UnstyledButton>
  );
}

/** A word out of a few. */
export function ChoiceChip<T extends string>(
  props: Common & { value: T; choices: Record<T, string>; set: (value: T) => void },
) {
  if (props.readOnly) return <b className={css.fixed}>{props.choices[props.value]}</b>;
  return (
    <QuietMenu
      target={
        <UnstyledButton
          {...chip(false)}
          aria-label={`${props.what}: ${props.choices[props.value]}`}
        >
          {props.choices[props.value]}
        </UnstyledButton>
      }
    >
      {(Object.keys(props.choices) as T[]).map((key) => (
        <Menu.Item
          key={key}
          onClick={() => props.set(key)}
          rightSection={key === props.value ? <Icon name="check" size={14} /> : undefined}
        >
          {props.choices[key]}
        </Menu.Item>
      ))}
    </QuietMenu>
  );
}

/** How often: a few usual numbers, or any. */
export function TimesChip(
  props: Common & { value: number; set: (times: number) => void; words?: (n: number) => string },
) {
  const words = props.words ?? ((n: number) => (n === 1 ? 'once' : `${n} times`));
  return (
    <FormChip {...props} label={words(props.value)} width={250}>
      {(close) => (
        <Stack gap="xs">
          <Group gap={6} grow>
            {[1, 2, 3, 5, 10].map((n) => (
              <Button
                key={n}
                size="compact-sm"
                variant={n === props.value ? 'filled' : 'default'}
                onClick={() => {
                  props.set(n);
                  close();
                }}
                aria-label={words(n)}
              >
                {n}
              </Button>
            ))}
          </Group>
          <NumberInput
            label="Another number"
            size="xs"
            min={1}
            max={64}
            clampBehavior="strict"
            allowDecimal={false}
            value={props.value}
            onChange={(n) => typeof n === 'number' && n >= 1 && props.set(n)}
            onKeyDown={(e) => e.key === 'Enter' && close()}
          />
        </Stack>
      )}
    </FormChip>
  );
}

const usual = ['30s', '1m', '5m', '10m', '30m', '1h', '24h', '7d'];
const units = [
  { value: 's', label: 'seconds' },
  { value: 'm', label: 'minutes' },
  { value: 'h', label: 'hours' },
  { value: 'd', label: 'days' },
];

/** "10 min": short words for a period. */
export const shortPeriod = (period: string): string =>
  periodWords(period).replace(/ (second|minute)s?/g, (_, unit: string) => ` ${unit.slice(0, 3)}`);

/** How long: a few usual periods, or any. */
export function PeriodChip(
  props: Common & { value: string | undefined; set: (period: string) => void; usual?: string[] },
) {
  const [, number = '', unit = 'm'] = /^([\d.]+)(s|m|h|d)$/.exec(props.value ?? '') ?? [];
  return (
    <FormChip
      {...props}
      label={props.value ? shortPeriod(props.value) : 'how long?'}
      empty={!props.value}
    >
      {(close) => (
        <Stack gap="xs">
          <Group gap={6}>
            {(props.usual ?? usual).map((each) => (
              <Button
                key={each}
                size="compact-sm"
                variant={each === props.value ? 'filled' : 'default'}
                onClick={() => {
                  props.set(each);
                  close();
                }}
              >
                {shortPeriod(each)}
              </Button>
            ))}
          </Group>
          <Group gap={6} grow align="flex-end">
            <NumberInput
              label="Another length"
              size="xs"
              min={1}
              value={number === '' ? '' : Number(number)}
              onChange={(n) => typeof n === 'number' && n > 0 && props.set(`${n}${unit}`)}
              onKeyDown={(e) => e.key === 'Enter' && close()}
            />
            <NativeSelect
              aria-label="Unit"
              size="xs"
              data={units}
              value={unit}
              onChange={(e) => props.set(`${number || 1}${e.currentTarget.value}`)}
            />
          </Group>
        </Stack>
      )}
    </FormChip>
  );
}

export interface Option {
  value: string;
  label: string;
  hint?: string | undefined;
}

/**
 * What is typed right after a list opened goes into its search: a timer that
 * waits for the list would lose these keys. The list has no place yet to scroll to.
 */
const takeFocus = (search: HTMLInputElement | null) => search?.focus({ preventScroll: true });

/** A word picked from a list that can be searched, or a new one; with `several`, as many as wanted. */
export function PickChip(
  props: Common & {
    value: string;
    /** What is picked, where several can be: the list then stays open. */
    several?: readonly string[];
    placeholder: string;
    options: readonly Option[];
    create?: ((text: string) => string) | undefined;
    search: string;
    set: (value: string) => void;
    openAtFirst?: boolean | undefined;
    label?: string | undefined;
  },
) {
  const [text, setText] = useState('');
  const combobox = useCombobox({
    onDropdownClose: () => {
      combobox.resetSelectedOption();
      setText('');
    },
  });
  const target = useRef<HTMLButtonElement>(null);
  useQuiet(combobox.dropdownOpened, target);
  const first = props.openAtFirst && !props.readOnly;
  // biome-ignore lint/correctness/useExhaustiveDependencies: only when it appears
  useEffect(() => {
    if (first) combobox.openDropdown();
  }, []);
  const label = props.label ?? (props.value === '' ? props.placeholder : eventLabel(props.value));
  if (props.readOnly) return <b className={css.fixed}>{label}</b>;
  const { several } = props;
  const picked = (value: string) => several?.includes(value) ?? value === props.value;
  const options = [
    ...(several ?? [])
      .filter((v) => !props.options.some((o) => o.value === v))
      .map((v): Option => ({ value: v, label: v })),
    ...props.options,
  ];
  const wanted = text.trim();
  const found = options.filter((o) =>
    `${o.value} ${o.label}`.toLowerCase().includes(wanted.toLowerCase()),
  );
  const fresh = props.create && wanted !== '' && !options.some((o) => o.value === wanted);
  return (
    <Combobox
      store={combobox}
      keepMounted={false} // its search takes the focus each time it appears
      width={300}
      position="bottom-start"
      shadow="md"
      onOptionSubmit={(value) => {
        props.set(value);
        setText('');
        if (several) return;
        combobox.closeDropdown();
      }}
    >
      <Combobox.Target targetType="button">
        <UnstyledButton
          ref={target}
          {...chip(props.value === '')}
          aria-label={`${props.what}: ${label}`}
          onClick={() => combobox.toggleDropdown()}
        >
          {label}
        </UnstyledButton>
      </Combobox.Target>
      <Combobox.Dropdown>
        <Combobox.Search
          ref={takeFocus}
          value={text}
          onChange={(e) => {
            setText(e.currentTarget.value);
            combobox.updateSelectedOptionIndex();
          }}
          placeholder={props.search}
          aria-label={props.search}
        />
        <Combobox.Options
          mah={264}
          style={{ overflowY: 'auto' }}
          // a scrolling region must be reachable by keyboard
          tabIndex={0}
          aria-label={props.what}
          aria-multiselectable={several ? true : undefined}
        >
          {found.map((o) => (
            <Combobox.Option key={o.value} value={o.value} active={picked(o.value)}>
              <span className={css.option}>
                <span className={css.optionName} data-picked={picked(o.value) || undefined}>
                  {o.label}
                </span>
                {picked(o.value) ? (
                  <Icon name="check" size={15} />
                ) : (
                  o.hint && <span className={css.optionHint}>{o.hint}</span>
                )}
              </span>
            </Combobox.Option>
          ))}
          {fresh && <Combobox.Option value={wanted}>{props.create?.(wanted)}</Combobox.Option>}
          {found.length === 0 && !fresh && (
            // an option, since a list has to have one
            <Combobox.Option value="" disabled>
              {options.length === 0 ? 'None is known yet' : 'Nothing is called that'}
            </Combobox.Option>
          )}
        </Combobox.Options>
      </Combobox.Dropdown>
    </Combobox>
  );
}

/** The events that can be picked, with how often they came. */
export function useEventOptions(): Option[] {
  const names = useEventNames();
  return (names.data?.names ?? [])
    .toSorted((a, b) => Number(b.key) - Number(a.key) || b.count - a.count)
    .map((n) => ({
      value: n.name,
      label: eventLabel(n.name),
      hint: [n.key && 'key event', n.count > 0 ? `${compact(n.count)} seen` : 'not seen yet']
        .filter(Boolean)
        .join(' · '),
    }));
}

/** An event. */
export function EventChip(
  props: Common & {
    value: string;
    set: (event: string) => void;
    openAtFirst?: boolean;
    /** Instead of the event's name, such as for none. */
    label?: string | undefined;
  },
) {
  return (
    <PickChip
      {...props}
      options={useEventOptions()}
      placeholder="pick an event"
      search="Search, or name a new event"
      create={(text) => `New event: ${text}`}
    />
  );
}

/** Several events. */
export function EventsChip(
  props: Common & {
    value: readonly string[] | undefined;
    set: (events: string[]) => void;
    openAtFirst?: boolean | undefined;
    word?: 'or' | 'and';
    placeholder?: string;
  },
) {
  const value = props.value ?? [];
  return (
    <PickChip
      {...props}
      value={value[0] ?? ''}
      several={value}
      label={
        value.length > 0
          ? list(value.map(eventLabel), props.word ?? 'or')
          : (props.placeholder ?? 'pick events')
      }
      options={useEventOptions()}
      placeholder="pick events"
      search="Search, or name a new event"
      create={(text) => `New event: ${text}`}
      set={(event) =>
        props.set(value.includes(event) ? value.filter((v) => v !== event) : [...value, event])
      }
    />
  );
}
