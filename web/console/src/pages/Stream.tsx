import { useNavigate, useParams } from '@tanstack/react-router';
import { type Definition, useDefinition } from '../api/queries';
import { useMay } from '../api/session';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { useEditor } from '../definition/useEditor';
import { Connection } from '../stream/Connection';
import { Mapping } from '../stream/Mapping';
import { Messages } from '../stream/Messages';
import { LeftOut, Standing } from '../stream/Standing';
import { blank, lacks, problemsOf, read, type Spec, suggest, toText } from '../stream/spec';
import { Topic } from '../stream/Topic';
import { useSampling } from '../stream/useSampling';

/** A stream that exists. */
export default function Stream() {
  const { name } = useParams({ from: '/data/streams/$name' });
  const answer = useDefinition<Spec>('stream', name);
  if (answer.saved) return <Editor key={name} saved={answer.saved} />;
  return <Absent kind="stream" name={name} answer={answer} />;
}

/** A stream that does not exist yet. */
export function NewStream() {
  return <Editor saved={undefined} />;
}

function Editor({ saved }: { saved: Definition<Spec> | undefined }) {
  const navigate = useNavigate();
  const may = useMay('admin');
  const editor = useEditor<Spec>({
    kind: 'stream',
    role: 'admin',
    saved,
    blank,
    suggest,
    toText,
    read,
    lacks,
    complete: (spec) => lacks(spec) === undefined,
    onMade: (name) => void navigate({ to: '/data/streams/$name', params: { name }, replace: true }),
  });
  const { spec, problems, readOnly, yaml } = editor;
  const sampling = useSampling(saved?.name, spec);
  const editing = { spec, set: editor.change, sampling, readOnly, may };
  return (
    <Frame
      editor={editor}
      title={saved?.name ?? 'New stream'}
      lede="A Kafka topic of others. Each of its messages becomes an event."
      cost="Nothing is read of the topic any more. The events that came by it stay."
      called="Form"
      unnamed="named after its topic"
      asideLabel="The newest messages"
      aside={
        may && <Messages spec={spec} sampling={sampling} broken={editor.broken !== undefined} />
      }
    >
      {saved && <Standing name={saved.name} />}
      {!yaml && (
        <>
          <Connection {...editing} problems={problemsOf(problems, 'connection')} />
          <Topic
            {...editing}
            saved={saved !== undefined}
            problems={problemsOf(problems, 'topic')}
          />
          <Mapping {...editing} problems={problemsOf(problems, 'mapping')} />
        </>
      )}
      {saved && <LeftOut name={saved.name} />}
    </Frame>
  );
}
