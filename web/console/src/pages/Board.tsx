import { TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { type Definition, useCheck, useDefinition, useDefinitions } from '../api/queries';
import { useMay } from '../api/session';
import { BoardChart } from '../board/BoardChart';
import { type BoardSpec, readBoard, withSteps } from '../board/spec';
import { Absent } from '../definition/Absent';
import { Actions } from '../definition/Actions';
import { More, Newer, Questions } from '../definition/Guards';
import { Naming } from '../definition/Naming';
import { goodName, useDraft } from '../definition/useDraft';
import css from '../explore/explore.module.css';
import type { FunnelSpec } from '../explore/SavedFunnels';
import type { Opened } from '../explore/state';
import { suggest } from '../explore/words';
import { put } from '../trigger/spec';
import { Yaml } from '../trigger/Yaml';
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
  const { as } = useSearch({ strict: false });
  const may = useMay('marketer');
  const readOnly = !may || saved?.readOnly === true;
  const [typed, setTyped] = useState('');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const draft = useDraft<BoardSpec>({
    kind: 'board',
    saved,
    blank,
    readOnly,
    broken: broken !== undefined,
    onReset: () => {
      setText(undefined);
      setBroken(undefined);
    },
    onMade: (name) => void navigate({ to: '/boards/$name', params: { name }, replace: true }),
    kept: {
      also: { typed, text: broken && text },
      onRestore: (also) => {
        const { typed = '', text } = also as { typed?: string; text?: string };
        setTyped(typed);
        if (text !== undefined) write(text);
      },
    },
  });
  const { spec, setSpec, dirty } = draft;
  const suggested = suggest(spec.title ?? '', []);
  const name = saved?.name ?? (typed || suggested);
  const funnels = useDefinitions<FunnelSpec>('funnel');
  const named = (funnel: string) => funnels.data?.definitions.find((d) => d.name === funnel)?.spec;
  const { charts } = spec;
  const yaml = as === 'yaml';
  const toText = (of: BoardSpec) => textOf('board', name, of, ['range', 'steps', 'by', 'of']);
  const [asked] = useDebouncedValue(spec, 150);
  const check = useCheck('board', goodName(name) ? name : 'draft', asked, yaml && !broken);
  const problems = yaml && !broken ? (check.data?.problems ?? []) : [];
  // what was written is only drawn once it is known to be a board
  const written = yaml && text !== undefined;
  const checked = asked === spec && !check.isPlaceholderData && check.data?.problems.length === 0;
  const write = (next: string) => {
    setText(next);
    const read = readBoard(next);
    if ('line' in read) return setBroken(read);
    if (saved && read.name !== '' && read.name !== saved.name)
      return setBroken({ line: 2, message: `A saved board keeps its name, ${saved.name}` });
    setBroken(undefined);
    setSpec(read.spec);
    if (!saved && read.name !== suggested) setTyped(read.name);
  };
  const change = (next: BoardSpec['charts']) => setSpec({ ...spec, charts: next });
  const unchanged = saved !== undefined && !dirty;
  const why = saved?.readOnly
    ? 'This board is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change boards'
      : problems.length > 0
        ? 'Something is wrong with it'
        : undefined;
  return (
    <Page
      title={spec.title || saved?.name || 'New board'}
      lede={spec.description ?? 'Charts that answer again by themselves, every 5 s.'}
      actions={
        <>
          <LinkButton to="/boards" size="xs" variant="default">
            Boards
          </LinkButton>
          <Actions
            draft={draft}
            name={name}
            yaml={yaml}
            form="Charts"
            broken={broken !== undefined || (written && !checked)}
            unchanged={unchanged}
            why={why}
            onEditAs={() => setText(undefined)}
          >
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
          </Actions>
        </>
      }
    >
      <Newer draft={draft} />
      <div data-quiet>
        {yaml && (
          <Card flush label="The board">
            <Yaml
              kind="board"
              text={text ?? toText(spec)}
              set={write}
              broken={broken}
              problems={problems}
              readOnly={readOnly}
            />
          </Card>
        )}
        {!yaml && (!saved || dirty) && !readOnly && (
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
      </div>
      <Questions draft={draft} saved={saved} yaml={toText} />
    </Page>
  );
}
