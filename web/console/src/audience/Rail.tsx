import { Link } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useChanges, usePreview, useSize } from '../api/queries';
import { count, plural } from '../format/number';
import { reachWords } from '../format/words';
import trigger from '../trigger/trigger.module.css';
import { Card } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Sparkline } from '../ui/Sparkline';
import { Pill } from '../ui/Status';
import { Failure, Loading } from '../ui/states';
import { Ago, AsOf } from '../ui/time';
import ui from '../ui/ui.module.css';
import css from './audience.module.css';

type Size = Schema['Audience'];

/** Who is in it as it is being edited: counted again at every change. */
export function Preview(props: {
  tree: Schema['AudiencePreviewRequest'] | undefined;
  /** Why it is not asked about. */
  why: string;
  /** What is edited is not what is asked about yet. */
  waiting: boolean;
  frozen: string | undefined;
}) {
  const preview = usePreview(props.tree, true);
  const { data } = preview;
  const old = preview.isPlaceholderData || props.waiting;
  return (
    <Card title="Size" aside={<AsOf at={props.tree && data ? new Date(data.asOf) : undefined} />}>
      <div className={ui.stack} data-testid="preview" aria-busy={old || preview.isPending}>
        {!props.tree ? (
          <p className={trigger.plain}>{props.why}</p>
        ) : preview.error ? (
          <p className={trigger.plain}>{messageOf(preview.error)}</p>
        ) : !data ? (
          <Loading rows={3} label="Counting" />
        ) : (
          <div className={`${ui.stack} ${old ? css.stale : ''}`}>
            <div className={css.size} role="status">
              <b data-testid="size">{count(data.size)}</b>
              <span className={ui.muted}>
                {data.size === 0
                  ? 'users: nobody fits all of this now'
                  : data.size === 1
                    ? 'user'
                    : 'users'}
                {props.frozen && ' now'}
              </span>
            </div>
            <Reach reachable={data.reachable} />
            {data.sample.length > 0 && (
              <div>
                <h3 className={ui.small}>Some of them</h3>
                <ul className={css.sample}>
                  {data.sample.slice(0, 8).map((id) => (
                    <li key={id}>
                      <Link to="/users/$id" params={{ id }} className={ui.link}>
                        {id}
                      </Link>
                    </li>
                  ))}
                </ul>
              </div>
            )}
          </div>
        )}
      </div>
    </Card>
  );
}

/** How many can be reached, by channel. */
export function Reach({ reachable }: { reachable: Size['reachable'] }) {
  if (reachable.length === 0)
    return <p className={css.small}>No channel says how many it can reach.</p>;
  return (
    <dl className={css.reach}>
      {reachable.map((r) => (
        <div key={r.channel} style={{ display: 'contents' }}>
          <dt>Reachable by {r.channel}</dt>
          <dd>{reachWords(r, count)}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Whether what is shown is true now, in a word. */
export function State({ size }: { size: Size }) {
  if (size.state === 'failed') return <Pill color="red">Not counted</Pill>;
  if (size.state === 'counting') return <Pill color="gray">Counting</Pill>;
  if (size.stale) return <Pill color="orange">Behind</Pill>;
  return null;
}

/** The size over the last days; bars for every point where it changed. */
export function History({ size, height = 28 }: { size: Size; height?: number }) {
  const sizes = size.history.map((h) => h.size);
  const [first] = sizes;
  if (sizes.length < 2 || first === undefined)
    return <span className={css.small}>no change in 7 days</span>;
  return (
    <Sparkline
      values={sizes.slice(-60)}
      height={height}
      label={`Size in the last 7 days: from ${count(first)} to ${count(sizes.at(-1) ?? 0)}`}
    />
  );
}

/** Where a definition that names an audience is. */
export function Use({ use }: { use: Size['usedBy'][number] }) {
  const { kind, name } = use;
  const to =
    kind === 'campaign'
      ? ('/campaigns/$name' as const)
      : kind === 'trigger'
        ? ('/triggers/$name' as const)
        : ('/audiences/$name' as const);
  return (
    <Link to={to} params={{ name }} className={ui.link} title={`${kind} ${name}`}>
      {name}
    </Link>
  );
}

/** What is kept of a saved audience: its size over time, who uses it, who comes and goes. */
export function Kept({ name }: { name: string }) {
  const size = useSize(name);
  const byBehavior = size.data?.kind === 'behavior';
  const changes = useChanges(name, byBehavior);
  const { data } = size;
  if (size.error && !data) {
    return (
      <Card title="As saved" flush>
        <Failure error={size.error} retry={size.refetch} />
      </Card>
    );
  }
  if (!data) {
    return (
      <Card title="As saved" flush>
        <Loading rows={3} />
      </Card>
    );
  }
  return (
    <>
      <Card title="As saved" aside={<State size={data} />}>
        <div className={ui.stack}>
          <div className={ui.between}>
            <span className={ui.muted}>
              {data.asOf ? plural(data.size, 'user') : 'Never counted'}
              {data.kind === 'frozen' && ', frozen'}
            </span>
            <AsOf at={data.asOf ? new Date(data.asOf) : undefined} />
          </div>
          {data.error && <p className={trigger.plain}>{data.error}.</p>}
          <History size={data} height={36} />
          <div className={ui.between}>
            <span className={ui.muted}>Used by</span>
            <span className={ui.titleLine}>
              {data.usedBy.length === 0
                ? 'nothing yet'
                : data.usedBy.map((u) => <Use key={`${u.kind} ${u.name}`} use={u} />)}
            </span>
          </div>
        </div>
      </Card>
      <Card
        title="Who comes and goes"
        flush
        aside={
          byBehavior && (
            <span className={ui.asOf}>
              24 h: +{count(data.entered24h)} −{count(data.left24h)}
            </span>
          )
        }
      >
        {!byBehavior ? (
          <p className={ui.none}>
            {data.kind === 'frozen'
              ? 'Nobody: it is frozen.'
              : 'Not followed: it asks only what users are, which is looked up when it is needed.'}
          </p>
        ) : changes.error && !changes.data ? (
          <Failure error={changes.error} retry={changes.refetch} />
        ) : !changes.data ? (
          <Loading rows={3} />
        ) : changes.data.changes.length === 0 ? (
          <p className={ui.none}>Nobody has entered or left since it was defined.</p>
        ) : (
          <ul
            className={rows.rows}
            data-testid="changes"
            style={{ maxHeight: 340, overflow: 'auto' }}
          >
            {changes.data.changes.slice(0, 12).map((c) => (
              <li key={`${c.time} ${c.user} ${c.change}`} className={rows.row}>
                <div className={rows.item}>
                  <span className={rows.itemText}>
                    <Link to="/users/$id" params={{ id: c.user }} className={ui.link}>
                      {c.user}
                    </Link>{' '}
                    <span className={ui.muted}>{c.change}</span>
                  </span>
                  <span className={ui.asOf}>
                    <Ago at={c.time} />
                  </span>
                </div>
              </li>
            ))}
          </ul>
        )}
      </Card>
    </>
  );
}
