import { Button, Modal, Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import {
  type Trigger as Saved,
  useCampaigns,
  useCheck,
  useDefinition,
  useEventNames,
} from '../api/queries';
import { useMay } from '../api/session';
import { Absent } from '../definition/Absent';
import { Actions } from '../definition/Actions';
import { More, Newer, Questions } from '../definition/Guards';
import { Naming } from '../definition/Naming';
import { goodName, useDraft } from '../definition/useDraft';
import { useLive } from '../feed/useFeed';
import { triggerWords } from '../format/pattern';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { Rail } from '../trigger/Rail';
import { Sentence } from '../trigger/Sentence';
import {
  blank,
  complete,
  eventsOf,
  type Problem,
  put,
  type Spec,
  suggestName,
} from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { Yaml } from '../trigger/Yaml';
import { fromYaml, toYaml } from '../trigger/yaml';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { TriggerFunnel } from '../ui/Progress';
import { Status } from '../ui/Status';
import { Loading } from '../ui/states';
import { Tag } from '../ui/Tag';
import { At } from '../ui/time';
import ui from '../ui/ui.module.css';

/** A trigger that exists. */
export default function Trigger() {
  const { name } = useParams({ from: '/triggers/$name' });
  const answer = useDefinition<Spec>('trigger', name);
  if (answer.saved) return <Editor key={name} saved={answer.saved} />;
  return (
    <Absent
      kind="trigger"
      name={name}
      icon="bolt"
      answer={answer}
      others={<LinkButton to="/triggers">See all triggers</LinkButton>}
    />
  );
}

/** A trigger that does not exist yet. */
export function NewTrigger() {
  const { event = '' } = useSearch({ from: '/new/trigger' });
  return <Editor key={event} saved={undefined} event={event} />;
}

function Editor({ saved, event = '' }: { saved: Saved | undefined; event?: string }) {
  const navigate = useNavigate();
  const { as } = useSearch({ strict: false });
  const may = useMay('marketer');
  const campaigns = useCampaigns();
  const readOnly = !may || saved?.readOnly === true;

  const [typed, setTyped] = useState('');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const draft = useDraft<Spec>({
    kind: 'trigger',
    saved,
    blank,
    start: event ? { pattern: [{ event }] } : undefined,
    readOnly,
    broken: broken !== undefined,
    onReset: () => {
      setText(undefined);
      setBroken(undefined);
    },
    onMade: (name) => void navigate({ to: '/triggers/$name', params: { name }, replace: true }),
  });
  const { spec, dirty } = draft;

  const name = saved?.name ?? (typed || suggestName(spec));
  const yaml = as === 'yaml';
  const source = text ?? toYaml(name, spec);

  // what it is called changes nothing about what it does
  const rule = useMemo(() => {
    const { description: _, ...rest } = spec;
    return rest;
  }, [spec]);
  const [asked] = useDebouncedValue(rule, 150);
  const askable = complete(asked) && !broken;
  const check = useCheck('trigger', goodName(name) ? name : 'draft', asked, askable);
  const problems: Problem[] = askable ? (check.data?.problems ?? []) : [];
  const checked =
    askable && problems.length === 0 && check.data !== undefined && !check.isPlaceholderData;
  const using = (campaigns.data?.definitions ?? [])
    .filter((c) => saved && c.spec.when.trigger === saved.name)
    .map((c) => c.name);

  const change = (next: Spec) => {
    draft.setSpec(next);
    setText(undefined);
    setBroken(undefined);
  };
  const write = (next: string) => {
    setText(next);
    const parsed = fromYaml(next);
    if ('line' in parsed) return setBroken(parsed);
    if (saved && parsed.name !== '' && parsed.name !== saved.name) {
      return setBroken({ line: 2, message: `A saved trigger keeps its name, ${saved.name}` });
    }
    setBroken(undefined);
    draft.setSpec(parsed.spec);
    if (!saved && parsed.name !== suggestName(parsed.spec)) setTyped(parsed.name);
  };
  const why = saved?.readOnly
    ? 'This trigger is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change triggers'
      : !complete(spec)
        ? 'A step has no event yet'
        : undefined;

  return (
    <Page
      title={saved?.name ?? 'New trigger'}
      lede={
        complete(spec)
          ? `When a user does ${triggerWords(spec)}.`
          : 'When should Heed answer? Say it in a sentence.'
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
              kind="trigger"
              saved={saved}
              label="Delete the trigger"
              cost="The progress that users have made is forgotten. Its versions stay and it can be written again."
              onGone={() => {
                draft.gone();
                void navigate({ to: '/triggers' });
              }}
            />
          )}
        </Actions>
      }
    >
      <Newer draft={draft} />
      <div className={css.columns} data-quiet>
        <div className={ui.stack}>
          <Card flush label="The trigger">
            {!yaml && (
              <Naming
                saved={saved !== undefined}
                typed={typed}
                suggested={suggestName(spec) || 'named after its events'}
                setTyped={setTyped}
                description={spec.description}
                setDescription={(said) => change(put(spec, 'description', said))}
                readOnly={readOnly}
              />
            )}
            {yaml ? (
              <Yaml
                text={source}
                set={write}
                broken={broken}
                problems={problems}
                readOnly={readOnly}
              />
            ) : (
              <div className={css.body}>
                <Sentence
                  spec={spec}
                  set={change}
                  problems={problems}
                  readOnly={readOnly}
                  fresh={!saved}
                />
                <Elsewhere problems={problems} spec={spec} />
                <Unseen spec={spec} />
              </div>
            )}
          </Card>
          {readOnly && (
            <Text size="sm" c="dimmed">
              {why}.
            </Text>
          )}
        </div>
        <aside className={ui.stack} aria-label="What it would do">
          <Rail
            name={goodName(name) ? name : 'draft'}
            spec={checked ? asked : undefined}
            waiting={askable && problems.length === 0}
            why={
              !complete(asked)
                ? 'Pick an event: this shows whom it would have fired for.'
                : problems.length > 0 || broken
                  ? 'Not while something is wrong with it.'
                  : 'Reading what users did …'
            }
            campaigns={using}
          />
          {saved && <Use saved={saved} />}
        </aside>
      </div>

      <Questions draft={draft} saved={saved} yaml={(of) => toYaml(name, of)} />
    </Page>
  );
}

/** Problems that no part of the sentence has a place for. */
function Elsewhere({ problems, spec }: { problems: readonly Problem[]; spec: Spec }) {
  const places = ['pattern', 'within', ...Object.keys(spec)];
  const rest = problems.filter((p) => !places.includes(p.path?.split(/[.[]/)[0] ?? ''));
  return <Mistakes all={rest.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))} />;
}

/** Events that never came: the tag that sends them. */
function Unseen({ spec }: { spec: Spec }) {
  const names = useEventNames();
  const [open, setOpen] = useState<string>();
  if (!names.data) return null;
  const known = new Set(names.data.names.filter((n) => n.count > 0).map((n) => n.name));
  const unseen = eventsOf(spec).filter((n) => !known.has(n) && !n.startsWith('heed.'));
  if (unseen.length === 0) return null;
  return (
    <div className={css.unseen} data-testid="unseen">
      <Icon name="alert" size={16} />
      <span>
        {unseen.length === 1 ? 'One event has' : 'Some events have'} not come since Heed started:
      </span>
      {unseen.map((name) => (
        <span key={name} className={css.joined}>
          <b>{name}</b>
          <Button size="compact-xs" variant="default" onClick={() => setOpen(name)}>
            Tag to paste
          </Button>
        </span>
      ))}
      <Modal
        opened={open !== undefined}
        onClose={() => setOpen(undefined)}
        title={`Send ${open ?? ''}`}
        size="lg"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {open && <Tag event={open} />}
      </Modal>
    </div>
  );
}

/** Who uses it, and how far users are. */
function Use({ saved }: { saved: Saved }) {
  const campaigns = useCampaigns();
  const { progress } = useLive();
  const using = campaigns.data?.definitions.filter((c) => c.spec.when.trigger === saved.name);
  const mine = progress?.triggers.find((t) => t.trigger === saved.name);
  return (
    <>
      {mine && (
        <Card title="Right now" flush>
          <TriggerFunnel progress={mine} bare />
        </Card>
      )}
      <Card title="Used by" flush>
        {!using ? (
          <Loading rows={1} />
        ) : using.length === 0 ? (
          <p className={ui.none}>No campaign: it fires, and nothing is sent.</p>
        ) : (
          <ul className={css.using}>
            {using.map((c) => (
              <li key={c.name}>
                <Link to="/campaigns/$name" params={{ name: c.name }} className={ui.link}>
                  {c.name}
                </Link>
                <Status status={c.spec.status} />
              </li>
            ))}
          </ul>
        )}
        <p className={ui.foot}>
          Version {saved.version}, saved by {saved.author} <At at={saved.at} />
        </p>
      </Card>
    </>
  );
}
