import { Text } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import type { ReactNode } from 'react';
import { put } from '../trigger/spec';
import css from '../trigger/trigger.module.css';
import { Yaml } from '../trigger/Yaml';
import { Card, Page } from '../ui/Page';
import ui from '../ui/ui.module.css';
import { Actions } from './Actions';
import { More, Newer, Questions } from './Guards';
import { homes } from './homes';
import { Naming } from './Naming';
import type { Editor } from './useEditor';

/** What the page around a form needs of its editor. */
export type Framed<S extends object> = Pick<
  Editor<S>,
  | 'kind'
  | 'saved'
  | 'fixed'
  | 'draft'
  | 'spec'
  | 'name'
  | 'typed'
  | 'setTyped'
  | 'suggested'
  | 'readOnly'
  | 'yaml'
  | 'yamlOnly'
  | 'text'
  | 'toText'
  | 'showText'
  | 'broken'
  | 'problems'
  | 'change'
  | 'write'
  | 'why'
>;

/** The page around the form of a definition: its name, the same as YAML, saving and deleting it. */
export function Frame<S extends object>(props: {
  editor: Framed<S>;
  title: string;
  lede: ReactNode;
  /** What the menu calls deleting it. */
  remove?: string;
  /** What is lost by deleting it; what says nothing of that cannot be deleted. */
  cost?: ReactNode;
  /** Offers a copy of what is saved; undefined: there can be none. */
  onCopy?: (() => void) | undefined;
  /** Stands in the card, where YAML is not asked for. */
  form?: ReactNode;
  /** Neither its name nor what it is for can be said here. */
  nameless?: boolean;
  /** What else is edited, below the card. */
  children?: ReactNode;
  /** What it comes to, beside it. */
  aside?: ReactNode;
  asideLabel?: string;
  /** What stands beside it needs the width of a phone. */
  wide?: boolean;
  /** Stands in the place of a name that nothing suggests yet. */
  unnamed?: string;
  /** What the form is called, unless it is a sentence. */
  called?: string;
  /** What else can be done with it. */
  actions?: ReactNode;
  /** What saving it is called, and how, where it is not just stored. */
  label?: string | undefined;
  save?: () => void;
  /** It is not known yet whether the form can draw what was written. */
  unsure?: boolean;
}) {
  const { editor } = props;
  const { kind, saved, draft, spec, readOnly, yaml } = editor;
  const home = homes[kind];
  const navigate = useNavigate();
  const named = !yaml && !props.nameless;
  const main = (
    <>
      {(yaml || named || props.form) && (
        <Card flush label={kind === 'settings' ? 'The settings' : `The ${kind}`}>
          {named && (
            <Naming
              saved={editor.fixed !== undefined}
              typed={editor.typed}
              suggested={editor.suggested || (props.unnamed ?? '')}
              setTyped={editor.setTyped}
              description={(spec as Described).description}
              setDescription={(said) =>
                editor.change(put<Described, 'description'>(spec, 'description', said) as S)
              }
              readOnly={readOnly}
            />
          )}
          {yaml ? (
            <Yaml
              kind={kind}
              text={editor.text}
              set={editor.write}
              broken={editor.broken}
              problems={editor.problems}
              readOnly={readOnly}
            />
          ) : (
            props.form
          )}
        </Card>
      )}
      {props.children}
      {readOnly && (
        <Text size="sm" c="dimmed">
          {editor.why}.
        </Text>
      )}
    </>
  );
  return (
    <Page
      title={props.title}
      home={home}
      lede={props.lede}
      actions={
        <Actions
          draft={draft}
          name={editor.name}
          yaml={yaml}
          broken={editor.broken !== undefined || props.unsure === true}
          unchanged={editor.fixed !== undefined && !draft.dirty}
          label={props.label}
          why={editor.why}
          form={props.called}
          save={props.save}
          onEditAs={editor.yamlOnly ? undefined : editor.showText}
        >
          {props.actions}
          {saved && !readOnly && props.cost && (
            <More
              kind={kind}
              saved={saved}
              label={props.remove ?? `Delete the ${kind}`}
              cost={props.cost}
              onCopy={props.onCopy}
              onGone={() => {
                draft.gone();
                void navigate(home.link);
              }}
            />
          )}
        </Actions>
      }
    >
      <Newer draft={draft} />
      {props.aside ? (
        <div className={css.columns} data-wide={props.wide || undefined} data-quiet>
          <div className={ui.stack}>{main}</div>
          <aside className={ui.stack} aria-label={props.asideLabel}>
            {props.aside}
          </aside>
        </div>
      ) : (
        <div className={ui.stack} data-quiet>
          {main}
        </div>
      )}
      <Questions draft={draft} saved={saved} yaml={editor.toText} />
    </Page>
  );
}

type Described = { description?: string };
