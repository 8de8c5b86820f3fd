import { ActionIcon, Alert, Button, Group, Menu, Modal } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { type Definition, useDeleteDefinition } from '../api/queries';
import { minuteTime } from '../format/time';
import { Difference } from '../trigger/Difference';
import css from '../trigger/trigger.module.css';
import { Icon } from '../ui/Icon';
import { done, failed } from '../ui/notice';
import { At } from '../ui/time';
import type { Draft } from './useDraft';

/** What there is beside what is edited: changes that were never saved, and what somebody else saved. */
export function Newer<S extends object>({ draft }: { draft: Draft<S> }) {
  return (
    <>
      <Unsaved draft={draft} />
      <Theirs draft={draft} />
    </>
  );
}

/** Changes from before a reload, a crash, or leaving the page. */
function Unsaved<S extends object>({ draft }: { draft: Draft<S> }) {
  const { offer } = draft;
  if (!offer) return null;
  return (
    <Alert
      variant="outline"
      mb="md"
      icon={<Icon name="clock" />}
      title="You have changes that were never saved"
      styles={{ body: { color: 'var(--mantine-color-text)', minWidth: 0 } }}
      data-testid="unsaved"
    >
      <Group gap="xs">
        <Button
          size="xs"
          h="auto"
          py={6}
          maw="100%"
          styles={{ label: { whiteSpace: 'normal', textAlign: 'start' } }} // on a phone
          onClick={() => draft.restore(offer)}
        >
          Restore your unsaved changes from {minuteTime(new Date(offer.at), new Date())}
        </Button>
        <Button size="xs" variant="default" onClick={() => draft.discard(offer)}>
          Discard them
        </Button>
      </Group>
    </Alert>
  );
}

/** Somebody else saved while this was edited. */
function Theirs<S extends object>({ draft }: { draft: Draft<S> }) {
  const { newer } = draft;
  if (!newer) return null;
  return (
    <Alert
      color="orange"
      variant="outline"
      mb="md"
      icon={<Icon name="alert" />}
      title={`${newer.author} saved version ${newer.version} while you were editing`}
      styles={{ body: { color: 'var(--mantine-color-text)' } }}
    >
      <Button size="xs" onClick={() => draft.setDiffers(true)}>
        See the difference
      </Button>
    </Alert>
  );
}

/** What asks before something is lost: two versions that differ, and leaving without saving. */
export function Questions<S extends object>(props: {
  draft: Draft<S>;
  saved: Definition<S> | undefined;
  yaml: (spec: S) => string;
}) {
  const { draft, saved, yaml } = props;
  const { blocker } = draft;
  return (
    <>
      {saved && (
        <Difference
          opened={draft.differs}
          onClose={() => draft.setDiffers(false)}
          title="Somebody else saved it"
          explain={
            <>
              {saved.author} saved version {saved.version} at <At at={saved.at} />. Keep one of the
              two, or go on editing.
            </>
          }
          before={yaml(saved.spec)}
          after={yaml(draft.spec)}
          legend={['only in theirs', 'only in yours']}
        >
          <Button onClick={() => draft.store(saved.name, saved.version)} loading={draft.saving}>
            Save mine over it
          </Button>
          <Button variant="default" onClick={draft.take}>
            Take theirs
          </Button>
        </Difference>
      )}
      <Modal
        opened={blocker.status === 'blocked'}
        onClose={() => blocker.reset?.()}
        title="Leave without saving?"
        closeButtonProps={{ 'aria-label': 'Stay' }}
      >
        <p className={css.plain}>
          {draft.stays
            ? 'What you changed stays in this browser and is offered when you come back.'
            : 'What you changed is not stored anywhere yet.'}
        </p>
        <div className={css.foot}>
          <Button color="red.8" onClick={() => blocker.proceed?.()}>
            Leave
          </Button>
          <Button variant="default" onClick={() => blocker.reset?.()} data-autofocus>
            Stay
          </Button>
        </div>
      </Modal>
    </>
  );
}

/** What is done seldom: copying it, and deleting it. */
export function More(props: {
  kind: string;
  saved: Pick<Definition<object>, 'name' | 'version'>;
  /** What the menu calls it. */
  label: string;
  /** What is lost with it. */
  cost: ReactNode;
  /** Begins another one that says the same. */
  onCopy?: (() => void) | undefined;
  onGone: () => void;
}) {
  const { kind, saved } = props;
  const [sure, setSure] = useState(false);
  const remove = useDeleteDefinition(kind);
  return (
    <>
      <Menu position="bottom-end" shadow="md" withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label="More">
            <Icon name="more" size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          {props.onCopy && (
            <Menu.Item leftSection={<Icon name="copy" size={15} />} onClick={props.onCopy}>
              Make a copy
            </Menu.Item>
          )}
          <Menu.Item
            leftSection={<Icon name="trash" size={15} />}
            onClick={() => setSure(true)}
            c="var(--heed-bad)"
          >
            {props.label}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal
        opened={sure}
        onClose={() => setSure(false)}
        title={`Delete ${saved.name}?`}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <p className={css.plain}>{props.cost}</p>
        <div className={css.foot}>
          <Button
            color="red.8"
            loading={remove.isPending}
            onClick={async () => {
              // by the time it is gone, so is what asked for it
              try {
                await remove.mutateAsync({ name: saved.name, version: saved.version });
              } catch (error) {
                setSure(false);
                failed('Not deleted', error);
                return;
              }
              done(`${saved.name} is deleted.`);
              props.onGone();
            }}
          >
            Delete
          </Button>
          <Button variant="default" onClick={() => setSure(false)} data-autofocus>
            Keep it
          </Button>
        </div>
      </Modal>
    </>
  );
}
