import { Menu } from '@mantine/core';
import { useDefinitions } from '../api/queries';
import type { Stream } from '../api/streams';
import { ChoiceChip, QuietMenu } from '../trigger/Chip';
import { Drop } from '../trigger/Sentence';
import sentence from '../trigger/trigger.module.css';
import { Icon } from '../ui/Icon';
import css from './audience.module.css';
import { Leaf } from './Leaf';
import { came, fresh, groupOf, type Join, joins, type Kind, type Node, nodeOf } from './tree';

const kinds: { kind: Kind | 'group'; label: string; about: string }[] = [
  { kind: 'did', label: 'Did, or did not', about: 'An event, how often and when' },
  { kind: 'where', label: 'A trait', about: 'What an identify call said of them' },
  { kind: 'is', label: 'A dimension', about: 'Engagement, country, acquisition …' },
  { kind: 'funnel', label: 'A place in a funnel', about: 'Stuck, in progress, or reached' },
  { kind: 'audience', label: 'Another audience', about: 'In it, or not in it' },
  { kind: 'consent', label: 'Consent', about: 'What they agreed to' },
  { kind: 'group', label: 'A group', about: 'Any, all or none of several' },
];

/** Conditions that are joined: all, any or none of them have to hold. */
export function Group(props: {
  join: Join;
  list: readonly Node[];
  set: (join: Join, list: Node[]) => void;
  /** Within another group: taking it away. */
  remove?: (() => void) | undefined;
  /** The audience that is edited: it cannot be in itself. */
  self: string;
  readOnly: boolean;
  /** What was added last. */
  added: Node | undefined;
  onAdd: (node: Node) => void;
}) {
  const { join, list, set, readOnly } = props;
  const streams = useDefinitions<Stream>('stream');
  const add = (node: Node) => {
    props.onAdd(node);
    set(join, [...list, node]);
  };
  const put = (i: number, node: Node) =>
    set(
      join,
      list.map((n, k) => (k === i ? node : n)),
    );
  const drop = (i: number) =>
    set(
      join,
      list.filter((_, k) => k !== i),
    );
  return (
    <div className={css.group} data-nested={props.remove ? true : undefined} data-testid="group">
      <div className={sentence.sentence}>
        {list.length === 0 && !props.remove ? (
          <span>Everybody, until a condition says otherwise</span>
        ) : (
          <>
            <span>{props.remove ? '' : 'Users for whom '}</span>
            <ChoiceChip
              what="Join"
              value={join}
              choices={joins}
              set={(next) => set(next, [...list])}
              readOnly={readOnly}
            />
            <span>of these hold:</span>
          </>
        )}
        {props.remove && !readOnly && <Drop what="the group" on={props.remove} />}
      </div>
      <ul className={css.list}>
        {list.map((node, i) => {
          const group = groupOf(node);
          return (
            // biome-ignore lint/suspicious/noArrayIndexKey: a condition is its place
            <li key={i} className={css.item}>
              {group ? (
                <Group
                  {...props}
                  join={group.join}
                  list={group.list}
                  set={(how, nodes) => put(i, nodes.length > 0 ? nested(how, nodes) : { any: [] })}
                  remove={() => drop(i)}
                />
              ) : (
                <Leaf
                  node={node}
                  set={(next) => put(i, next)}
                  remove={() => drop(i)}
                  self={props.self}
                  fresh={props.added !== undefined && isSame(node, props.added)}
                  readOnly={readOnly}
                />
              )}
            </li>
          );
        })}
      </ul>
      {!readOnly && (
        <QuietMenu
          width={290}
          target={
            <button type="button" className={sentence.chip} data-off>
              <Icon name="plus" size={13} />
              {list.length === 0 ? 'a condition' : 'another condition'}
            </button>
          }
        >
          {kinds.map(({ kind, label, about }) => (
            <Menu.Item key={kind} onClick={() => add(fresh(kind))}>
              {label}
              <span className={sentence.hint}>{about}</span>
            </Menu.Item>
          ))}
          {streams.data?.definitions.map(({ name, spec }) => (
            <Menu.Item key={`stream ${name}`} onClick={() => add(came(name, spec.event))}>
              Came by {name}
              <span className={sentence.hint}>A stream of somebody else’s</span>
            </Menu.Item>
          ))}
        </QuietMenu>
      )}
    </div>
  );
}

/** Whether a node is the one that was added, wherever in the tree it came to stand. */
const isSame = (node: Node, added: Node): boolean => {
  const [is] = Object.values(node);
  return typeof is === 'object' && is === Object.values(added)[0];
};

/** A group within a group stays one, however few it holds. */
function nested(how: Join, nodes: Node[]): Node {
  const node = nodeOf(how, nodes);
  return groupOf(node) ? node : { [how]: nodes };
}
