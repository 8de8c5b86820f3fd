import { Button, Modal, NativeSelect, TextInput } from '@mantine/core';
import { useState } from 'react';
import { client, take } from '../api/client';
import { Problem } from '../api/problem';
import { useDefinitions, useSaveDefinition } from '../api/queries';
import { useMay } from '../api/session';
import { goodName, nameRule } from '../definition/useDraft';
import css from '../explore/explore.module.css';
import type { Query } from '../explore/measure';
import type { Search } from '../explore/state';
import { chartTitle, suggest } from '../explore/words';
import { Icon } from '../ui/Icon';
import { done, failed } from '../ui/notice';
import type { BoardSpec, ChartSpec } from './spec';

const fresh = '';
const tries = 3;

/** Puts what Explore shows onto a board. */
export function AddToBoard({ s, query }: { s: Search; query: Query }) {
  const [opened, setOpened] = useState(false);
  const may = useMay('marketer');
  if (!may) return null;
  return (
    <>
      <Button
        size="xs"
        variant="default"
        leftSection={<Icon name="plus" size={14} />}
        onClick={() => setOpened(true)}
      >
        Add to a board
      </Button>
      <Modal
        opened={opened}
        onClose={() => setOpened(false)}
        title="Add the chart to a board"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <Form
          chart={{
            title: chartTitle(s),
            query,
            ...(s.table ? { as: 'table' as const } : {}),
          }}
          onDone={() => setOpened(false)}
        />
      </Modal>
    </>
  );
}

function Form({ chart, onDone }: { chart: ChartSpec; onDone: () => void }) {
  const boards = useDefinitions<BoardSpec>('board');
  const list = (boards.data?.definitions ?? []).filter((d) => !d.readOnly);
  const save = useSaveDefinition('board');
  const [title, setTitle] = useState(chart.title);
  const [picked, setPicked] = useState<string>();
  const [typed, setTyped] = useState<string>();
  const board = picked ?? list[0]?.name ?? fresh;
  const name =
    typed ??
    suggest(
      'my board',
      (boards.data?.definitions ?? []).map((d) => d.name),
    );
  const wrong = board === fresh && !goodName(name) ? nameRule : undefined;
  const add = async () => {
    const next = { ...chart, title };
    if (board === fresh) {
      await save.mutateAsync({ name, version: 0, spec: { charts: [next] } });
      return name;
    }
    // one more chart fits whatever somebody else saved meanwhile
    for (let n = 1; ; n++) {
      const path = { kind: 'board', name: board };
      const now = await take(client.GET('/definitions/{kind}/{name}', { params: { path } }));
      const {
        name: _,
        kind: __,
        ...spec
      } = now.spec as object as BoardSpec & {
        name?: string;
        kind?: string;
      };
      try {
        await save.mutateAsync({
          name: board,
          version: now.version,
          spec: { ...spec, charts: [...(spec.charts ?? []), next] },
        });
        return board;
      } catch (error) {
        if (!(error instanceof Problem && error.status === 412) || n === tries) throw error;
      }
    }
  };
  return (
    <form
      className={css.dialog}
      onSubmit={(e) => {
        e.preventDefault();
        if (wrong || title.trim() === '') return;
        add().then(
          (to) => {
            done(`The chart is on the board ${to}.`);
            onDone();
          },
          (error: unknown) => failed('The chart was not added', error),
        );
      }}
    >
      <TextInput
        label="Title of the chart"
        value={title}
        error={title.trim() === '' && 'It needs a title'}
        maxLength={120}
        onChange={(e) => setTitle(e.currentTarget.value)}
        data-autofocus
      />
      <NativeSelect
        label="Board"
        value={board}
        onChange={(e) => setPicked(e.currentTarget.value)}
        data={[
          ...list.map((d) => ({ value: d.name, label: d.spec.title || d.name })),
          { value: fresh, label: 'A new board' },
        ]}
      />
      {board === fresh && (
        <TextInput
          label="Name of the new board"
          value={name}
          error={wrong}
          onChange={(e) => setTyped(e.currentTarget.value)}
        />
      )}
      <Button type="submit" loading={save.isPending}>
        Add
      </Button>
    </form>
  );
}
