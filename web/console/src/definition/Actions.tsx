import { Button, SegmentedControl } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { type Draft, goodName, nameRule } from './useDraft';

/** What stands beside the title of a definition: how it is edited, saving it, and what is done seldom. */
export function Actions<S extends object>(props: {
  draft: Draft<S>;
  name: string;
  yaml: boolean;
  /** The text cannot be read: it is neither saved nor shown as a sentence. */
  broken: boolean;
  /** Nothing differs from what is saved. */
  unchanged: boolean;
  /** What the button says, unless it is Save. */
  label?: string | undefined;
  /** Why it cannot be saved. */
  why: string | undefined;
  /** What the form is called, unless it is a sentence. */
  form?: string | undefined;
  /** Saves it, if that takes more than storing what is typed. */
  save?: (() => void) | undefined;
  /** How it is edited was changed; without it, there is one way only. */
  onEditAs?: (() => void) | undefined;
  children: ReactNode;
}) {
  const { draft, name, broken, unchanged, onEditAs } = props;
  const why = props.why ?? (goodName(name) ? undefined : nameRule);
  const navigate = useNavigate();
  return (
    <>
      {onEditAs && (
        <SegmentedControl
          size="xs"
          aria-label="Edit as"
          value={props.yaml ? 'yaml' : 'sentence'}
          disabled={broken}
          data={[
            { value: 'sentence', label: props.form ?? 'Sentence' },
            { value: 'yaml', label: 'YAML' },
          ]}
          onChange={(next) => {
            onEditAs();
            void navigate({
              to: '.',
              search: (old) => ({ ...old, as: next === 'yaml' ? ('yaml' as const) : undefined }),
              replace: true,
            });
          }}
        />
      )}
      <Button
        size="xs"
        onClick={props.save ?? (() => draft.store(name, draft.base.version))}
        disabled={why !== undefined || broken || unchanged}
        title={why}
        loading={draft.saving}
      >
        {unchanged ? 'Saved' : (props.label ?? 'Save')}
      </Button>
      {props.children}
    </>
  );
}
