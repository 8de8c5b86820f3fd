import { ActionIcon, Button, NumberInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useKind, useTemplates } from '../api/queries';
import { sentence } from '../format/words';
import { PickChip } from '../trigger/Chip';
import { put } from '../trigger/spec';
import trigger from '../trigger/trigger.module.css';
import { Icon } from '../ui/Icon';
import { Card } from '../ui/Page';
import { Segments } from '../ui/Segments';
import ui from '../ui/ui.module.css';
import css from './campaign.module.css';
import { speaks } from './channels';
import type { Content, Spec } from './spec';

const labels: Record<string, string> = { outbox: 'Outbox', web: 'On the page' };

/** The contents: one, or several among which users are divided by weight. */
export function What(props: { spec: Spec; set: (spec: Spec) => void; readOnly: boolean }) {
  const { spec, set, readOnly } = props;
  const several = spec.what.length > 1;
  const total = spec.what.reduce((n, v) => n + (v.weight ?? 1), 0);
  const change = (what: Content[]) => set({ ...spec, what });
  return (
    <Card
      title="What"
      aside={
        !readOnly && (
          <Button
            size="compact-xs"
            variant="default"
            leftSection={<Icon name="plus" size={13} />}
            onClick={() =>
              change([...spec.what, { channel: spec.what[0]?.channel ?? 'web', template: '' }])
            }
          >
            Another content to compare
          </Button>
        )
      }
    >
      <ol className={css.contents} data-testid="what">
        {spec.what.map((content, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a content is its place
          <li key={i} className={css.content}>
            <One
              content={content}
              first={i === 0}
              set={(next) => change(spec.what.map((v, at) => (at === i ? next : v)))}
              readOnly={readOnly}
            />
            {several && (
              <div className={trigger.sentence}>
                <NumberInput
                  size="xs"
                  w={92}
                  label="Weight"
                  min={0}
                  max={1000}
                  allowDecimal={false}
                  value={content.weight ?? 1}
                  readOnly={readOnly}
                  onChange={(n) =>
                    typeof n === 'number' &&
                    change(
                      spec.what.map((v, at) =>
                        at === i ? put(v, 'weight', n === 1 ? undefined : n) : v,
                      ),
                    )
                  }
                />
                <span className={ui.muted}>
                  {total > 0
                    ? `${Math.round(((content.weight ?? 1) / total) * 100)} % of the users`
                    : 'nobody'}
                </span>
                {!readOnly && (
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    aria-label={`Remove content ${i + 1}`}
                    onClick={() => change(spec.what.filter((_, at) => at !== i))}
                  >
                    <Icon name="trash" size={15} />
                  </ActionIcon>
                )}
              </div>
            )}
          </li>
        ))}
      </ol>
    </Card>
  );
}

function One(props: {
  content: Content;
  first: boolean;
  set: (content: Content) => void;
  readOnly: boolean;
}) {
  const { content, set, readOnly } = props;
  const channels = useKind<{ type: string }>('channel');
  const alone = speaks(channels.data?.definitions, content.channel);
  const templates = useTemplates();
  const names = [
    ...new Set(['web', 'outbox', ...(channels.data?.definitions ?? []).map((c) => c.name)]),
  ];
  const fitting = (templates.data?.definitions ?? []).filter(
    (t) => t.spec.channel === content.channel,
  );
  return (
    <>
      <Segments
        size="xs"
        aria-label="Channel"
        value={content.channel}
        disabled={readOnly}
        data={names.map((value) => ({ value, label: labels[value] ?? sentence(value) }))}
        onChange={(channel) => set({ ...content, channel, template: '' })}
      />
      <div className={trigger.sentence}>
        <span>says</span>
        <PickChip
          what="Template"
          value={content.template ?? ''}
          label={content.template || undefined}
          placeholder={alone ? 'its usual document' : 'pick a template'}
          search="Search templates"
          options={[
            ...(alone ? [{ value: '', label: 'its usual document', hint: 'no template' }] : []),
            ...fitting.map((t) => ({ value: t.name, label: t.name, hint: t.spec.as })),
          ]}
          set={(template) => set({ ...content, template })}
          readOnly={readOnly}
        />
        {templates.data && fitting.length === 0 && (
          <span className={ui.muted}>
            {alone
              ? 'Who, which campaign and event, as JSON (docs/kafka.md).'
              : 'No template is for this channel yet.'}{' '}
            <Link to="/new/template" search={{ channel: content.channel }} className={ui.link}>
              {alone ? 'Write a template' : 'Write one'}
            </Link>
          </span>
        )}
      </div>
    </>
  );
}
