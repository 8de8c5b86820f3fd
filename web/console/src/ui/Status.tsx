import { statusWords } from '../format/words';
import css from './ui.module.css';

/** A small coloured word. */
export function Pill({ color, children }: { color: string; children: string }) {
  return (
    <span className={css.pill} data-color={color}>
      {children}
    </span>
  );
}

/** A status: word first, colour second. */
export function Status({ status }: { status: string }) {
  const { label, color } = statusWords(status);
  return <Pill color={color}>{label}</Pill>;
}
