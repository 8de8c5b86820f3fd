import { Button, Menu, Modal, TextInput } from '@mantine/core';
import { useState } from 'react';
import { Problem } from '../api/problem';
import { type Definition, useDefinitions, useSaveDefinition } from '../api/queries';
import { useMay } from '../api/session';
import { goodName, nameRule } from '../definition/useDraft';
import { QuietMenu } from '../trigger/Chip';
import { same } from '../trigger/spec';
import { done, failed } from '../ui/notice';
import css from './explore.module.css';
import type { FunnelStep } from './measure';
import { defaults, type Funnel } from './state';
import { useExplore } from './useExplore';
import { chartTitle, suggest } from './words';

/** A funnel as it is saved. */
export interface FunnelSpec {
  description?: string;
  steps: FunnelStep[];
  window: string;
  strict?: boolean;
  by?: { dimension?: string; field?: string };
}

/** What the page shows of a saved one. */
export const opening = (saved: Definition<FunnelSpec>): Funnel => {
  const { steps, window, strict, by } = saved.spec;
  const split = by?.dimension ?? by?.field;
  return {
    steps,
    window,
    ...(strict ? { strict } : {}),
    ...(split ? { by: split } : {}),
    saved: saved.name,
  };
};

const specOf = (f: Funnel, description?: string): FunnelSpec => ({
  ...(description ? { description } : {}),
  steps: f.steps,
  window: f.window,
  ...(f.strict ? { strict: true } : {}),
  ...(f.by ? { by: f.by.includes('.') ? { field: f.by } : { dimension: f.by } } : {}),
});

/** Opens, saves and names funnels that people come back to. */
export function SavedFunnels() {
  const { s, set } = useExplore();
  const funnel = s.funnel ?? defaults.funnel;
  const all = useDefinitions<FunnelSpec>('funnel');
  const save = useSaveDefinition('funnel');
  const may = useMay('marketer');
  const [naming, setNaming] = useState(false);
  const list = all.data?.definitions ?? [];
  const current = list.find((d) => d.name === funnel.saved);
  const changed = current && !same(opening(current), funnel);
  const store = (name: string, version: number, description?: string) =>
    save.mutate(
      { name, version, spec: { ...specOf(funnel, description) } },
      {
        onSuccess: () => {
          done(`The funnel ${name} is saved`);
          setNaming(false);
          set({ funnel: { ...funnel, saved: name } }, true);
        },
        onError: (error) =>
          error instanceof Problem && error.status === 412
            ? failed(
                'Not saved',
                new Error(
                  version > 0
                    ? `Somebody else saved ${name} meanwhile: open it again, or save yours as another one`
                    : `${name} exists already: choose another name`,
                ),
              )
            : failed('The funnel was not saved', error),
      },
    );
  if (list.length === 0 && (funnel.steps.length < 2 || !may)) return null;
  return (
    <>
      <QuietMenu
        width={260}
        target={
          <Button size="compact-sm" variant="default" className={css.savedFunnels}>
            {current ? `${current.name}${changed ? ' (changed)' : ''}` : 'Saved funnels'}
          </Button>
        }
      >
        {list.length > 0 && <Menu.Label>Open</Menu.Label>}
        {list.map((d) => (
          <Menu.Item key={d.name} onClick={() => set({ funnel: opening(d) })}>
            {d.name}
            {d.spec.description && <span className={css.savedAbout}>{d.spec.description}</span>}
          </Menu.Item>
        ))}
        {may && funnel.steps.length > 0 && (
          <>
            <Menu.Label>This one</Menu.Label>
            {current && !current.readOnly && (
              <Menu.Item
                disabled={!changed}
                onClick={() => store(current.name, current.version, current.spec.description)}
              >
                Save
              </Menu.Item>
            )}
            <Menu.Item onClick={() => setNaming(true)}>Save as …</Menu.Item>
          </>
        )}
      </QuietMenu>
      {naming && (
        <SaveAs
          suggested={suggest(
            chartTitle({ view: 'funnel', funnel: { ...funnel, saved: undefined } }),
            list.map((d) => d.name),
          )}
          saving={save.isPending}
          onSave={(name, description) => store(name, 0, description)}
          onClose={() => setNaming(false)}
        />
      )}
    </>
  );
}

function SaveAs(props: {
  suggested: string;
  saving: boolean;
  onSave: (name: string, description: string) => void;
  onClose: () => void;
}) {
  const [name, setName] = useState(props.suggested);
  const [description, setDescription] = useState('');
  const wrong = goodName(name) ? undefined : nameRule;
  return (
    <Modal
      opened
      onClose={props.onClose}
      title="Save the funnel"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form
        className={css.dialog}
        onSubmit={(e) => {
          e.preventDefault();
          if (!wrong) props.onSave(name, description);
        }}
      >
        <TextInput
          label="Name"
          value={name}
          error={wrong}
          onChange={(e) => setName(e.currentTarget.value)}
          data-autofocus
        />
        <TextInput
          label="Description"
          placeholder="optional"
          value={description}
          onChange={(e) => setDescription(e.currentTarget.value)}
        />
        <Button type="submit" loading={props.saving}>
          Save
        </Button>
      </form>
    </Modal>
  );
}
