import { Bars } from '../chart/Bars';
import { share } from '../chart/share';
import { Table } from '../chart/Table';
import { ChoiceChip, PickChip } from '../trigger/Chip';
import css from './explore.module.css';
import { Frame } from './Frame';
import type { PathNode } from './measure';
import { defaults, type Paths } from './state';
import { useExplore } from './useExplore';
import { useEvents } from './useNames';
import { doing } from './words';

const label = (node: PathNode): string =>
  node.end ? 'Nothing more' : node.other ? 'All others' : doing(node.event);

/** What users do right after an event, or before it: one list a step. */
export function PathsView() {
  const { s, set } = useExplore();
  const { options } = useEvents();
  const paths = s.paths ?? defaults.paths;
  const change = (next: Partial<Paths>) => set({ paths: { ...paths, ...next } });
  return (
    <Frame
      title="Paths"
      about={`what users did within the hour ${paths.before ? 'before the last' : 'after the first'} one`}
      asked={
        <div className={css.asked}>
          <div className={css.line}>
            <span>what comes</span>
            <ChoiceChip
              what="Direction"
              value={paths.before ? 'before' : 'after'}
              choices={{ after: 'after', before: 'before' }}
              set={(way) => change({ before: way === 'before' || undefined })}
            />
            <PickChip
              what="Event"
              value={paths.from}
              options={options}
              placeholder="pick an event"
              search="Search events"
              openAtFirst={paths.from === ''}
              set={(from) => change({ from })}
            />
          </div>
        </div>
      }
      unasked={
        <p className={css.unasked} role="status">
          Pick the event that the paths lead from.
        </p>
      }
    >
      <PathsFigure />
    </Frame>
  );
}

/** The lists. */
export function PathsFigure() {
  const { s, answer, open } = useExplore();
  const paths = s.paths ?? defaults.paths;
  const result = answer?.paths;
  const at = (depth: number, node: number) =>
    open({ depth, node }, result?.depths[depth - 1]?.[node]?.users);
  const place = (depth: number) =>
    depth === 1
      ? `Right ${paths.before ? 'before' : 'after'}`
      : `${depth} steps ${paths.before ? 'before' : 'after'}`;
  return (
    <>
      {s.table ? (
        <Table
          label="Paths"
          head={['Place', 'Event', 'Users', 'Share']}
          rows={(result?.depths ?? []).flatMap((nodes, d) =>
            nodes.map((node, i) => ({
              key: `${d}-${i}`,
              cells: [
                place(d + 1),
                label(node),
                { value: node.users, label: label(node), onClick: () => at(d + 1, i) },
                share(node.users, result?.users ?? 0),
              ],
            })),
          )}
        />
      ) : (
        <div className={css.paths}>
          {(result?.depths ?? []).map((nodes, d) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a depth is its place
            <div key={d}>
              <h3 className={css.pathHead}>{place(d + 1)}</h3>
              <Bars
                label={place(d + 1)}
                bars={nodes.map((node, i) => ({
                  key: `${i}`,
                  label: label(node),
                  value: node.users,
                  soft: (node.end || node.other) ?? false,
                }))}
                total={result?.users ?? 0}
                noun="users"
                narrow
                onPick={(bar) => at(d + 1, Number(bar.key))}
              />
            </div>
          ))}
        </div>
      )}
    </>
  );
}
