import { TextInput } from '@mantine/core';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { type Definition, useDefinition, useDefinitions } from '../api/queries';
import { BoardChart } from '../board/BoardChart';
import { type BoardSpec, readBoard, withSteps } from '../board/spec';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { useEditor } from '../definition/useEditor';
import css from '../explore/explore.module.css';
import type { FunnelSpec } from '../explore/SavedFunnels';
import type { Opened } from '../explore/state';
import { suggest } from '../explore/words';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { put } from '../trigger/spec';
import { textOf } from '../trigger/yaml';
import { LinkButton } from '../ui/LinkButton';
import { Card } from '../ui/Page';
import { Empty } from '../ui/states';

type Saved = Definition<BoardSpec>;

/** A board that exists. */
export default function Board() {
  const { name } = useParams({ from: '/boards/$name' });
  const { open } = useSearch({ from: '/boards/$name' });
  const answer = useDefinition<BoardSpec>('board', name);
  const saved = useMemo(
    (): Saved | undefined =>
      answer.saved && {
        ...answer.saved,
        spec: { ...answer.saved.spec, charts: answer.saved.spec.charts ?? [] },
      },
    [answer.saved],
  );
  if (saved) return <Editor key={name} saved={saved} open={open} />;
  return <Absent kind="board" name={name} answer={answer} />;
}

/** A board that does not exist yet. */
export function NewBoard() {
  return <Editor saved={undefined} open={undefined} />;
}

const blank: BoardSpec = { charts: [] };

function Editor({
  saved,
  open,
}: {
  saved: Saved | undefined;
  open: (Opened & { chart: number }) | undefined;
}) {
  const navigate = useNavigate();
  const editor = useEditor<BoardSpec>({
    kind: 'board',
    saved,
    blank,
    suggest: (spec) => suggest(spec.title ?? '', []),
    toText: (name, spec) => textOf('board', name, spec, ['range', 'steps', 'by', 'of']),
    read: readBoard,
    onMade: (name) => void navigate({ to: '/boards/$name', params: { name }, replace: true }),
  });
  const { spec, yaml, readOnly } = editor;
  const { charts } = spec;
  const funnels = useDefinitions<FunnelSpec>('funnel');
  const named = (funnel: string) => funnels.data?.definitions.find((d) => d.name === funnel)?.spec;
  const change = (next: BoardSpec['charts']) => editor.change({ ...spec, charts: next });
  const nameless = readOnly || (saved !== undefined && !editor.draft.dirty);
  return (
    <Frame
      editor={editor}
      title={spec.title || saved?.name || 'New board'}
      lede={spec.description ?? 'Charts that answer again by themselves, every 5 s.'}
      cost="Its versions stay, and it can be made again."
      called="Charts"
      unsure={yaml && editor.written && !(editor.checked && !editor.waiting)}
      nameless={nameless}
      form={
        !nameless && (
          <TextInput
            label="Title"
            placeholder="What it is for"
            maxLength={120}
            p="md"
            value={spec.title ?? ''}
            onChange={(e) => editor.change(put(spec, 'title', e.currentTarget.value || undefined))}
          />
        )
      }
    >
      {!yaml && (
        <Mistakes
          all={editor.problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))}
        />
      )}
      {yaml ? null : charts.length === 0 ? (
        <Card>
          <Empty
            icon="explore"
            title="Nothing is on this board yet"
            cause="Charts come from Explore: look for what you want to keep an eye on, and choose “Add to a board” there."
            action={<LinkButton to="/explore">Open Explore</LinkButton>}
          />
        </Card>
      ) : (
        <div className={css.board}>
          {charts.map((chart, i) => (
            <BoardChart
              // the same question stays the same chart wherever it is moved
              key={`${JSON.stringify(chart.query)}-${charts.slice(0, i).filter((c) => c.title === chart.title).length}`}
              chart={chart}
              query={withSteps(chart.query, named)}
              at={i}
              of={charts.length}
              opened={open?.chart === i ? open : undefined}
              setOpened={(next) =>
                void navigate({
                  to: '.',
                  search: (old: object) => ({
                    ...old,
                    open: next && { ...next, chart: i },
                  }),
                  resetScroll: false,
                })
              }
              readOnly={readOnly}
              change={(next) =>
                change(charts.flatMap((other, n) => (n === i ? (next ?? []) : [other])))
              }
              move={(by) => {
                const next = charts.toSpliced(i, 1);
                next.splice(i + by, 0, chart);
                change(next);
              }}
            />
          ))}
        </div>
      )}
    </Frame>
  );
}
