import { Button, Modal } from '@mantine/core';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import { type Trigger as Saved, useCampaigns, useDefinition, useEventNames } from '../api/queries';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { goodName } from '../definition/useDraft';
import { useEditor } from '../definition/useEditor';
import { useLive } from '../feed/useFeed';
import { triggerWords } from '../format/pattern';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { Rail } from '../trigger/Rail';
import { Sentence } from '../trigger/Sentence';
import { blank, complete, eventsOf, type Problem, type Spec, suggestName } from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { fromYaml, toYaml } from '../trigger/yaml';
import { Icon } from '../ui/Icon';
import { Card } from '../ui/Page';
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
  return <Absent kind="trigger" name={name} answer={answer} />;
}

/** A trigger that does not exist yet. */
export function NewTrigger() {
  const { event = '' } = useSearch({ from: '/new/trigger' });
  return <Editor key={event} saved={undefined} event={event} />;
}

function Editor({ saved, event = '' }: { saved: Saved | undefined; event?: string }) {
  const navigate = useNavigate();
  const campaigns = useCampaigns();
  const editor = useEditor<Spec>({
    kind: 'trigger',
    saved,
    blank,
    start: event ? { pattern: [{ event }] } : undefined,
    suggest: suggestName,
    toText: toYaml,
    read: fromYaml,
    complete,
    lacks: (spec) => (complete(spec) ? undefined : 'A step has no event yet'),
    onMade: (name) => void navigate({ to: '/triggers/$name', params: { name }, replace: true }),
  });
  const { spec, asked, askable, problems, change, readOnly } = editor;
  const using = (campaigns.data?.definitions ?? [])
    .filter((c) => saved && c.spec.when.trigger === saved.name)
    .map((c) => c.name);
  return (
    <Frame
      editor={editor}
      title={saved?.name ?? 'New trigger'}
      lede={
        complete(spec)
          ? `When a user does ${triggerWords(spec)}.`
          : 'When should Heed answer? Say it in a sentence.'
      }
      cost="The progress that users have made is forgotten. Its versions stay and it can be written again."
      unnamed="named after its events"
      form={
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
      }
      asideLabel="What it would do"
      aside={
        <>
          <Rail
            name={goodName(editor.name) ? editor.name : 'draft'}
            spec={editor.checked ? asked : undefined}
            waiting={askable && problems.length === 0}
            why={
              !complete(asked)
                ? 'Pick an event: this shows whom it would have fired for.'
                : problems.length > 0 || editor.broken
                  ? 'Not while something is wrong with it.'
                  : 'Reading what users did …'
            }
            campaigns={using}
          />
          {saved && <Use saved={saved} />}
        </>
      }
    />
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
