import { SegmentedControl, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import type { Schema } from '../api/client';
import { type Definition, useCheck, useDefinition } from '../api/queries';
import { useMay } from '../api/session';
import { Group } from '../audience/Group';
import { Kept, Preview } from '../audience/Rail';
import {
  complete,
  join,
  type Node,
  rootOf,
  type Spec,
  split,
  starters,
  treeOf,
  words,
} from '../audience/tree';
import { Absent } from '../definition/Absent';
import { Actions } from '../definition/Actions';
import { More, Newer, Questions } from '../definition/Guards';
import { Naming } from '../definition/Naming';
import { goodName, useDraft } from '../definition/useDraft';
import { suggest } from '../explore/words';
import { fullTime } from '../format/time';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { put } from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { Yaml } from '../trigger/Yaml';
import { readText, textOf } from '../trigger/yaml';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { At } from '../ui/time';
import ui from '../ui/ui.module.css';

type Saved = Definition<Spec>;

/** An audience that exists. */
export default function Audience() {
  const { name } = useParams({ from: '/audiences/$name' });
  const answer = useDefinition<Spec>('audience', name);
  const { saved } = answer;
  if (saved) return <Editor key={name} saved={saved} start={saved.spec} />;
  return (
    <Absent
      kind="audience"
      name={name}
      icon="audience"
      answer={answer}
      others={<LinkButton to="/audiences">See all audiences</LinkButton>}
    />
  );
}

/** An audience that does not exist yet. */
export function NewAudience() {
  const { starter } = useSearch({ from: '/new/audience' });
  const from = starters.find((s) => s.name === starter);
  return (
    <Editor
      key={starter ?? ''}
      saved={undefined}
      start={from ? { description: from.about, ...(from.tree as Node) } : {}}
      called={from?.name}
    />
  );
}

const short = ['where', 'is', 'during', 'steps', 'values'];

function Editor(props: { saved: Saved | undefined; start: Spec; called?: string | undefined }) {
  const { saved } = props;
  const navigate = useNavigate();
  const { as } = useSearch({ strict: false });
  const may = useMay('marketer');
  const readOnly = !may || saved?.readOnly === true;
  const [typed, setTyped] = useState(props.called ?? '');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const [added, setAdded] = useState<Node>();
  const reset = () => {
    setText(undefined);
    setBroken(undefined);
  };
  const draft = useDraft<Spec>({
    kind: 'audience',
    saved,
    blank: {},
    start: props.start,
    readOnly,
    broken: broken !== undefined,
    onReset: reset,
    onMade: (name) => void navigate({ to: '/audiences/$name', params: { name }, replace: true }),
  });
  const { spec, dirty } = draft;
  const { about, tree } = split(spec);
  const suggested = suggest(words(tree), []);
  const name = saved?.name ?? (typed || suggested);
  const yaml = as === 'yaml';
  const toText = (of: Spec) => textOf('audience', name, of, short);

  const [asked] = useDebouncedValue(spec, 120);
  const askable = complete(split(asked).tree) && !broken;
  const check = useCheck('audience', goodName(name) ? name : 'draft', asked, askable);
  const problems = askable ? (check.data?.problems ?? []) : [];
  const preview = useMemo(() => {
    const { description: _, frozen: __, ...rest } = asked;
    return rest as Schema['AudiencePreviewRequest'];
  }, [asked]);
  const root = rootOf(tree);

  const change = (next: Spec) => {
    draft.setSpec(next);
    reset();
  };
  const write = (next: string) => {
    setText(next);
    const read = readText('audience', next);
    if ('line' in read) return setBroken(read);
    if (saved && read.name !== '' && read.name !== saved.name)
      return setBroken({ line: 2, message: `A saved audience keeps its name, ${saved.name}` });
    setBroken(undefined);
    draft.setSpec(read.spec);
    if (!saved && read.name !== suggested) setTyped(read.name);
  };
  const why = saved?.readOnly
    ? 'This audience is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change audiences'
      : !complete(tree)
        ? 'A condition is not finished yet'
        : Object.keys(tree).length === 0
          ? 'It has no condition yet: everybody needs no audience'
          : undefined;
  return (
    <Page
      title={saved?.name ?? 'New audience'}
      lede={
        complete(tree) && Object.keys(tree).length > 0
          ? `Segment: ${words(tree)}.`
          : 'Who should it be? Say it in sentences.'
      }
      actions={
        <Actions
          draft={draft}
          name={name}
          yaml={yaml}
          broken={broken !== undefined}
          unchanged={saved !== undefined && !dirty}
          why={why}
          onEditAs={() => setText(undefined)}
        >
          {saved && !readOnly && (
            <More
              kind="audience"
              saved={saved}
              label="Delete the audience"
              cost="Who entered and left is forgotten. Its versions stay and it can be written again."
              onGone={() => {
                draft.gone();
                void navigate({ to: '/audiences' });
              }}
            />
          )}
        </Actions>
      }
    >
      <Newer draft={draft} />
      <div className={css.columns} data-quiet>
        <div className={ui.stack}>
          <Card flush label="The audience">
            {!yaml && (
              <Naming
                saved={saved !== undefined}
                typed={typed}
                suggested={suggested}
                setTyped={setTyped}
                description={spec.description}
                setDescription={(said) => change(put(spec, 'description', said))}
                readOnly={readOnly}
              />
            )}
            {yaml ? (
              <Yaml
                kind="audience"
                text={text ?? toText(spec)}
                set={write}
                broken={broken}
                problems={problems}
                readOnly={readOnly}
              />
            ) : (
              <div className={css.body}>
                <Group
                  join={root.join}
                  list={root.list}
                  set={(how, list) => change(join(about, treeOf(how, list)))}
                  self={saved?.name ?? ''}
                  readOnly={readOnly}
                  added={added}
                  onAdd={setAdded}
                />
                <Mistakes
                  all={problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))}
                />
              </div>
            )}
          </Card>
          {!yaml && (
            <Card title="Who belongs to it as time goes by">
              <div className={ui.titleLine}>
                <SegmentedControl
                  size="xs"
                  aria-label="Members"
                  disabled={readOnly}
                  value={spec.frozen ? 'frozen' : 'dynamic'}
                  data={[
                    { value: 'dynamic', label: 'Whoever fits' },
                    { value: 'frozen', label: 'Frozen' },
                  ]}
                  onChange={(next) =>
                    change(
                      put(spec, 'frozen', next === 'frozen' ? new Date().toISOString() : undefined),
                    )
                  }
                />
                <span className={ui.muted}>
                  {spec.frozen
                    ? `Those who fit at ${fullTime(new Date(spec.frozen))}, whatever they do later.`
                    : 'Users enter and leave as they act and as time goes by.'}
                </span>
              </div>
            </Card>
          )}
          {readOnly && (
            <Text size="sm" c="dimmed">
              {why}.
            </Text>
          )}
        </div>
        <aside className={ui.stack} aria-label="Who is in it">
          <Preview
            tree={askable && problems.length === 0 ? preview : undefined}
            waiting={asked !== spec}
            frozen={spec.frozen}
            why={
              broken || problems.length > 0
                ? 'Not while something is wrong with it.'
                : 'Finish the condition: this shows how many fit.'
            }
          />
          {saved && (
            <>
              <Kept name={saved.name} />
              <p className={ui.statHint}>
                Version {saved.version}, saved by {saved.author} <At at={saved.at} />
              </p>
            </>
          )}
        </aside>
      </div>
      <Questions draft={draft} saved={saved} yaml={toText} />
    </Page>
  );
}
