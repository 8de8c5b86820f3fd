import { Autocomplete } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useTemplatePreview, useUsers } from '../api/queries';
import { Sandbox } from '../ui/Sandbox';
import css from '../ui/ui.module.css';

interface Template {
  name: string;
  version: number;
}

/** A template as a sample, or as a user would read it, with what is missing of them. */
export function TemplatePreview({ template, sample }: { template: Template; sample: string }) {
  const [user, setUser] = useState('');
  const [asked] = useDebouncedValue(user.trim(), 200);
  const users = useUsers(asked, { limit: 8 });
  const preview = useTemplatePreview(template.name, template.version, asked);
  const shown = asked === '' ? undefined : preview.data;
  return (
    <>
      <Autocomplete
        label="As this user reads it"
        placeholder="user id"
        value={user}
        onChange={setUser}
        data={[...new Set(users.data?.users.map((u) => u.id))]}
      />
      {preview.error && asked !== '' ? (
        <p className={css.muted} role="alert">
          {messageOf(preview.error)}
        </p>
      ) : shown?.error ? (
        <p className={css.muted} role="alert">
          {shown.error}
        </p>
      ) : (
        <Rendered shown={shown} sample={sample} name={template.name} />
      )}
    </>
  );
}

function Rendered(props: { shown?: Schema['SendPreview']; sample: string; name: string }) {
  const { shown, sample, name } = props;
  const html = shown ? shown.body : sample;
  return (
    <>
      {shown?.subject && <b>{shown.subject}</b>}
      {html.includes('<') ? (
        <Sandbox html={html} title={`Preview of ${name}`} height={280} />
      ) : (
        <p style={{ whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', margin: 0 }}>{html}</p>
      )}
      <p className={css.muted} role="status" style={{ margin: 0 }}>
        {!shown
          ? 'Fields are shown by their default or their name.'
          : shown.missing.length === 0 && 'Every field has a value for this user.'}
      </p>
      {shown && shown.missing.length > 0 && (
        <div className={css.muted} data-testid="missing">
          Without a value for {shown.user}, and without a default:
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
