import { useDebouncedValue } from '@mantine/hooks';
import { useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { type Definition, useCheck } from '../api/queries';
import { useMay } from '../api/session';
import type { Problem } from '../trigger/spec';
import { type Parsed, readText, type Shape } from '../trigger/yaml';
import { goodName, useDraft } from './useDraft';

/** A definition that is edited in a form or as YAML, and is checked while it is. */
export function useEditor<S extends { description?: string }>(asked: {
  kind: string;
  saved: Definition<S> | undefined;
  /** The name it has although it was never saved. */
  fixed?: string | undefined;
  blank: S;
  start?: S | undefined;
  /** The name that is typed at first. */
  called?: string | undefined;
  /** What it is called while nobody names it. */
  suggest: (spec: S) => string;
  toText: (name: string, spec: S) => string;
  /** What the form can draw, and how the text is read if not by that. */
  shape?: Shape;
  read?: (text: string) => Parsed<S>;
  /** What is still missing before it can be saved. */
  lacks?: (spec: S) => string | undefined;
  /** There is enough of it to be checked; always, if left out. */
  complete?: (spec: S) => boolean;
  onMade?: ((name: string) => void) | undefined;
}) {
  const { kind, saved } = asked;
  const { as } = useSearch({ strict: false });
  const may = useMay('marketer');
  const readOnly = !may || saved?.readOnly === true;
  const [typed, setTyped] = useState(asked.called ?? '');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const reset = () => {
    setText(undefined);
    setBroken(undefined);
  };
  const draft = useDraft<S>({
    kind,
    saved,
    blank: asked.blank,
    start: asked.start,
    readOnly,
    broken: broken !== undefined,
    onReset: reset,
    onMade: asked.onMade,
    kept: {
      name: asked.fixed,
      also: { typed, text: broken && text },
      onRestore: (also) => {
        const { typed = '', text } = also as { typed?: string; text?: string };
        setTyped(typed);
        if (text !== undefined) write(text);
      },
    },
  });
  const { spec } = draft;
  const fixed = asked.fixed ?? saved?.name;
  const suggested = asked.suggest(spec);
  const name = fixed ?? (typed || suggested);
  const toText = (of: S) => asked.toText(name, of);

  const write = (next: string) => {
    setText(next);
    const read = asked.read?.(next) ?? (readText(kind, next, asked.shape) as Parsed<S>);
    if ('line' in read) return setBroken(read);
    if (fixed && read.name !== '' && read.name !== fixed)
      return setBroken({ line: 2, message: `A saved ${kind} keeps its name, ${fixed}` });
    setBroken(undefined);
    draft.setSpec(read.spec);
    if (!fixed && read.name !== asked.suggest(read.spec)) setTyped(read.name);
  };

  // what it is called changes nothing about what it does
  const rule = useMemo(() => {
    const { description: _, ...rest } = spec;
    return rest as S;
  }, [spec]);
  const [wanted] = useDebouncedValue(rule, 150);
  const askable = !broken && (asked.complete?.(wanted) ?? true);
  const check = useCheck(kind, goodName(name) ? name : 'draft', wanted, askable);
  const problems: Problem[] = askable ? (check.data?.problems ?? []) : [];

  return {
    kind,
    saved,
    draft,
    spec,
    name,
    fixed,
    typed,
    setTyped,
    suggested,
    readOnly,
    yaml: as === 'yaml',
    text: text ?? toText(spec),
    toText,
    showText: () => setText(undefined),
    broken,
    /** What was typed a moment ago, but for the description: it is what problems are about. */
    asked: wanted,
    /** Something else was typed since then. */
    waiting: wanted !== rule,
    askable,
    problems,
    /** It is known that nothing is wrong with it. */
    checked:
      askable && problems.length === 0 && check.data !== undefined && !check.isPlaceholderData,
    change: (next: S) => {
      draft.setSpec(next);
      reset();
    },
    write,
    /** Why it cannot be saved. */
    why: saved?.readOnly
      ? `This ${kind} is loaded from a folder at start; change it there`
      : !may
        ? `Your role cannot change ${kind}s`
        : asked.lacks?.(spec),
  };
}

export type Editor<S extends { description?: string }> = ReturnType<typeof useEditor<S>>;
