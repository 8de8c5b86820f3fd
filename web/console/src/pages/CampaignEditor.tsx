import { Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo, useState } from 'react';
import { type Definition, useCheck, useDefinitions } from '../api/queries';
import { useMay } from '../api/session';
import {
  FromSettings,
  GoalPart,
  LimitsPart,
  Question,
  WhatPart,
  WhenPart,
  WhoPart,
} from '../campaign/Parts';
import { blank, complete, type Spec, suggestName } from '../campaign/spec';
import { Actions } from '../definition/Actions';
import { More, Newer, Questions } from '../definition/Guards';
import { Naming } from '../definition/Naming';
import { goodName, useDraft } from '../definition/useDraft';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { put } from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { Yaml } from '../trigger/Yaml';
import { readText, textOf } from '../trigger/yaml';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { Empty, Failure, Loading } from '../ui/states';
import ui from '../ui/ui.module.css';

/** A campaign that exists, to be edited. */
export default function CampaignEditor() {
  const { name } = useParams({ from: '/campaigns/$name/edit' });
  const all = useDefinitions<Spec & { name?: string; kind?: string }>('campaign');
  const found = all.data?.definitions.find((d) => d.name === name);
  const saved = useMemo((): Definition<Spec> | undefined => {
    if (!found) return undefined;
    const { name: _, kind: __, ...spec } = found.spec;
    return { ...found, spec };
  }, [found]);
  if (saved) return <Editor key={name} saved={saved} />;
  return (
    <Page title={name}>
      <Card>
        {all.data ? (
          <Empty
            icon="campaign"
            title="No such campaign"
            cause={`No campaign is called “${name}”; it may have been deleted.`}
            action={<LinkButton to="/campaigns">See all campaigns</LinkButton>}
          />
        ) : all.error ? (
          <Failure error={all.error} retry={all.refetch} />
        ) : (
          <Loading rows={8} />
        )}
      </Card>
    </Page>
  );
}

/** A campaign that does not exist yet: it is made as a draft. */
export function NewCampaign() {
  return <Editor saved={undefined} />;
}

const short = ['when', 'cap', 'quiet', 'goal', 'who'];

function Editor({ saved }: { saved: Definition<Spec> | undefined }) {
  const navigate = useNavigate();
  const { as } = useSearch({ strict: false });
  const may = useMay('marketer');
  const readOnly = !may || saved?.readOnly === true;
  const [typed, setTyped] = useState('');
  const [text, setText] = useState<string>();
  const [broken, setBroken] = useState<{ line: number; message: string }>();
  const reset = () => {
    setText(undefined);
    setBroken(undefined);
  };
  const show = (name: string) =>
    void navigate({ to: '/campaigns/$name', params: { name }, replace: true });
  const draft = useDraft<Spec>({
    kind: 'campaign',
    saved,
    blank,
    readOnly,
    broken: broken !== undefined,
    onReset: reset,
    onMade: show,
  });
  const { spec, dirty } = draft;
  const suggested = suggestName(spec);
  const name = saved?.name ?? (typed || suggested);
  const yaml = as === 'yaml';
  const toText = (of: Spec) => textOf('campaign', name, of, short);
  const [asked] = useDebouncedValue(spec, 120);
  const askable = complete(asked) && !broken;
  const check = useCheck('campaign', goodName(name) ? name : 'draft', asked, askable);
  const problems = askable ? (check.data?.problems ?? []) : [];
  const change = (next: Spec) => {
    draft.setSpec(next);
    reset();
  };
  const write = (next: string) => {
    setText(next);
    const read = readText('campaign', next);
    if ('line' in read) return setBroken(read);
    if (saved && read.name !== '' && read.name !== saved.name)
      return setBroken({ line: 2, message: `A saved campaign keeps its name, ${saved.name}` });
    setBroken(undefined);
    draft.setSpec({ ...blank, ...read.spec } as Spec);
    if (!saved && read.name !== suggested) setTyped(read.name);
  };
  const why = saved?.readOnly
    ? 'This campaign is loaded from a folder at start; change it there'
    : !may
      ? 'Your role cannot change campaigns'
      : !complete(spec)
        ? 'It does not say yet when it starts and what it sends'
        : undefined;
  const part = { spec, set: change, readOnly };
  return (
    <Page
      title={saved?.name ?? 'New campaign'}
      lede={
        saved && spec.status === 'live'
          ? 'It is live: what you save holds for whatever starts it from then on.'
          : 'When it starts, whom it is for, what it sends, and how much is too much.'
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
          {saved && (
            <LinkButton
              to="/campaigns/$name"
              params={{ name: saved.name }}
              variant="default"
              size="xs"
            >
              Results
            </LinkButton>
          )}
          {saved && !readOnly && (
            <More
              kind="campaign"
              saved={saved}
              label="Delete the campaign"
              cost="Nothing starts it any more, and what waits for it is not sent. Its results stay in the events; its versions stay, too."
              onGone={() => {
                draft.gone();
                void navigate({ to: '/campaigns' });
              }}
            />
          )}
        </Actions>
      }
    >
      <Newer draft={draft} />
      <div className={ui.stack} data-quiet>
        <Card flush label="The campaign">
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
              kind="campaign"
              text={text ?? toText(spec)}
              set={write}
              broken={broken}
              problems={problems}
              readOnly={readOnly}
            />
          ) : (
            <>
              <Question title="When">
                <WhenPart {...part} />
              </Question>
              <Question title="Who">
                <WhoPart {...part} />
              </Question>
              <Question title="What">
                <WhatPart {...part} />
              </Question>
              <Question title="Limits">
                <LimitsPart {...part} />
                <FromSettings />
              </Question>
              <Question title="Goal">
                <GoalPart {...part} />
              </Question>
              <div className={css.body}>
                <Mistakes
                  all={problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))}
                />
                {readOnly && (
                  <Text size="sm" c="dimmed">
                    {why}.
                  </Text>
                )}
              </div>
            </>
          )}
        </Card>
      </div>
      <Questions draft={draft} saved={saved} yaml={toText} />
    </Page>
  );
}
