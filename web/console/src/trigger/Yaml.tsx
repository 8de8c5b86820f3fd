import { Code } from './Code';
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
      <Code
        label={`The ${props.kind ?? 'trigger'} as YAML`}
        text={text}
        set={props.set}
        wrong={wrong.map((w) => w.line)}
        readOnly={props.readOnly}
      />
      <Mistakes all={wrong.map((w) => ({ message: `Line ${w.line}: ${w.message}` }))} />
    </div>
  );
}
