import { Alert, Button, Text } from '@mantine/core';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { plural } from '../format/number';
import { Json } from '../ui/Json';
import { Card } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Loading } from '../ui/states';
import { Ago } from '../ui/time';
import ui from '../ui/ui.module.css';
import { outcome, type Sample, type Spec } from './spec';
import css from './stream.module.css';
import type { Sampling } from './useSampling';

type Message = Schema['StreamMessage'];

/** The newest messages of the topic, and what would be made of them. */
export function Messages(props: { spec: Spec; sampling: Sampling; broken: boolean }) {
  const { spec, sampling } = props;
  const { sample } = sampling;
  const ready = spec.topic !== '' && spec.kafka.brokers.length > 0;
  return (
    <Card
      title="Newest messages"
      aside={
        <Button
          size="xs"
          variant={sample && !sampling.old ? 'default' : 'filled'}
          loading={sampling.reading}
          disabled={props.broken || !ready}
          onClick={() => sampling.read(spec)}
        >
          Test
        </Button>
      }
    >
      {sampling.failed ? (
        <Alert
          color="red"
          variant="outline"
          title="Nothing could be read"
          styles={{ body: { color: 'var(--mantine-color-text)' } }}
        >
          {messageOf(sampling.failed)}
        </Alert>
      ) : sample ? (
        <Read spec={spec} sample={sample} old={sampling.old} />
      ) : sampling.reading ? (
        <Loading rows={4} label="Reading messages" />
      ) : (
        <Text size="sm" c="dimmed">
          {ready
            ? 'A test reads some messages, and shows what would become of them. Nothing is stored, and no position moves.'
            : 'Name the brokers and pick a topic: its newest messages are shown here before anything is saved.'}
        </Text>
      )}
    </Card>
  );
}

function Read({ spec, sample, old }: { spec: Spec; sample: Sample; old: boolean }) {
  const [newest, ...others] = sample.messages;
  if (!newest)
    return (
      <Empty
        icon="events"
        title="The topic is empty"
        cause={`It has ${plural(sample.partitions, 'partition')} and no message. Places can be typed; a test shows more when there is one.`}
      />
    );
  return (
    <>
      <Text size="sm" role="status">
        {old ? 'Changed since they were read: test again.' : outcome(spec, sample)}
      </Text>
      <div className={css.newest} data-testid="newest">
        <Value text={newest.value} />
      </div>
      <ul className={rows.rows} data-testid="messages" aria-label="What becomes of them">
        {[newest, ...others].map((m) => (
          <li key={`${m.partition}-${m.offset}`} className={rows.row}>
            <Verdict message={m} />
          </li>
        ))}
      </ul>
    </>
  );
}

/** A value as JSON, or as it is where it is none. */
function Value({ text }: { text: string }) {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return <pre className={ui.json}>{text}</pre>;
  }
  return <Json value={value} />;
}

function Verdict({ message: m }: { message: Message }) {
  return (
    <div className={css.verdict}>
      {m.problem ? (
        <b>Left out: {m.problem}</b>
      ) : m.events.length === 0 ? (
        <span className={ui.muted}>Not said yet what it becomes</span>
      ) : (
        m.events.map((e) => (
          <b key={e.messageId}>
            {e.user} · {e.event}
          </b>
        ))
      )}
      <span className={rows.itemHint}>
        <Ago at={new Date(m.at)} /> · partition {m.partition}, offset {m.offset}
        {m.key !== '' && ` · key ${m.key}`}
      </span>
      {m.problem && <code className={rows.itemHint}>{m.value.slice(0, 200)}</code>}
    </div>
  );
}
