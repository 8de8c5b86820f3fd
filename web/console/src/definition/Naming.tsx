import { TextInput } from '@mantine/core';
import css from '../trigger/trigger.module.css';
import { goodName, nameRule } from './useDraft';

/** The name of a definition that has none yet, and what it is for. */
export function Naming(props: {
  saved: boolean;
  typed: string;
  suggested: string;
  setTyped: (name: string) => void;
  description: string | undefined;
  setDescription: (text: string | undefined) => void;
  readOnly: boolean;
}) {
  return (
    <div className={css.naming} data-saved={props.saved || undefined}>
      {!props.saved && (
        <TextInput
          label="Name"
          value={props.typed}
          placeholder={props.suggested}
          onChange={(e) => props.setTyped(e.currentTarget.value)}
          error={props.typed !== '' && !goodName(props.typed) && nameRule}
        />
      )}
      <TextInput
        label="Description"
        placeholder="optional"
        value={props.description ?? ''}
        onChange={(e) => props.setDescription(e.currentTarget.value || undefined)}
        readOnly={props.readOnly}
      />
    </div>
  );
}
