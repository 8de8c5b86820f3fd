import { Button, TextInput } from '@mantine/core';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { type Definition, useDefinition, useDefinitions } from '../api/queries';
import { useMay } from '../api/session';
import { BoardChart } from '../board/BoardChart';
import { type BoardSpec, withSteps } from '../board/spec';
import { Absent } from '../definition/Absent';
import { More, Newer, Questions } from '../definition/Guards';
import { Naming } from '../definition/Naming';
import { goodName, nameRule, useDraft } from '../definition/useDraft';
import css from '../explore/explore.module.css';
import type { FunnelSpec } from '../explore/SavedFunnels';
import type { Opened } from '../explore/state';
import { suggest } from '../explore/words';
import { put } from '../trigger/spec';
import { textOf } from '../trigger/yaml';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
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
  return (
    <Absent
      kind="board"
      name={name}
      icon="explore"
      answer={answer}
      others={<LinkButton to="/boards">See all boards</LinkButton>}
    />
  );
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
  const may = useMay('marketer');
  const readOnly = !may || saved?.readOnly === true;
  const [typed, setTyped] = useState('');
  const draft = useDraft<BoardSpec>({
    kind: 'board',
    saved,
    blank,
    readOnly,
    onMade: (name) => void navigate({ to: '/boards/$name', params: { name }, replace: true }),
  });
  const { spec, setSpec, dirty } = draft;
  const suggested = suggest(spec.title ?? '', []);
  const name = saved?.name ?? (typed || suggested);
  const funnels = useDefinitions<FunnelSpec>('funnel');
  const named = (funnel: string) => funnels.data?.definitions.find((d) => d.name === funnel)?.spec;
  const { charts } = spec;
  const change = (next: BoardSpec['charts']) => setSpec({ ...spec, charts: next });
  const unchanged = saved !== undefined && !dirty;
  const why = saved?.readOnly
    ? 'This board is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change boards'
      : goodName(name)
        ? undefined
        : nameRule;
  return (
    <Page
      title={spec.title || saved?.name || 'New board'}
      lede={spec.description ?? 'Charts that answer again by themselves, every 5 s.'}
      actions={
        <>
          <LinkButton to="/boards" size="xs" variant="default">
            Boards
          </LinkButton>
          <Button
            size="xs"
            onClick={() => draft.store(name, draft.base.version)}
            disabled={why !== undefined || unchanged}
            title={why}
            loading={draft.saving}
          >
            {unchanged ? 'Saved' : 'Save'}
          </Button>
          {saved && !readOnly && (
            <More
              kind="board"
              saved={saved}
              label="Delete the board"
              cost="Its versions stay, and it can be made again."
              onGone={() => {
                draft.gone();
                void navigate({ to: '/boards' });
              }}
            />
          )}
        </>
      }
    >
      <Newer draft={draft} />
      <div data-quiet>
        {(!saved || dirty) && !readOnly && (
          <Card flush label="The board">
            <TextInput
              label="Title"
              placeholder="What it is for"
              maxLength={120}
              m="md"
              mb={0}
              value={spec.title ?? ''}
              onChange={(e) => setSpec(put(spec, 'title', e.currentTarget.value || undefined))}
            />
            <Naming
              saved={saved !== undefined}
              typed={typed}
              suggested={suggested}
              setTyped={setTyped}
              description={spec.description}
              setDescription={(said) => setSpec(put(spec, 'description', said))}
              readOnly={readOnly}
            />
          </Card>
        )}
        {charts.length === 0 ? (
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
      </div>
      <Questions
        draft={draft}
        saved={saved}
        yaml={(of) => textOf('board', name, of, ['range', 'steps', 'by', 'of'])}
      />
    </Page>
  );
}
