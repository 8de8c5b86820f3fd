import { Autocomplete, SegmentedControl } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useTemplatePreview, useUsers } from '../api/queries';
import { Sandbox } from '../ui/Sandbox';
import css from '../ui/ui.module.css';

/** A template as it goes out, to a user or to somebody of whom nothing is known. */
export function TemplatePreview(props: { name: string; spec: Schema['TemplateSpec'] }) {
  const [user, setUser] = useState('');
  const [asked] = useDebouncedValue(user.trim(), 200);
  const users = useUsers(asked, { limit: 8 });
  const preview = useTemplatePreview(props.spec, asked);
  return (
    <>
      <Autocomplete
        label="As this user reads it"
        placeholder="somebody of whom nothing is known"
        value={user}
        onChange={setUser}
        data={[...new Set(users.data?.users.map((u) => u.id))]}
      />
      {preview.error ? (
        <p className={css.muted} role="alert">
          {messageOf(preview.error)}
        </p>
      ) : (
        preview.data && <Rendered shown={preview.data} name={props.name} user={asked} />
      )}
    </>
  );
}

function Rendered(props: { shown: Schema['TemplatePreview']; name: string; user: string }) {
  const { shown, name } = props;
  const [view, setView] = useState('Phone');
  const letter = shown.type === 'email';
  const text = letter && view === 'Text' ? shown.text : shown.body;
  return (
    <>
      {letter && (
        <SegmentedControl
          aria-label="How it is read"
          data={['Phone', 'Desktop', 'Text']}
          value={view}
          onChange={setView}
        />
      )}
      {shown.subject && <b>{shown.subject}</b>}
      {text.includes('<') ? (
        <div style={{ maxWidth: letter && view === 'Phone' ? 390 : undefined }}>
          <Sandbox html={text} title={`Preview of ${name}`} height={letter ? 520 : 280} />
        </div>
      ) : (
        <p style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: 0 }}>{text}</p>
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
