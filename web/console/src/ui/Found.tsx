import { Button, TextInput } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useEffect, useRef, useState } from 'react';
import { count, plural } from '../format/number';
import { Icon } from './Icon';
import css from './ui.module.css';

/** A list that is taken in at a glance needs no search. */
const few = 12;
/** What is drawn at a time: each row may ask for its own figures. */
const most = 50;

/**
 * A text that is searched for: here as it is typed, and in the URL for Back, a reload and who gets the
 * link. A field that only showed what the URL says would throw the caret to its end at each letter.
 */
export function useSearched(): [string, (text: string, also?: { name?: undefined }) => void] {
  const { q = '' } = useSearch({ strict: false });
  const navigate = useNavigate();
  const [text, setText] = useState(q);
  const writing = useRef(0);
  useEffect(() => {
    if (writing.current === 0) setText(q); // somebody went elsewhere on this page
  }, [q]);
  const set = (next: string, also: { name?: undefined } = {}) => {
    setText(next);
    writing.current++;
    void navigate({
      to: '.',
      search: (old) => ({ ...old, ...also, q: next || undefined }),
      replace: true,
      resetScroll: false,
    }).finally(() => {
      writing.current--;
    });
  };
  return [text, set];
}

/** The part of a list that is shown: what matches the words in the URL, some at a time. */
export interface Found<T> {
  /** All that match, shown or not. */
  all: readonly T[];
  shown: readonly T[];
  /** How long the whole list is. */
  of: number;
  q: string;
  search: (text: string) => void;
  more: () => void;
}

/** Narrows a list down to what holds every word that was typed. */
export function useFound<T>(
  list: readonly T[],
  textOf: (item: T) => readonly (string | undefined)[],
): Found<T> {
  const [q, search] = useSearched();
  const [shown, setShown] = useState(most);
  const words = q.toLowerCase().split(/\s+/).filter(Boolean);
  const all =
    words.length === 0
      ? list
      : list.filter((item) => {
          const text = textOf(item).join(' ').toLowerCase();
          return words.every((word) => text.includes(word));
        });
  return {
    all,
    shown: all.slice(0, shown),
    of: list.length,
    q,
    search,
    more: () => setShown((n) => n + most),
  };
}

/** What a long list is searched with. */
export function Filter({ found, many }: { found: Found<unknown>; many: string }) {
  const { q } = found;
  if (found.of <= few && q === '') return null;
  return (
    <div className={css.filter}>
      <TextInput
        size="sm"
        aria-label={`Search the ${many}`}
        placeholder={`Search the ${many}`}
        leftSection={<Icon name="search" size={16} />}
        value={q}
        onChange={(e) => found.search(e.currentTarget.value)}
      />
      {q !== '' && (
        <>
          <span className={css.asOf} role="status">
            {found.all.length === 0
              ? `none of ${count(found.of)}`
              : `${count(found.all.length)} of ${count(found.of)}`}
          </span>
          <Button size="xs" variant="default" onClick={() => found.search('')}>
            Clear
          </Button>
        </>
      )}
    </div>
  );
}

/** What stands below a list that is not shown to its end. */
export function Rest(props: { found: Found<unknown>; one: string; many?: string }) {
  const { found } = props;
  const { all, shown } = found;
  if (found.of > 0 && all.length === 0)
    return <p className={css.none}>Nothing that is listed here matches “{found.q}”.</p>;
  if (shown.length === all.length) return null;
  return (
    <p className={css.foot}>
      <Button size="xs" variant="default" onClick={found.more}>
        Show more
      </Button>{' '}
      <span>
        {count(shown.length)} of {plural(all.length, props.one, props.many)}
      </span>
    </p>
  );
}
