/**
 * What was typed and is not saved, kept in this browser: it outlives a reload and a tab that crashes.
 * Each editor that is open keeps its own; whoever opens the same definition later is offered the newest
 * of the others. Nothing that is kept leaves the browser, and only whoever typed it is offered it.
 */
export interface Kept<S = unknown> {
  /** When it was typed, in ms since 1970. */
  at: number;
  /** The version that it changes; 0: nothing is saved yet. */
  version: number;
  spec: S;
  /** What the editor holds beside the definition. */
  also?: unknown;
}

/** Whose it is, and of what; a definition that was never saved has no name yet. */
export interface Place {
  member: string;
  kind: string;
  name: string;
}

/** A kept draft, and where it lies. */
export type Found<S> = Kept<S> & { key: string };

const prefix = 'heed.draft/';
const most = 30;
const forMs = 14 * 86_400_000;

const folder = ({ member, kind, name }: Place): string =>
  `${prefix}${[member, kind, name].map(encodeURIComponent).join('/')}/`;

/** Where one editor keeps what is typed in it. */
export const keyOf = (place: Place, editor: string): string => folder(place) + editor;

function read(store: Storage, key: string): Kept | undefined {
  try {
    const kept = JSON.parse(store.getItem(key) ?? '') as Partial<Kept>;
    return typeof kept.at === 'number' &&
      typeof kept.version === 'number' &&
      typeof kept.spec === 'object' &&
      kept.spec
      ? (kept as Kept)
      : undefined;
  } catch {
    return undefined;
  }
}

/** All that is kept, the oldest first; what cannot be read counts as the oldest. */
function all(store: Storage): { key: string; at: number }[] {
  return Object.keys(store)
    .filter((key) => key.startsWith(prefix))
    .map((key) => ({ key, at: read(store, key)?.at ?? 0 }))
    .sort((a, b) => a.at - b.at);
}

/** Keeps a draft in the place of the one before it; false if the browser has no room or allows none. */
export function keep(store: Storage, key: string, draft: Kept): boolean {
  try {
    const others = all(store).filter((x) => x.key !== key);
    while (others.length >= most || (others[0] && others[0].at < draft.at - forMs))
      store.removeItem(others.shift()?.key ?? '');
    for (;;) {
      try {
        store.setItem(key, JSON.stringify(draft));
        return true;
      } catch {
        const oldest = others.shift();
        if (!oldest) return false;
        store.removeItem(oldest.key);
      }
    }
  } catch {
    return false;
  }
}

/** The newest draft of a place, but for the editor's own. */
export function offered<S>(
  store: Storage,
  place: Place,
  own: string,
  now: number,
): Found<S> | undefined {
  try {
    const here = folder(place);
    const found = all(store).findLast(
      (x) => x.key.startsWith(here) && x.key !== own && x.at > now - forMs,
    );
    const kept = found && read(store, found.key);
    return found && kept && { ...(kept as Kept<S>), key: found.key };
  } catch {
    return undefined;
  }
}

export function forget(store: Storage, key: string): void {
  try {
    store.removeItem(key);
  } catch {
    // where nothing can be kept, nothing is
  }
}
