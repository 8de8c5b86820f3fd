import {
  ActionIcon,
  Alert,
  Button,
  Menu,
  Modal,
  SegmentedControl,
  Text,
  TextInput,
} from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQueryClient } from '@tanstack/react-query';
import { Link, useBlocker, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useEffect, useMemo, useRef, useState } from 'react';
import { Problem as Failed } from '../api/problem';
import {
  type Trigger as Saved,
  useCampaigns,
  useCheck,
  useDeleteDefinition,
  useEventNames,
  useSaveDefinition,
  useTrigger,
} from '../api/queries';
import { useMay } from '../api/session';
import { useLive } from '../feed/useFeed';
import { triggerWords } from '../format/pattern';
import { Difference } from '../trigger/Difference';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { Rail } from '../trigger/Rail';
import { Sentence } from '../trigger/Sentence';
import {
  blank,
  complete,
  eventsOf,
  type Problem,
  type Spec,
  same,
  suggestName,
} from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { Yaml } from '../trigger/Yaml';
import { fromYaml, toYaml } from '../trigger/yaml';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { done, failed } from '../ui/notice';
import { Card, Page } from '../ui/Page';
import { TriggerFunnel } from '../ui/Progress';
import { Status } from '../ui/Status';
import { Empty, Failure, Loading } from '../ui/states';
import { Tag } from '../ui/Tag';
import { At } from '../ui/time';
import ui from '../ui/ui.module.css';

/** A trigger that exists. */
export default function Trigger() {
  const { name } = useParams({ from: '/triggers/$name' });
  const saved = useTrigger(name);
  if (saved.trigger) return <Editor key={name} saved={saved.trigger} />;
  return (
    <Page title={name}>
      <Card>
        {saved.data ? (
          <Empty
            icon="bolt"
            title="No such trigger"
            cause={`No trigger is called “${name}”; it may have been deleted.`}
            action={<LinkButton to="/triggers">See all triggers</LinkButton>}
          />
        ) : saved.error ? (
          <Failure error={saved.error} retry={saved.refetch} />
        ) : (
          <Loading rows={8} />
        )}
      </Card>
    </Page>
  );
}

/** A trigger that does not exist yet. */
export function NewTrigger() {
  const { event = '' } = useSearch({ from: '/new/trigger' });
  return <Editor key={event} saved={undefined} event={event} />;
}

const goodName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function Editor({ saved, event = '' }: { saved: Saved | undefined; event?: string }) {
  const navigate = useNavigate();
  const queries = useQueryClient();
  const { as } = useSearch({ strict: false });
  const may = useMay('marketer');
  const save = useSaveDefinition('trigger');
  const campaigns = useCampaigns();
  const readOnly = !may || saved?.readOnly === true;

  const [base, setBase] = useState({ spec: saved?.spec ?? blank, version: saved?.version ?? 0 });
  const [spec, setSpec] = useState<Spec>(event ? { pattern: [{ event }] } : base.spec);
  const [typed, setTyped] = useState('');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const [differs, setDiffers] = useState(false);
  const left = useRef(false);

  const name = saved?.name ?? (typed || suggestName(spec));
  const dirty = broken !== undefined || !same(spec, base.spec);
  const yaml = as === 'yaml';
  const source = text ?? toYaml(name, spec);

  // What somebody else saved is taken over, unless it would cost what was typed here.
  const newer = saved && saved.version > base.version ? saved : undefined;
  useEffect(() => {
    if (newer && !dirty) {
      setBase({ spec: newer.spec, version: newer.version });
      setSpec(newer.spec);
      setText(undefined);
    }
  }, [newer, dirty]);

  // what it is called changes nothing about what it does
  const rule = useMemo(() => {
    const { description: _, ...rest } = spec;
    return rest;
  }, [spec]);
  const [asked] = useDebouncedValue(rule, 150);
  const askable = complete(asked) && !broken;
  const check = useCheck('trigger', goodName.test(name) ? name : 'draft', asked, askable);
  const problems: Problem[] = askable ? (check.data?.problems ?? []) : [];
  const checked =
    askable && problems.length === 0 && check.data !== undefined && !check.isPlaceholderData;
  const using = (campaigns.data?.definitions ?? [])
    .filter((c) => saved && c.spec.when.trigger === saved.name)
    .map((c) => c.name);
  const badName = !saved && typed !== '' && !goodName.test(typed);

  const blocker = useBlocker({
    shouldBlockFn: ({ current, next }) =>
      dirty && !readOnly && !left.current && current.pathname !== next.pathname,
    enableBeforeUnload: () => dirty && !readOnly && !left.current,
    withResolver: true,
  });

  const change = (next: Spec) => {
    setSpec(next);
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
    setSpec(parsed.spec);
    if (!saved && parsed.name !== suggestName(parsed.spec)) setTyped(parsed.name);
  };
  const store = (version: number) =>
    save.mutate(
      { name, spec, version },
      {
        onSuccess: (applied) => {
          done(`${name} is saved.`);
          setDiffers(false);
          setBase({ spec, version: applied.changes[0]?.version ?? version + 1 });
          if (!saved) {
            left.current = true;
            void navigate({ to: '/triggers/$name', params: { name }, replace: true });
          }
        },
        onError: async (error) => {
          if (error instanceof Failed && error.status === 412 && saved) {
            await queries.refetchQueries({ queryKey: ['definitions', 'trigger'] });
            setDiffers(true);
          } else if (error instanceof Failed && error.status === 412) {
            failed(`“${name}” exists already`, new Error('Give the new trigger another name'));
          } else failed('Not saved', error);
        },
      },
    );
  const take = () => {
    if (!saved) return;
    setBase({ spec: saved.spec, version: saved.version });
    change(saved.spec);
    setDiffers(false);
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
        <>
          <SegmentedControl
            size="xs"
            aria-label="Edit as"
            value={yaml ? 'yaml' : 'sentence'}
            disabled={broken !== undefined}
            data={[
              { value: 'sentence', label: 'Sentence' },
              { value: 'yaml', label: 'YAML' },
            ]}
            onChange={(next) => {
              setText(undefined);
              void navigate({
                to: '.',
                search: next === 'yaml' ? { as: 'yaml' as const } : {},
                replace: true,
              });
            }}
          />
          <Button
            size="xs"
            onClick={() => store(base.version)}
            disabled={why !== undefined || broken !== undefined || badName || (saved && !dirty)}
            title={why}
            loading={save.isPending}
          >
            {saved && !dirty ? 'Saved' : 'Save'}
          </Button>
          {saved && <More saved={saved} disabled={readOnly} onGone={() => (left.current = true)} />}
        </>
      }
    >
      {newer && dirty && (
        <Alert
          color="orange"
          variant="outline"
          mb="md"
          icon={<Icon name="alert" />}
          title={`${newer.author} saved version ${newer.version} while you were editing`}
          styles={{ body: { color: 'var(--mantine-color-text)' } }}
        >
          <Button size="xs" onClick={() => setDiffers(true)}>
            See the difference
          </Button>
        </Alert>
      )}
      <div className={css.columns} data-quiet>
        <div className={ui.stack}>
          <Card flush label="The trigger">
            {!yaml && (
              <div className={css.naming} data-saved={saved ? true : undefined}>
                {!saved && (
                  <TextInput
                    label="Name"
                    value={typed}
                    placeholder={suggestName(spec) || 'named after its events'}
                    onChange={(e) => setTyped(e.currentTarget.value)}
                    error={
                      badName &&
                      '1 to 64 letters, digits, - _ and ., beginning with a letter or digit'
                    }
                  />
                )}
                <TextInput
                  label="Description"
                  placeholder="optional"
                  value={spec.description ?? ''}
                  onChange={(e) => {
                    const { description: _, ...rest } = spec;
                    const said = e.currentTarget.value;
                    change(said === '' ? rest : { ...rest, description: said });
                  }}
                  readOnly={readOnly}
                />
              </div>
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
            name={goodName.test(name) ? name : 'draft'}
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

      {saved && (
        <Difference
          opened={differs}
          onClose={() => setDiffers(false)}
          title="Somebody else saved it"
          explain={
            <>
              {saved.author} saved version {saved.version} at <At at={saved.at} />. Keep one of the
              two, or go on editing.
            </>
          }
          before={toYaml(name, saved.spec)}
          after={toYaml(name, spec)}
          legend={['only in theirs', 'only in yours']}
        >
          <Button onClick={() => store(saved.version)} loading={save.isPending}>
            Save mine over it
          </Button>
          <Button variant="default" onClick={take}>
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
        <p className={css.plain}>What you changed is not stored anywhere yet.</p>
        <div className={css.foot}>
          <Button color="red.8" onClick={() => blocker.proceed?.()}>
            Leave
          </Button>
          <Button variant="default" onClick={() => blocker.reset?.()} data-autofocus>
            Stay
          </Button>
        </div>
      </Modal>
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

/** What is done seldom. */
function More(props: { saved: Saved; disabled: boolean; onGone: () => void }) {
  const { saved } = props;
  const [sure, setSure] = useState(false);
  const remove = useDeleteDefinition('trigger');
  const navigate = useNavigate();
  if (props.disabled) return null;
  return (
    <>
      <Menu position="bottom-end" shadow="md" withInitialFocusPlaceholder={false}>
        <Menu.Target>
          <ActionIcon variant="default" size={30} aria-label="More">
            <Icon name="more" size={16} />
          </ActionIcon>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            leftSection={<Icon name="trash" size={15} />}
            onClick={() => setSure(true)}
            c="var(--heed-bad)"
          >
            Delete the trigger
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal
        opened={sure}
        onClose={() => setSure(false)}
        title={`Delete ${saved.name}?`}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <p className={css.plain}>
          The progress that users have made is forgotten. Its versions stay and it can be written
          again.
        </p>
        <div className={css.foot}>
          <Button
            color="red.8"
            loading={remove.isPending}
            onClick={() =>
              remove.mutate(
                { name: saved.name, version: saved.version },
                {
                  onSuccess: () => {
                    props.onGone();
                    done(`${saved.name} is deleted.`);
                    void navigate({ to: '/triggers' });
                  },
                  onError: (error) => {
                    setSure(false);
                    failed('Not deleted', error);
                  },
                },
              )
            }
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
