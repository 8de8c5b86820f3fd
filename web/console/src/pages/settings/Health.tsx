import type { Schema } from '../../api/client';
import { useHealth } from '../../api/queries';
import { bytes, compact } from '../../format/number';
import { span } from '../../format/time';
import { sentence } from '../../format/words';
import { Card, Stat } from '../../ui/Page';
import rows from '../../ui/rows.module.css';
import { Pill } from '../../ui/Status';
import { Failure, Loading } from '../../ui/states';
import { AsOf, useNow } from '../../ui/time';
import css from '../../ui/ui.module.css';

/** Whether a session is there: one that is begun for the first time is no failure yet. */
export function SessionPill({ session: s }: { session: Schema['ChannelSession'] }) {
  if (s.bound) return <Pill color="teal">Bound</Pill>;
  return <Pill color={s.since ? 'orange' : 'gray'}>{s.since ? 'Down' : 'Connecting'}</Pill>;
}

const share = (done: number, of: number) => `${of > 0 ? Math.floor((100 * done) / of) : 0} %`;

export function Health() {
  const health = useHealth();
  const now = useNow();
  const { data } = health;
  if (health.error && !data) {
    return (
      <Card>
        <Failure error={health.error} retry={health.refetch} />
      </Card>
    );
  }
  if (!data) {
    return (
      <Card>
        <Loading rows={8} />
      </Card>
    );
  }
  const slowest = data.lags.reduce<(typeof data.lags)[number] | undefined>(
    (most, lag) => (lag.ms > (most?.ms ?? 0) ? lag : most),
    undefined,
  );
  const processes = data.processes ?? [];
  const parts = processes.length > 0 ? processes.flatMap((p) => p.parts) : data.roles;
  const roles = [...new Set([...parts.map((r) => r.role), ...data.lags.map((l) => l.role)])];
  return (
    <div className={css.stack}>
      <div className={css.meta} style={{ justifyContent: 'space-between' }}>
        <Pill color={data.status === 'ok' ? 'teal' : 'orange'}>
          {data.status === 'ok' ? 'All is well' : 'Needs attention'}
        </Pill>
        <AsOf at={new Date(data.asOf)} />
      </div>
      {data.notes && data.notes.length > 0 && (
        <Card title="Notes">
          <ul style={{ margin: 0, paddingLeft: 18 }}>
            {[...new Set(data.notes)].map((note) => (
              <li key={note}>{sentence(note)}</li>
            ))}
          </ul>
        </Card>
      )}
      <div className={css.statGrid}>
        <Stat
          label="Furthest behind"
          value={slowest ? span(slowest.ms / 1000) : 'Nothing'}
          hint={
            slowest
              ? `${slowest.role}, partition ${slowest.partition} of ${slowest.stream}`
              : 'Everything that arrived has been handled'
          }
        />
        <Stat
          label="Running for"
          value={
            data.startedAt ? span((now.getTime() - new Date(data.startedAt).getTime()) / 1000) : '–'
          }
          hint={`version ${data.version}${data.shape ? `, ${data.shape}` : ''}`}
        />
        <Stat
          label="Disk used"
          value={data.disk ? bytes(data.disk.usedBytes) : '–'}
          hint={
            data.disk?.reserveReached
              ? 'The reserve is reached: new events are refused'
              : data.disk?.freeBytes !== undefined
                ? `${bytes(data.disk.freeBytes)} free`
                : undefined
          }
        />
        <Stat
          label="Memory"
          value={data.memoryBytes ? bytes(data.memoryBytes) : '–'}
          hint={
            data.revision !== undefined ? `definitions at revision ${data.revision}` : undefined
          }
        />
      </div>
      {(data.facts || data.behavior) && (
        <Card title="Analysis">
          <div className={css.statGrid}>
            {data.facts && (
              <Stat
                label="Events kept"
                value={compact(data.facts.rows)}
                hint={`${bytes(data.facts.bytes)} on disk, ${
                  data.facts.behindMs < 1000
                    ? 'up to date'
                    : `${span(data.facts.behindMs / 1000)} behind`
                }`}
              />
            )}
            {data.facts?.rebuilding && (
              <Stat
                label="Rebuilding a damaged file"
                value={share(data.facts.rebuilding.done, data.facts.rebuilding.total)}
                hint={`${compact(data.facts.rebuilding.done)} of ${compact(data.facts.rebuilding.total)} events read again`}
              />
            )}
            {data.behavior && (
              <Stat
                label="Behavioral index"
                value={
                  data.behavior.state === 'loading'
                    ? share(data.behavior.done ?? 0, data.behavior.of ?? 0)
                    : compact(data.behavior.events)
                }
                hint={
                  data.behavior.state === 'loading'
                    ? (data.behavior.message ?? 'loading; some questions have to wait for it')
                    : data.behavior.state === 'ready'
                      ? `events of ${compact(data.behavior.users)} users, ${bytes(data.behavior.bytes)} of memory`
                      : data.behavior.message
                }
              />
            )}
          </div>
        </Card>
      )}
      {data.sessions && data.sessions.length > 0 && (
        <Card title="Sessions with message centres" flush>
          <ul className={rows.rows} data-testid="sessions">
            {data.sessions.map((s) => (
              <li key={`${s.channel} ${s.process}`} className={rows.row}>
                <div className={rows.item}>
                  <span className={rows.itemText}>
                    <span className={rows.itemTitle}>{s.channel}</span>
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      {[
                        s.destination,
                        s.process,
                        s.since &&
                          `${s.bound ? 'bound' : 'down'} for ${span((now.getTime() - new Date(s.since).getTime()) / 1000)}`,
                        `${s.inFlight} of ${s.window} submits under way`,
                        s.waiting > 0 && `${compact(s.waiting)} wait`,
                        s.throttled && 'the message centre has asked for a pause',
                      ]
                        .filter(Boolean)
                        .join(', ')}
                    </span>
                    {s.reason && (
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {sentence(s.reason)}
                      </span>
                    )}
                  </span>
                  <SessionPill session={s} />
                </div>
              </li>
            ))}
          </ul>
        </Card>
      )}
      {processes.length > 0 && (
        <Card title="Processes" flush>
          <ul className={rows.rows} data-testid="processes">
            {processes.map((p) => {
              const wrong = p.parts.filter((part) => !part.ready);
              return (
                <li key={p.id} className={rows.row}>
                  <div className={rows.item}>
                    <span className={rows.itemText}>
                      <span className={rows.itemTitle}>{sentence(p.roles.join(', '))}</span>
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {[
                          p.url,
                          `runs for ${span((now.getTime() - new Date(p.startedAt).getTime()) / 1000)}`,
                          p.memoryBytes ? `${bytes(p.memoryBytes)} of memory` : '',
                          `version ${p.version}`,
                        ]
                          .filter(Boolean)
                          .join(', ')}
                      </span>
                      {wrong.map((part) => (
                        <span
                          key={part.role}
                          className={rows.itemHint}
                          style={{ display: 'block' }}
                        >
                          {sentence(part.message || `${part.role} is not ready`)}
                        </span>
                      ))}
                    </span>
                    <Pill color={wrong.length === 0 ? 'teal' : 'orange'}>
                      {wrong.length === 0 ? 'Ready' : 'Not ready'}
                    </Pill>
                  </div>
                </li>
              );
            })}
          </ul>
        </Card>
      )}
      <Card title="Roles" flush>
        <ul className={rows.rows}>
          {roles.map((name) => {
            const role =
              parts.find((r) => r.role === name && !r.ready) ?? parts.find((r) => r.role === name);
            const lags = data.lags.filter((l) => l.role === name);
            const behind = Math.max(0, ...lags.map((l) => l.ms));
            return (
              <li key={name} className={rows.row}>
                <div className={rows.item}>
                  <span className={rows.itemText}>
                    <span className={rows.itemTitle}>{sentence(name)}</span>
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      {role?.message ||
                        (lags.length > 0
                          ? behind === 0
                            ? `has caught up on ${lags.length} partitions`
                            : `up to ${span(behind / 1000)} behind on ${lags.filter((l) => l.ms > 0).length} of ${lags.length} partitions`
                          : '')}
                    </span>
                  </span>
                  {role && (
                    <Pill color={role.ready ? 'teal' : 'orange'}>
                      {role.ready ? 'Ready' : 'Not ready'}
                    </Pill>
                  )}
                </div>
              </li>
            );
          })}
        </ul>
      </Card>
    </div>
  );
}
