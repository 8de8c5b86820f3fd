import {
  Alert,
  Button,
  Drawer,
  Modal,
  Switch,
  Text,
  TextInput,
  UnstyledButton,
} from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useState } from 'react';
import type { Schema } from '../api/client';
import {
  allBadEvents,
  useBadEvents,
  useEventDefinitions,
  useEventFields,
  useEventNames,
  useSaveDefinition,
} from '../api/queries';
import { useMay } from '../api/session';
import { compact, plural } from '../format/number';
import { eventLabel, sentence } from '../format/words';
import { DataTabs } from '../shell/DataTabs';
import { CsvButton } from '../ui/CsvButton';
import { Filter, Rest, useFound } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { done, failed } from '../ui/notice';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Failure, Loading } from '../ui/states';
import { Tag } from '../ui/Tag';
import { Ago, AsOf, At } from '../ui/time';
import css from '../ui/ui.module.css';

type Name = Schema['EventName'];

export default function Events() {
  const names = useEventNames();
  const { open } = useSearch({ from: '/data/events' });
  const navigate = useNavigate({ from: '/data/events' });
  const [naming, setNaming] = useState(false);
  const may = useMay('marketer');
  const list = [...(names.data?.names ?? [])].sort(
    (a, b) => b.count - a.count || a.name.localeCompare(b.name),
  );
  const found = useFound(list, (n) => [
    n.name,
    eventLabel(n.name),
    n.description,
    n.key ? 'key event' : '',
  ]);
  const top = Math.max(1, ...list.map((n) => n.count));
  const show = (name: string | undefined) =>
    navigate({ search: (old) => ({ ...old, open: name }) });
  return (
    <Page
      title="Data"
      lede="The events that arrive, found by themselves, and what was refused at the door."
      actions={
        <>
          <AsOf at={names.dataUpdatedAt || undefined} />
          <CsvButton
            name="events"
            head={['event', 'key', 'declared', 'description', 'count', 'last seen']}
            disabled={list.length === 0}
            rows={() =>
              found.all.map((n) => [n.name, n.key, n.declared, n.description, n.count, n.lastSeen])
            }
          />
          {may && (
            <Button
              size="xs"
              leftSection={<Icon name="plus" size={14} />}
              onClick={() => setNaming(true)}
            >
              New key event
            </Button>
          )}
        </>
      }
    >
      <DataTabs />
      <div className={css.twoColumns}>
        <Card
          title="Events"
          flush
          aside={
            names.data && (
              <span className={css.asOf}>
                since <At at={names.data.since} />
              </span>
            )
          }
        >
          {names.error && !names.data ? (
            <Failure error={names.error} retry={names.refetch} />
          ) : !names.data ? (
            <Loading />
          ) : list.length === 0 ? (
            <Empty
              waiting
              icon="events"
              title="No events yet"
              cause="Nothing has arrived since Heed started: no page or server sends to it."
              action={<LinkButton to="/">See how to send one</LinkButton>}
            />
          ) : (
            <>
              <Filter found={found} many="events" />
              <ul className={rows.rows} data-testid="event-names">
                {found.shown.map((name) => (
                  <li key={name.name} className={rows.row}>
                    <UnstyledButton
                      className={rows.itemLink}
                      onClick={() => show(name.name)}
                      aria-haspopup="dialog"
                    >
                      <span className={rows.itemText}>
                        <span className={css.titleLine}>
                          <span className={rows.itemTitle}>{eventLabel(name.name)}</span>
                          {name.key && <span className={rows.tag}>key event</span>}
                          {!name.declared && !name.name.startsWith('heed.') && (
                            <span className={rows.tag}>discovered</span>
                          )}
                        </span>
                        <span className={rows.itemHint} style={{ display: 'block' }}>
                          {[
                            name.description,
                            !name.lastSeen && 'waiting for the first one since the start',
                          ]
                            .filter(Boolean)
                            .join(' · ')}
                          {name.lastSeen && (
                            <>
                              {name.description && ' · '}last seen <Ago at={name.lastSeen} />
                            </>
                          )}
                        </span>
                      </span>
                      <svg
                        viewBox="0 0 100 8"
                        width="110"
                        height="8"
                        preserveAspectRatio="none"
                        aria-hidden="true"
                        className={css.wide}
                      >
                        <rect
                          width={Math.max(name.count > 0 ? 1 : 0, (name.count / top) * 100)}
                          height="8"
                          rx="2"
                          fill="var(--heed-bar)"
                        />
                      </svg>
                      <b className={css.right} style={{ minWidth: 64 }}>
                        {compact(name.count)}
                      </b>
                      <Icon name="chevron" size={16} />
                    </UnstyledButton>
                  </li>
                ))}
              </ul>
              <Rest found={found} one="event" />
            </>
          )}
        </Card>
        <Bad />
      </div>
      <Drawer
        opened={open !== undefined}
        onClose={() => show(undefined)}
        position="right"
        size={560}
        title={<b>{eventLabel(open ?? '')}</b>}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {open !== undefined && (
          <Details name={open} seen={names.data?.names.find((n) => n.name === open)} />
        )}
      </Drawer>
      <Naming
        opened={naming}
        onClose={() => setNaming(false)}
        onMade={(name) => {
          setNaming(false);
          show(name);
        }}
      />
    </Page>
  );
}

/** Everything about one event, and the tag that sends it. */
function Details({ name, seen }: { name: string; seen: Name | undefined }) {
  const own = name.startsWith('heed.');
  return (
    <div className={css.stack} data-testid="event-details">
      <dl className={css.facts}>
        <dt>Seen since the start</dt>
        <dd>{seen?.count ? plural(seen.count, 'time') : 'Not yet: paste the tag below'}</dd>
        <dt>Last seen</dt>
        <dd>{seen?.lastSeen ? <Ago at={seen.lastSeen} /> : 'Waiting for the first one …'}</dd>
        {seen?.description && (
          <>
            <dt>Meaning</dt>
            <dd>{seen.description}</dd>
          </>
        )}
      </dl>
      {!own && <Key name={name} seen={seen} />}
      <div className={css.titleLine}>
        <LinkButton to="/live" search={{ name }} size="xs" variant="default">
          Watch it on Live
        </LinkButton>
        {!own && (
          <LinkButton to="/new/trigger" search={{ event: name }} size="xs" variant="default">
            Trigger on it
          </LinkButton>
        )}
      </div>
      <Fields name={name} />
      {!own && (
        <section className={css.stack} aria-label="Tag to paste">
          <h3 className={css.small}>Tag to paste</h3>
          <Tag event={name} />
        </section>
      )}
    </div>
  );
}

const goodName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

function Key({ name, seen }: { name: string; seen: Name | undefined }) {
  const declared = useEventDefinitions();
  const save = useSaveDefinition('event');
  const may = useMay('marketer');
  const old = declared.data?.definitions.find((d) => d.name === name);
  const why = !goodName.test(name)
    ? 'Its name cannot be the name of a definition: only letters, digits, - _ and . can'
    : old?.readOnly
      ? 'It is declared in a folder that is loaded at start; change it there'
      : may
        ? undefined
        : 'Your role cannot change it';
  return (
    <Switch
      label="Key event"
      description={why ?? 'Key events come first wherever an event is picked'}
      checked={save.isPending ? save.variables.spec.key === true : (seen?.key ?? false)}
      disabled={why !== undefined || !declared.data}
      onChange={(e) => {
        const key = e.currentTarget.checked;
        const { kind: _, name: __, ...spec } = (old?.spec ?? {}) as Record<string, unknown>;
        save.mutate(
          { name, spec: { ...spec, key }, version: old?.version ?? 0 },
          { onError: (error) => failed('Not changed', error) },
        );
      }}
    />
  );
}

function Fields({ name }: { name: string }) {
  const fields = useEventFields([name]);
  return (
    <section aria-label="Properties seen">
      <h3 className={css.small}>Properties seen</h3>
      {fields.length === 0 ? (
        <Text size="sm" c="dimmed">
          None: no event of this name carried any since the start.
        </Text>
      ) : (
        <ul className={css.fields} data-testid="fields">
          {fields.map((f) => (
            <li key={f.field}>
              <code className={css.mono}>{f.field.replace(/^properties\./, '')}</code>
              <span className={css.muted}>{f.types.join(' or ')}</span>
              <span className={css.clip} title={f.values.map(String).join(', ')}>
                {f.values.map(String).join(', ')}
              </span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

/** Names an event that does not come yet. */
function Naming(props: { opened: boolean; onClose: () => void; onMade: (name: string) => void }) {
  const [name, setName] = useState('');
  const [about, setAbout] = useState('');
  const save = useSaveDefinition('event');
  const wanted = name.trim();
  const bad = wanted !== '' && !goodName.test(wanted);
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title="New key event"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form
        className={css.stack}
        onSubmit={(e) => {
          e.preventDefault();
          save.mutate(
            {
              name: wanted,
              spec: { key: true, ...(about ? { description: about } : {}) },
              version: 0,
            },
            {
              onSuccess: () => {
                done(`${wanted} is a key event. Paste its tag, and it will arrive.`);
                setName('');
                setAbout('');
                props.onMade(wanted);
              },
            },
          );
        }}
      >
        <TextInput
          label="Name"
          placeholder="poker_win"
          value={name}
          onChange={(e) => setName(e.currentTarget.value)}
          error={bad && '1 to 64 letters, digits, - _ and ., beginning with a letter or digit'}
          data-autofocus
        />
        <TextInput
          label="What it means"
          placeholder="optional"
          value={about}
          onChange={(e) => setAbout(e.currentTarget.value)}
        />
        {save.error && (
          <Alert color="red" variant="outline" styles={{ body: { color: 'inherit' } }}>
            {wanted} is declared already, or may not be: pick another name.
          </Alert>
        )}
        <Button type="submit" disabled={wanted === '' || bad} loading={save.isPending}>
          Make it, and show its tag
        </Button>
      </form>
    </Modal>
  );
}

function Bad() {
  const bad = useBadEvents();
  const { data } = bad;
  return (
    <Card
      title="Refused"
      flush
      aside={
        data && (
          <CsvButton
            name="refused"
            head={['at', 'source', 'reason', 'event']}
            disabled={data.events.length === 0}
            rows={async () =>
              (await allBadEvents()).map((e) => [e.at, e.source, e.reason, e.sample])
            }
          />
        )
      }
    >
      {bad.error && !data ? (
        <Failure error={bad.error} retry={bad.refetch} />
      ) : !data ? (
        <Loading rows={3} />
      ) : data.events.length === 0 ? (
        <p className={css.none}>None: everything that arrived since the start could be read.</p>
      ) : (
        <ul className={rows.rows} data-testid="bad-events">
          {data.events.map((event, i) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: refusals have no id, and two can be alike
            <li key={`${event.at} ${i}`} className={rows.row}>
              <div className={css.progress}>
                <div className={css.between}>
                  <b>{sentence(event.reason)}</b>
                  <span className={css.asOf}>
                    <At at={event.at} />
                  </span>
                </div>
                <span className={css.statHint}>
                  {[event.event, event.source && `source ${event.source}`, event.protocol]
                    .filter(Boolean)
                    .join(' · ')}
                </span>
                {event.sample && <pre className={css.json}>{event.sample}</pre>}
              </div>
            </li>
          ))}
        </ul>
      )}
    </Card>
  );
}
