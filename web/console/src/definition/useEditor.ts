import { useDebouncedValue } from '@mantine/hooks';
import { useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { type Definition, useCheck } from '../api/queries';
import { useMay } from '../api/session';
import type { Problem } from '../trigger/spec';
import { type Parsed, readText, type Shape } from '../trigger/yaml';
import type { Kind } from './homes';
import { goodName, useDraft } from './useDraft';

/** What may hold passwords: drafts of it are not kept in the browser. */
const secretive: readonly Kind[] = ['channel', 'stream'];

/** A definition that is edited in a form or as YAML, and is checked while it is. */
export function useEditor<S extends object>(asked: {
  kind: Kind;
  /** Who may change it. */
  role?: 'marketer' | 'admin';
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
  /** There is no form of it. */
  yamlOnly?: boolean;
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
  const may = useMay(asked.role ?? 'marketer');
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
    ...(!secretive.includes(kind) && {
      kept: {
        name: asked.fixed,
        also: { typed, text: broken && text },
        onRestore: (also: unknown) => {
          const { typed = '', text } = also as { typed?: string; text?: string };
          setTyped(typed);
          if (text !== undefined) write(text);
        },
      },
    }),
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
      return setBroken({
        line: 2,
        message:
          kind === 'settings'
            ? `These settings are called ${fixed}`
            : `A saved ${kind} keeps its name, ${fixed}`,
      });
    setBroken(undefined);
    draft.setSpec(read.spec);
    if (!fixed && read.name !== asked.suggest(read.spec)) setTyped(read.name);
  };

  // what it is called changes nothing about what it does
  const rule = useMemo(() => {
    const { description: _, ...rest } = spec as { description?: string };
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
    yaml: asked.yamlOnly === true || as === 'yaml',
    yamlOnly: asked.yamlOnly === true,
    text: text ?? toText(spec),
    /** It was written as text since it was last drawn. */
    written: text !== undefined,
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
      ? kind === 'settings'
        ? 'These settings are loaded from a folder at start; change them there'
        : `This ${kind} is loaded from a folder at start; change it there`
      : !may
        ? `Your role cannot change ${kind.replace(/s?$/, 's')}`
        : (asked.lacks?.(spec) ?? (problems.length > 0 ? wrong : undefined)),
  };
}

/** Why what has problems is not saved; they are shown where they are. */
export const wrong = 'Something is wrong with it';

export type Editor<S extends object> = ReturnType<typeof useEditor<S>>;
