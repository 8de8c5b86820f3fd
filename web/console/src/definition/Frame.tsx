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
import { Naming } from './Naming';
import type { Editor } from './useEditor';

/** The page around the form of a definition: its name, the same as YAML, saving and deleting it. */
export function Frame<S extends { description?: string }>(props: {
  editor: Editor<S>;
  title: string;
  lede: ReactNode;
  /** What the menu calls deleting it, and what is lost with it. */
  remove?: string;
  cost: ReactNode;
  onCopy?: () => void;
  /** Where the others are. */
  home: '/audiences' | '/data/traits' | '/templates' | '/triggers';
  /** Stands in the card, where YAML is not asked for. */
  form: ReactNode;
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
}) {
  const { editor } = props;
  const { kind, saved, draft, spec, readOnly, yaml } = editor;
  const navigate = useNavigate();
  const main = (
    <>
      <Card flush label={`The ${kind}`}>
        {!yaml && (
          <Naming
            saved={editor.fixed !== undefined}
            typed={editor.typed}
            suggested={editor.suggested || (props.unnamed ?? '')}
            setTyped={editor.setTyped}
            description={spec.description}
            setDescription={(said) =>
              editor.change(
                put<{ description?: string }, 'description'>(spec, 'description', said) as S,
              )
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
      lede={props.lede}
      actions={
        <Actions
          draft={draft}
          name={editor.name}
          yaml={yaml}
          broken={editor.broken !== undefined}
          unchanged={editor.fixed !== undefined && !draft.dirty}
          why={editor.why}
          form={props.called}
          onEditAs={editor.showText}
        >
          {saved && !readOnly && (
            <More
              kind={kind}
              saved={saved}
              label={props.remove ?? `Delete the ${kind}`}
              cost={props.cost}
              onCopy={props.onCopy}
              onGone={() => {
                draft.gone();
                void navigate({ to: props.home });
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
