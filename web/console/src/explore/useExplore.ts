import { useNavigate, useSearch } from '@tanstack/react-router';
import { createContext, useContext, useEffect, useRef } from 'react';
import { failed } from '../ui/notice';
import type { Answer, Mark, Query } from './measure';
import { type Opened, readSearch, type Search } from './state';
import { download, type Format } from './useMeasure';

/** The zone of the browser. */
export const localZone = (): string => Intl.DateTimeFormat().resolvedOptions().timeZone || 'UTC';

/** The URL's state, and changing it. Whatever else changes, what was open is closed. */
export function useSearchState(): [Search, (patch: Partial<Search>, replace?: boolean) => void] {
  const search = useSearch({ from: '/explore' });
  const navigate = useNavigate({ from: '/explore' });
  return [
    search,
    (patch, replace = false) => {
      void navigate({
        search: (old) => readSearch({ ...old, open: undefined, ...patch }),
        replace,
        resetScroll: false,
      });
    },
  ];
}

/** What the parts of the page share. */
export interface Explore {
  s: Search;
  set: (patch: Partial<Search>, replace?: boolean) => void;
  zone: string;
  query: Query | undefined;
  /** The newest answer; of the question before while old. */
  answer: Answer | undefined;
  old: boolean;
  pending: boolean;
  error: unknown;
  retry: () => void;
  /** Shows who is behind a mark that says n. */
  open: (mark: Mark, n?: number) => void;
  save: ((format: Format) => void) | undefined;
  /** On a board: what is asked is not changed here, and this is what it is called. */
  fixed?: string;
}

const context = createContext<Explore | undefined>(undefined);
export const ExploreProvider = context.Provider;

export function useExplore(): Explore {
  const value = useContext(context);
  if (!value) throw new Error('not within the page');
  return value;
}

/** Gives focus back to what opened the drawer. */
export function useReturnFocus(isOpen: boolean): void {
  const from = useRef<Element | null>(null);
  useEffect(() => {
    if (isOpen) {
      from.current = document.activeElement;
      return;
    }
    if (from.current instanceof HTMLElement || from.current instanceof SVGElement)
      from.current.focus();
    from.current = null;
  }, [isOpen]);
}

/** The mark, as of the answer that is shown. */
export function opened(answer: Answer | undefined, mark: Mark, n?: number): Opened | undefined {
  return answer && { at: answer.asOf, mark, ...(n === undefined ? {} : { n }) };
}

/** A function that saves the numbers of an answer, as of the same time. */
export function saveTable(query: Query, asOf: string, name: string, format: Format): void {
  download('/measures:query', { ...query, asOf }, name, format).catch((error: unknown) =>
    failed('The file was not saved', error),
  );
}
