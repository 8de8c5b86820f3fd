import { Button } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { Schema } from '../api/client';
import {
  type Campaign,
  useChannels,
  useCheck,
  useDefinition,
  useDefinitions,
  useSaveDefinition,
  useTriggers,
} from '../api/queries';
import { include } from '../api/sending';
import { useMay } from '../api/session';
import { addressOf, speaks } from '../campaign/channels';
import { Limits } from '../campaign/Limits';
import { Review } from '../campaign/Review';
import { Sample } from '../campaign/Sample';
import {
  blank,
  blankTrigger,
  recipes,
  type Spec,
  suggested,
  unfinished,
  unused,
} from '../campaign/spec';
import { Try } from '../campaign/Try';
import { What } from '../campaign/What';
import { When } from '../campaign/When';
import { Who } from '../campaign/Who';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { goodName, useDraft } from '../definition/useDraft';
import { wrong } from '../definition/useEditor';
import { startWords, triggerWords } from '../format/pattern';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { Rail } from '../trigger/Rail';
import { complete, same, stepEvents, suggestName, type Spec as Trigger } from '../trigger/spec';
import { readText, textOf } from '../trigger/yaml';
import { failed } from '../ui/notice';

/** A campaign that exists. */
export default function CampaignEditor() {
  const { name } = useParams({ from: '/campaigns/$name/edit' });
  const answer = useDefinition<Spec>('campaign', name);
  if (answer.saved) return <Editor key={name} saved={answer.saved} />;
  return <Absent kind="campaign" name={name} answer={answer} />;
}

/** A campaign that does not exist yet. */
export function NewCampaign() {
  const { trigger, copy, recipe } = useSearch({ from: '/new/campaign' });
  const answer = useDefinition<Spec>('campaign', copy ?? '');
  if (copy && !answer.saved) return <Absent kind="campaign" name={copy} answer={answer} />;
  const begun = recipes.find((r) => r.name === recipe);
  const start: Spec | undefined = answer.saved
    ? { ...answer.saved.spec, status: 'draft' }
    : trigger
      ? { ...blank, when: { trigger } }
      : begun?.spec;
  return (
    <Editor
      key={`${trigger} ${copy} ${recipe}`}
      saved={undefined}
      start={start}
      own={begun?.own}
      called={copy ?? begun?.name}
    />
  );
}

const shape = {
  description: 'text',
  when: {
    trigger: 'text',
    once: 'text',
    audience: 'text',
    on: 'text',
    schedule: 'text',
    zone: 'text',
  },
  who: ['text'],
  what: [{ channel: 'text', template: 'text', weight: 'number' }],
  limits: {
    cap: { count: 'number', per: 'text' },
    holdout: 'text',
    quiet: { from: 'text', to: 'text' },
  },
  delay: 'text',
  goal: { event: 'text', within: 'text' },
  purpose: 'text',
  status: 'text',
} as const;
const short = ['when', 'who', 'cap', 'quiet', 'limits', 'goal'];

function Editor(props: {
  saved: Campaign | undefined;
  /** What a new one begins with. */
  start?: Spec | undefined;
  /** The trigger that it begins with, and that is not saved yet. */
  own?: Trigger | undefined;
  /** What it is a copy of. */
  called?: string | undefined;
}) {
  const { saved, start } = props;
  const navigate = useNavigate();
  const { as } = useSearch({ strict: false });
  const may = useMay('marketer');
  const readOnly = !may || saved?.readOnly === true;
  const all = useDefinitions<Spec>('campaign');
  const triggers = useTriggers();
  const channels = useChannels();
  const saveTrigger = useSaveDefinition('trigger');
  const [own, setOwn] = useState<Trigger | undefined>(
    props.own ?? (saved || start ? undefined : blankTrigger),
  );
  const [typed, setTyped] = useState('');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const [reviewing, setReviewing] = useState(false);
  const reset = () => {
    setText(undefined);
    setBroken(undefined);
  };
  const open = (name: string) =>
    void navigate({ to: '/campaigns/$name', params: { name }, replace: true });
  const draft = useDraft<Spec>({
    kind: 'campaign',
    saved,
    blank,
    start,
    readOnly,
    broken: broken !== undefined,
    onReset: reset,
    onMade: open,
    kept: {
      also: { typed, own, text: broken && text },
      onRestore: (also) => {
        const { typed = '', own, text } = also as { typed?: string; own?: Trigger; text?: string };
        setTyped(typed);
        setOwn(own);
        if (text !== undefined) write(text);
      },
    },
  });
  const { spec } = draft;

  // The trigger that is written here is saved with the campaign; one that says the same is used.
  const known = triggers.data?.definitions ?? [];
  const twin = own && known.find((t) => same({ ...t.spec, name: undefined, kind: undefined }, own));
  const ownName =
    twin?.name ??
    unused(
      (own && suggestName(own)) || 'trigger',
      known.map((t) => t.name),
    );
  const whole: Spec = own ? { ...spec, when: { trigger: ownName } } : spec;

  const taken = (all.data?.definitions ?? []).map((c) => c.name);
  const suggestion = unused(
    props.called ||
      suggested(spec, own ? suggestName(own) : (spec.when.trigger ?? '')) ||
      'campaign',
    taken,
  );
  const name = saved?.name ?? (typed || suggestion);
  const yaml = as === 'yaml';
  const toText = (of: Spec) => textOf('campaign', name, of, short);

  const [asked] = useDebouncedValue(own, 150);
  const [wanted] = useDebouncedValue(whole, 150);
  const askable = own !== undefined && asked !== undefined && complete(asked);
  const ownCheck = useCheck('trigger', ownName, asked ?? {}, askable);
  const ownProblems = askable ? (ownCheck.data?.problems ?? []) : [];
  const missing = unfinished(whole, own, (c) => speaks(channels.data?.definitions, c));
  const finished = missing === undefined && !broken;
  const check = useCheck('campaign', goodName(name) ? name : 'draft', wanted, finished);
  const problems = (finished ? (check.data?.problems ?? []) : []).filter(
    // the trigger that is written here is not saved yet
    (p) => !(own && p.path === 'when.trigger'),
  );
  const existing = known.find((t) => t.name === spec.when.trigger)?.spec;
  const pattern = own ?? existing;

  const change = (next: Spec) => {
    draft.setSpec(next);
    reset();
  };
  const write = (next: string) => {
    setText(next);
    const read = readText('campaign', next, shape);
    if ('line' in read) return setBroken(read);
    if (saved && read.name !== '' && read.name !== saved.name)
      return setBroken({ line: 2, message: `A saved campaign keeps its name, ${saved.name}` });
    setBroken(undefined);
    const { when = {}, what = [], status = 'draft', ...rest } = read.spec as Partial<Spec>;
    setOwn(undefined);
    draft.setSpec({ ...rest, when, what, status });
    if (!saved && read.name !== suggestion) setTyped(read.name);
  };
  const why = saved?.readOnly
    ? 'This campaign is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change campaigns'
      : (missing ?? (ownProblems.length + problems.length > 0 ? wrong : undefined));

  /** Saves the trigger that was written here, then the campaign. */
  const store = async (status: Spec['status'], withMembers = false) => {
    const next = { ...whole, status };
    if (own && !twin) {
      try {
        await saveTrigger.mutateAsync({
          name: ownName,
          spec: own as Record<string, unknown>,
          version: 0,
        });
      } catch (error) {
        setReviewing(false);
        failed('The trigger was not saved', error);
        return;
      }
    }
    setOwn(undefined);
    draft.setSpec(next);
    draft.store(name, draft.base.version, next, () => {
      if (withMembers) void include(name, `launch-${draft.base.version}`);
    });
  };
  const documents = (): Schema['AnyJSON'] =>
    [
      { kind: 'campaign', name: goodName(name) ? name : 'draft', ...whole },
      ...(own && !twin ? [{ kind: 'trigger', name: ownName, ...own }] : []),
    ] as unknown as Schema['AnyJSON'];

  const starts = own
    ? complete(own)
      ? `A user does ${triggerWords(own)}`
      : 'not said yet'
    : startWords(
        spec.when,
        known.find((t) => t.name === spec.when.trigger),
      );
  return (
    <Frame
      editor={{
        kind: 'campaign',
        saved,
        fixed: saved?.name,
        draft,
        spec,
        name,
        typed,
        setTyped,
        suggested: suggestion,
        readOnly,
        yaml,
        yamlOnly: false,
        text: text ?? toText(whole),
        toText,
        showText: () => setText(undefined),
        broken,
        problems,
        change,
        write,
        why,
      }}
      title={saved?.name ?? 'New campaign'}
      lede="When something happens, who gets what, and how often."
      cost="It sends nothing any more. What it has sent stays counted, and its versions stay."
      onCopy={
        saved?.spec.when.once // that was one order, to a list
          ? undefined
          : () => void navigate({ to: '/new/campaign', search: { copy: saved?.name } })
      }
      label={saved ? undefined : 'Save as draft'}
      save={() => void store(saved?.spec.status ?? 'draft')}
      actions={
        spec.status !== 'live' &&
        spec.status !== 'ended' && (
          <Button
            size="xs"
            disabled={why !== undefined || broken !== undefined || !goodName(name)}
            title={why}
            onClick={() => setReviewing(true)}
          >
            Review
          </Button>
        )
      }
      asideLabel="What it would do"
      aside={
        <>
          {(own || existing) && (
            <Rail
              name={own ? ownName : (spec.when.trigger ?? 'draft')}
              spec={
                own
                  ? askable && ownProblems.length === 0 && ownCheck.data
                    ? asked
                    : undefined
                  : existing
              }
              waiting={askable && ownProblems.length === 0}
              why={
                own && !complete(own)
                  ? 'Pick an event: this shows whom it would have reached.'
                  : ownProblems.length > 0
                    ? 'Not while something is wrong with it.'
                    : 'Reading what users did …'
              }
              campaigns={saved ? [saved.name] : []}
            />
          )}
          <Sample spec={spec} />
          <Try
            documents={documents}
            address={addressOf(channels.data?.definitions, spec.what[0]?.channel)}
            event={pattern && stepEvents(pattern).at(-1)}
            why={missing ?? (ownProblems.length + problems.length > 0 ? wrong : undefined)}
          />
        </>
      }
    >
      {!yaml && (
        <>
          <When
            spec={spec}
            set={change}
            own={own}
            setOwn={setOwn}
            problems={ownProblems}
            readOnly={readOnly}
          />
          <Who spec={spec} set={change} readOnly={readOnly} />
          <What spec={spec} set={change} readOnly={readOnly} />
          <Limits spec={spec} set={change} readOnly={readOnly} />
          <Mistakes all={problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))} />
        </>
      )}
      <Review
        opened={reviewing}
        onClose={() => setReviewing(false)}
        name={name}
        spec={whole}
        starts={starts}
        launching={saveTrigger.isPending || draft.saving}
        onLaunch={(withMembers) => void store('live', withMembers)}
      />
    </Frame>
  );
}
