import { Button, TextInput } from '@mantine/core';
import { useEffect, useRef, useState } from 'react';
import { Icon } from '../ui/Icon';
import css from './explore.module.css';
import { useEvents } from './useNames';

/** Picks one event after the other: it stays open until it is closed. */
export function EventPicker(props: {
  title: string;
  onPick: (event: string) => void;
  onClose: () => void;
  /** No more can be picked. */
  full?: boolean;
}) {
  const { options, loading } = useEvents();
  const [text, setText] = useState('');
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus({ preventScroll: true }), []);
  const wanted = text.trim();
  const found = options.filter((o) =>
    `${o.value} ${o.label}`.toLowerCase().includes(wanted.toLowerCase()),
  );
  const pick = (event: string) => {
    props.onPick(event);
    setText('');
    input.current?.focus({ preventScroll: true });
  };
  return (
    <section
      className={css.picker}
      aria-label={props.title}
      data-testid="picker"
      onKeyDown={(e) => {
        if (e.key === 'Escape') props.onClose();
      }}
    >
      <div className={css.pickerHead}>
        <b>{props.title}</b>
        <Button size="compact-sm" variant="default" onClick={props.onClose}>
          Done
        </Button>
      </div>
      <TextInput
        ref={input}
        size="sm"
        aria-label="Search events"
        placeholder="Search events; Enter picks the first"
        leftSection={<Icon name="search" size={15} />}
        value={text}
        onChange={(e) => setText(e.currentTarget.value)}
        onKeyDown={(e) => {
          const first = found[0]?.value ?? wanted;
          if (e.key === 'Enter' && wanted !== '' && !props.full) pick(first);
        }}
      />
      <ul className={css.events}>
        {found.map((o) => (
          <li key={o.value}>
            <button type="button" disabled={props.full} onClick={() => pick(o.value)}>
              <span className={css.eventName}>{o.label}</span>
              <span className={css.hint}>{o.hint}</span>
            </button>
          </li>
        ))}
        {found.length === 0 && (
          <li className={css.nothing} role="status">
            {loading
              ? 'Loading the events'
              : wanted
                ? `Nothing is called that; Enter takes “${wanted}” anyway`
                : 'Nobody did anything yet'}
          </li>
        )}
      </ul>
    </section>
  );
}
