import type { Schema } from '../api/client';
import { dayTime } from '../format/time';
import { suppressionWords } from '../format/words';
import { Pill } from './Status';
import css from './ui.module.css';

/** Why an address must not be written to. */
export function Suppressions({ list }: { list: Schema['Suppression'][] }) {
  return (
    <ul style={{ listStyle: 'none', margin: 0, padding: 0, display: 'grid', gap: '0.5rem' }}>
      {list.map((s) => (
        <li key={`${s.reason} ${s.sender} ${s.campaign}`}>
          <Pill color="orange">{suppressionWords(s.reason)}</Pill>{' '}
          <span className={css.small}>
            {s.sentence}
            {s.campaign && ` Only messages of ${s.campaign}.`}
            {s.sender && ` Only what is sent as ${s.sender}.`}
            {s.detail && ` “${s.detail}”`}
            {s.at && ` ${dayTime(new Date(s.at))}`}
          </span>
        </li>
      ))}
    </ul>
  );
}
