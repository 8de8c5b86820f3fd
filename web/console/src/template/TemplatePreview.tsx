import { Autocomplete, NativeSelect, SegmentedControl } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useTemplatePreview, useUsers } from '../api/queries';
import { segmentsOf, segmentWords } from '../sms/segments';
import { Sandbox } from '../ui/Sandbox';
import css from '../ui/ui.module.css';
import { languageOf, type Spec } from './spec';
import own from './template.module.css';

/** No language: the text for everybody is shown. */
export const everybody = 'und';

/** A template as it goes out, to a user or to somebody of whom nothing is known. */
export function TemplatePreview(props: {
  name: string;
  spec: Spec;
  /** The language it is read in; without one it can be chosen here. */
  reader?: string;
}) {
  const { spec } = props;
  const [user, setUser] = useState('');
  const [chosen, choose] = useState('');
  const [asked] = useDebouncedValue(user.trim(), 200);
  const users = useUsers(asked, { limit: 8 });
  const preview = useTemplatePreview(spec, asked, props.reader ?? chosen);
  const locales = Object.keys(spec.locales ?? {});
  return (
    <>
      <Autocomplete
        label="As this user reads it"
        placeholder="somebody of whom nothing is known"
        value={user}
        onChange={setUser}
        data={[...new Set(users.data?.users.map((u) => u.id))]}
      />
      {props.reader === undefined && locales.length > 0 && (
        <NativeSelect
          label="In the language"
          value={chosen}
          onChange={(e) => choose(e.currentTarget.value)}
          data={[
            { value: '', label: 'of the user' },
            { value: everybody, label: 'for everybody else' },
            ...locales.map((value) => ({ value, label: languageOf(value) })),
          ]}
        />
      )}
      {preview.error ? (
        <p className={css.muted} role="alert">
          {messageOf(preview.error)}
        </p>
      ) : (
        preview.data && (
          <Rendered shown={preview.data} as={spec.as ?? ''} name={props.name} user={asked} />
        )
      )}
    </>
  );
}

/** How high the frame is. */
const heights: Record<string, number> = { email: 560, popup: 460, banner: 190 };

function Rendered(props: {
  shown: Schema['TemplatePreview'];
  as: string;
  name: string;
  user: string;
}) {
  const { shown, as, name } = props;
  const [view, setView] = useState('Phone');
  const [scheme, setScheme] = useState<'light' | 'dark'>('light');
  const letter = shown.type === 'email';
  const text = letter && view === 'Text' ? shown.text : shown.body;
  const html = shown.html && !(letter && view === 'Text');
  return (
    <>
      {shown.html && (
        <div className={own.views}>
          {letter && (
            <SegmentedControl
              size="xs"
              aria-label="How it is read"
              data={['Phone', 'Desktop', 'Text']}
              value={view}
              onChange={setView}
            />
          )}
          {html && (
            <SegmentedControl
              size="xs"
              aria-label="On a screen that is"
              data={[
                { value: 'light', label: 'Light' },
                { value: 'dark', label: 'Dark' },
              ]}
              value={scheme}
              onChange={(next) => setScheme(next === 'dark' ? 'dark' : 'light')}
            />
          )}
        </div>
      )}
      {shown.subject && <b>{shown.subject}</b>}
      {html ? (
        <div
          className={own.view}
          data-view={letter ? view : undefined}
          // what scrolls must be reachable by keyboard
          tabIndex={letter && view === 'Desktop' ? 0 : undefined}
        >
          <Sandbox
            html={text}
            title={`Preview of ${name}`}
            height={heights[letter ? 'email' : as] ?? 280}
            scheme={scheme}
            bare={letter || shown.type === 'web'}
          />
        </div>
      ) : (
        <p style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: 0 }}>{text}</p>
      )}
      {(shown.type === 'sms' || as === 'sms') && (
        <p className={css.muted} style={{ margin: 0 }}>
          {segmentWords(segmentsOf(text))}
        </p>
      )}
      {shown.link && (
        <p className={css.muted} style={{ margin: 0, overflowWrap: 'anywhere' }}>
          A click opens {shown.link}
        </p>
      )}
      {shown.missing.length === 0 ? (
        <p className={css.muted} role="status" style={{ margin: 0 }}>
          Every field has a value for {props.user || 'everybody'}.
        </p>
      ) : (
        <div className={css.muted} data-testid="missing">
          Without a value for {props.user || 'somebody unknown'}, and without a default:
          <ul>
            {[...new Set(shown.missing)].map((field) => (
              <li key={field} className={css.mono}>
                {field}
              </li>
            ))}
          </ul>
        </div>
      )}
    </>
  );
}
