import { Textarea } from '@mantine/core';
import { Mistakes, wordsOf } from './Mistakes';
import type { Problem } from './spec';
import css from './trigger.module.css';
import { lineOf } from './yaml';

/** The same definition as text. */
export function Yaml(props: {
  /** What it is: trigger. */
  kind?: string;
  text: string;
  set: (text: string) => void;
  broken: { line: number; message: string } | undefined;
  problems: readonly Problem[];
  readOnly: boolean;
}) {
  const { text, broken } = props;
  const wrong = broken
    ? [broken]
    : props.problems.map((p) => ({
        line: p.path ? lineOf(text, p.path) : 1,
        message: `${p.path ? `${p.path}: ` : ''}${wordsOf(p)}`,
      }));
  return (
    <div className={css.yaml}>
      <div className={css.editor}>
        <div className={css.gutter} aria-hidden="true">
          {text.split('\n').map((_, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a line is its number
            <span key={i} data-wrong={wrong.some((w) => w.line === i + 1) || undefined}>
              {i + 1}
            </span>
          ))}
        </div>
        <Textarea
          aria-label={`The ${props.kind ?? 'trigger'} as YAML`}
          autosize
          minRows={12}
          spellCheck={false}
          wrap="off"
          variant="unstyled"
          value={text}
          onChange={(e) => props.set(e.currentTarget.value)}
          readOnly={props.readOnly}
          classNames={{ input: css.code ?? '', root: css.codeRoot ?? '' }}
          styles={{ input: { padding: '10px 12px', color: 'var(--mantine-color-text)' } }}
          aria-invalid={wrong.length > 0}
        />
      </div>
      <Mistakes all={wrong.map((w) => ({ message: `Line ${w.line}: ${w.message}` }))} />
    </div>
  );
}
