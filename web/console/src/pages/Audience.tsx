import { SegmentedControl } from '@mantine/core';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import type { Schema } from '../api/client';
import { type Definition, useDefinition } from '../api/queries';
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
import { Frame } from '../definition/Frame';
import { useEditor } from '../definition/useEditor';
import { suggest } from '../explore/words';
import { fullTime } from '../format/time';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { put } from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { textOf } from '../trigger/yaml';
import { Card } from '../ui/Page';
import { At } from '../ui/time';
import ui from '../ui/ui.module.css';

type Saved = Definition<Spec>;

/** An audience that exists. */
export default function Audience() {
  const { name } = useParams({ from: '/audiences/$name' });
  const answer = useDefinition<Spec>('audience', name);
  const { saved } = answer;
  if (saved) return <Editor key={name} saved={saved} start={saved.spec} />;
  return <Absent kind="audience" name={name} answer={answer} />;
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
  const [added, setAdded] = useState<Node>();
  const editor = useEditor<Spec>({
    kind: 'audience',
    saved,
    blank: {},
    start: props.start,
    called: props.called,
    suggest: (spec) => {
      const { tree } = split(spec);
      return Object.keys(tree).length > 0 ? suggest(words(tree), []) : '';
    },
    toText: (name, spec) => textOf('audience', name, spec, short),
    complete: (spec) => complete(split(spec).tree),
    lacks: (spec) => {
      const { tree } = split(spec);
      if (!complete(tree)) return 'A condition is not finished yet';
      return Object.keys(tree).length === 0
        ? 'It has no condition yet: everybody needs no audience'
        : undefined;
    },
    onMade: (name) => void navigate({ to: '/audiences/$name', params: { name }, replace: true }),
  });
  const { spec, asked, askable, problems, change, readOnly, yaml } = editor;
  const { about, tree } = split(spec);
  const preview = useMemo(() => {
    const { frozen: _, ...rest } = asked;
    return rest as Schema['AudiencePreviewRequest'];
  }, [asked]);
  const root = rootOf(tree);

  return (
    <Frame
      editor={editor}
      title={saved?.name ?? 'New audience'}
      lede={
        complete(tree) && Object.keys(tree).length > 0
          ? `Segment: ${words(tree)}.`
          : 'Who should it be? Say it in sentences.'
      }
      unnamed="named after its conditions"
      cost="Who entered and left is forgotten. Its versions stay and it can be written again."
      form={
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
          <Mistakes all={problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))} />
        </div>
      }
      asideLabel="Who is in it"
      aside={
        <>
          <Preview
            tree={askable && problems.length === 0 ? preview : undefined}
            waiting={editor.waiting}
            frozen={spec.frozen}
            why={
              editor.broken || problems.length > 0
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
        </>
      }
    >
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
    </Frame>
  );
}
