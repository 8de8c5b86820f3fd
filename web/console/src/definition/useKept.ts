import { useEffect, useRef, useState } from 'react';
import { useMe } from '../api/session';
import { type Found, forget, keep, keyOf, offered } from './kept';

/** How long somebody must stop typing before it is kept, in ms. */
const pause = 250;

/** Keeps what is typed in this browser until it is saved, and offers what was kept and never saved. */
export function useKept<S extends object>(asked: {
  kind: string;
  name: string;
  version: number;
  spec: S;
  also: unknown;
  /** It differs from what the editor began with, and may be kept. */
  changed: boolean;
}) {
  const { kind, name, version, spec, also, changed } = asked;
  const me = useMe().data;
  const place = { member: me?.email ?? me?.name ?? '', kind, name };
  const own = useRef('');
  own.current ||= keyOf(place, crypto.randomUUID());
  const [offer, setOffer] = useState(() =>
    offered<S>(localStorage, place, own.current, Date.now()),
  );
  /** What is typed and not kept yet. */
  const due = useRef<() => void>(undefined);
  const safe = useRef(false);

  const text = JSON.stringify([spec, also, version]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the text is what it depends on
  useEffect(() => {
    if (!changed) {
      due.current = undefined;
      forget(localStorage, own.current);
      return;
    }
    const write = () => {
      due.current = undefined;
      safe.current = keep(localStorage, own.current, { at: Date.now(), version, spec, also });
    };
    due.current = write;
    const timer = setTimeout(write, pause);
    return () => clearTimeout(timer);
  }, [text, changed]);
  useEffect(() => {
    const flush = () => due.current?.();
    document.addEventListener('visibilitychange', flush);
    window.addEventListener('pagehide', flush);
    return () => {
      flush();
      document.removeEventListener('visibilitychange', flush);
      window.removeEventListener('pagehide', flush);
    };
  }, []);

  return {
    offer,
    /** Keeps all that is typed, now; false if it cannot be kept. */
    settle: () => {
      due.current?.();
      return safe.current;
    },
    /** It was saved, or is no longer wanted. */
    done: () => {
      due.current = undefined;
      forget(localStorage, own.current);
    },
    /** What was offered is in the editor now: it is kept as before. */
    adopt: (found: Found<S>) => {
      own.current = found.key;
      setOffer(undefined);
    },
    discard: (found: Found<S>) => {
      forget(localStorage, found.key);
      setOffer(offered<S>(localStorage, place, own.current, Date.now()));
    },
  };
}
