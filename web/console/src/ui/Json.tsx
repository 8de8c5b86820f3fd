import { Fragment, type ReactNode } from 'react';
import css from './ui.module.css';

const token = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/g;

/** A value as coloured JSON text. */
export function Json({ value }: { value: unknown }) {
  return <pre className={css.json}>{paint(JSON.stringify(value, null, 2) ?? 'null')}</pre>;
}

function paint(text: string): ReactNode[] {
  const out: ReactNode[] = [];
  let last = 0;
  for (const match of text.matchAll(token)) {
    const at = match.index;
    out.push(<Fragment key={`t${at}`}>{text.slice(last, at)}</Fragment>);
    const [whole, quoted, colon, bare] = match;
    const kind = bare ? css.jsonNumber : colon ? css.jsonKey : css.jsonString;
    out.push(
      <span key={at} className={kind}>
        {quoted ?? bare}
      </span>,
      colon ?? '',
    );
    last = at + whole.length;
  }
  out.push(text.slice(last));
  return out;
}
