import { Textarea } from '@mantine/core';
import type { Ref } from 'react';
import css from './trigger.module.css';

/** Text whose lines are numbered, the wrong ones in red. */
export function Code(props: {
  label: string;
  text: string;
  set: (text: string) => void;
  wrong: readonly number[];
  readOnly: boolean;
  rows?: number;
  ref?: Ref<HTMLTextAreaElement>;
}) {
  const { wrong } = props;
  const lines = props.text.split('\n');
  return (
    <div className={css.editor}>
      <div className={css.gutter} aria-hidden="true">
        {lines.map((_, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is its number
          <span key={i} data-wrong={wrong.includes(i + 1) || undefined}>
            {i + 1}
          </span>
        ))}
      </div>
      <Textarea
        ref={props.ref ?? null}
        aria-label={props.label}
        // lines are not wrapped: there are as many as there are
        rows={Math.max(props.rows ?? 12, lines.length)}
        spellCheck={false}
        wrap="off"
        variant="unstyled"
        value={props.text}
        onChange={(e) => props.set(e.currentTarget.value)}
        readOnly={props.readOnly}
        classNames={{ input: css.code ?? '', root: css.codeRoot ?? '' }}
        styles={{ input: { padding: '10px 12px', color: 'var(--mantine-color-text)' } }}
        aria-invalid={wrong.length > 0}
      />
    </div>
  );
}
