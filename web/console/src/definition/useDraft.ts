import { useQueryClient } from '@tanstack/react-query';
import { useBlocker } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { Problem } from '../api/problem';
import { type Definition, useSaveDefinition } from '../api/queries';
import { same } from '../trigger/spec';
import { done, failed } from '../ui/notice';
import type { Found } from './kept';
import { useKept } from './useKept';

export const goodName = (name: string): boolean => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name);
export const nameRule = '1 to 64 letters, digits, - _ and ., beginning with a letter or digit';

/**
 * A definition that is being edited: what is typed, what it is based on, and what somebody else
 * saved meanwhile. Nothing that was typed is lost without a question; what may lie in a browser is kept
 * there until it is saved.
 */
export function useDraft<S extends object>(asked: {
  kind: string;
  saved: Definition<S> | undefined;
  /** What a new one is before anything is typed, and what it begins with. */
  blank: S;
  start?: S | undefined;
  readOnly: boolean;
  /** What is typed cannot be read at the moment. */
  broken?: boolean;
  /** The spec was set from outside of the form. */
  onReset?: () => void;
  /** A new one was saved, whose page is another one. */
  onMade?: ((name: string) => void) | undefined;
  /** It holds no secrets: what is typed is kept in this browser, with what the editor holds beside it. */
  kept?: { name?: string | undefined; also: unknown; onRestore: (also: unknown) => void };
}) {
  const { kind, saved, blank, readOnly, onReset, kept } = asked;
  const queries = useQueryClient();
  const save = useSaveDefinition(kind);
  const [base, setBase] = useState({ spec: saved?.spec ?? blank, version: saved?.version ?? 0 });
  const [typed, setSpec] = useState<S>(asked.start ?? base.spec);
  const [differs, setDiffers] = useState(false);
  const left = useRef(false);
  const dirty = asked.broken === true || !same(typed, base.spec);
  // what nobody has changed yet is not worth keeping, though a new one may be worth saving
  const now = { spec: typed, also: kept?.also };
  const latest = useRef(now);
  latest.current = now;
  const [began, setBegan] = useState(now);
  const changed = !same(now, began) && (dirty || !same(now.also, began.also));
  const browser = useKept<S>({
    kind,
    name: kept?.name ?? saved?.name ?? '',
    version: base.version,
    ...now,
    changed: kept !== undefined && !readOnly && changed,
  });

  // What somebody else saved is taken over, unless it would cost what was typed here.
  const newer = saved && saved.version > base.version ? saved : undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: onReset is new every time
  useEffect(() => {
    if (newer && !dirty) {
      setBase({ spec: newer.spec, version: newer.version });
      setSpec(newer.spec);
      setBegan({ ...latest.current, spec: newer.spec });
      onReset?.();
    }
  }, [newer, dirty]);

  // what a page offers to begin with is lost by nobody who leaves it as it came
  const guarded = () => dirty && (asked.broken === true || changed) && !readOnly && !left.current;
  const blocker = useBlocker({
    shouldBlockFn: ({ current, next }) => guarded() && current.pathname !== next.pathname,
    enableBeforeUnload: () => guarded() && !(kept && browser.settle()),
    withResolver: true,
  });

  /** Saves what is typed, or what is made of it. */
  const store = (name: string, version: number, spec: S = typed, then?: () => void) =>
    save.mutate(
      { name, spec: spec as Record<string, unknown>, version },
      {
        onSuccess: (applied) => {
          done(`${name} is saved.`);
          setDiffers(false);
          then?.();
          setBase({ spec, version: applied.changes[0]?.version ?? version + 1 });
          setBegan({ ...latest.current, spec });
          browser.done();
          if (!saved && asked.onMade) {
            left.current = true;
            asked.onMade(name);
          }
        },
        onError: async (error) => {
          if (error instanceof Problem && error.status === 412 && saved) {
            await queries.refetchQueries({ queryKey: ['definitions', kind] });
            setDiffers(true);
          } else if (error instanceof Problem && error.status === 412) {
            failed(`“${name}” exists already`, new Error(`Give the new ${kind} another name`));
          } else failed('Not saved', error);
        },
      },
    );

  return {
    spec: typed,
    setSpec,
    base,
    dirty,
    /** What somebody else saved while this was edited. */
    newer: dirty ? newer : undefined,
    differs,
    setDiffers,
    store,
    saving: save.isPending,
    /** Drops what was typed. */
    take: () => {
      if (!saved) return;
      setBase({ spec: saved.spec, version: saved.version });
      setSpec(saved.spec);
      setBegan({ ...latest.current, spec: saved.spec });
      setDiffers(false);
      onReset?.();
    },
    /** What was typed before and never saved, if it is not what is here anyway. */
    offer:
      browser.offer &&
      kept &&
      !readOnly &&
      !same({ spec: browser.offer.spec, also: browser.offer.also }, now)
        ? browser.offer
        : undefined,
    /** Goes on with it: somebody may have saved another version since. */
    restore: (found: Found<S>) => {
      browser.adopt(found);
      setBase({ spec: saved?.spec ?? blank, version: saved ? found.version : 0 });
      setSpec(found.spec);
      onReset?.();
      kept?.onRestore(found.also);
    },
    discard: browser.discard,
    /** What is typed stays in this browser when its page is left. */
    stays: kept !== undefined,
    /** It is gone: leaving asks nothing any more. */
    gone: () => {
      left.current = true;
      browser.done();
    },
    blocker,
  };
}

export type Draft<S extends object> = ReturnType<typeof useDraft<S>>;
