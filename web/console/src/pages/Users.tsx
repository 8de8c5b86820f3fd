import { Button, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { allUsers, useHome, useUsers } from '../api/queries';
import { useMay } from '../api/session';
import { count } from '../format/number';
import { CsvButton } from '../ui/CsvButton';
import { useSearched } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { done } from '../ui/notice';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Snippet } from '../ui/Snippet';
import { Empty, Failure, Loading } from '../ui/states';
import { Ago, AsOf } from '../ui/time';
import css from '../ui/ui.module.css';

/** How many are listed at first, and at most. */
const page = 50;
const most = 1000;

export default function Users() {
  const [text, change] = useSearched();
  const [query] = useDebouncedValue(text.trim(), 200);
  const [limit, setLimit] = useState(page);
  const users = useUsers(query, { limit });
  const mayImport = useMay('marketer');
  const list = users.data?.users ?? [];
  return (
    <Page
      title="Users"
      lede="Everybody who did something or was imported, known or anonymous."
      actions={
        <>
          <AsOf at={users.dataUpdatedAt || undefined} />
          <CsvButton
            name="users"
            head={['id', 'known', 'name', 'email', 'phone', 'country', 'first seen', 'last seen']}
            disabled={list.length === 0}
            rows={async () => {
              const { users, more } = await allUsers(query);
              if (more)
                done(
                  `The file holds ${count(users.length)} of them. Explore saves any number: click All users there.`,
                );
              return users.map((u) => [
                u.id,
                u.known,
                u.name,
                u.email,
                u.phone,
                u.country,
                u.firstSeen,
                u.lastSeen,
              ]);
            }}
          />
          {mayImport && (
            <LinkButton to="/imports" variant="default" size="xs">
              Import
            </LinkButton>
          )}
        </>
      }
    >
      <TextInput
        size="md"
        mb="md"
        maw={560}
        aria-label="Search users"
        placeholder="Start of an id, or an e-mail address, phone number or name"
        leftSection={<Icon name="search" size={18} />}
        value={text}
        onChange={(e) => change(e.currentTarget.value)}
      />
      <Card flush label="Users">
        {users.error ? (
          <Failure error={users.error} retry={users.refetch} />
        ) : !users.data ? (
          <Loading />
        ) : list.length === 0 ? (
          query ? (
            <Empty
              icon="search"
              title="Nobody found"
              cause={`Nobody’s id begins with “${query}”, and no e-mail address, phone number or name is exactly that.${users.data.complete === false ? ' Not everybody could be looked at in time.' : ''}`}
              action={<Button onClick={() => change('')}>Clear the search</Button>}
            />
          ) : (
            <Nobody />
          )
        ) : (
          <>
            <ul className={rows.rows} data-testid="users" aria-busy={users.isPlaceholderData}>
              {list.map((user) => (
                <li key={user.id} className={rows.row}>
                  <Link to="/users/$id" params={{ id: user.id }} className={rows.itemLink}>
                    <span
                      className={css.avatar}
                      data-known={user.known || undefined}
                      aria-hidden="true"
                    >
                      {user.known ? (
                        (user.name ?? user.id).slice(0, 1).toUpperCase()
                      ) : (
                        <Icon name="users" size={15} />
                      )}
                    </span>
                    <span className={rows.itemText}>
                      <span className={rows.itemTitle}>{user.name ?? user.id}</span>
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {[
                          user.name && user.id,
                          user.email,
                          user.phone,
                          user.country,
                          user.movedTo ? `is ${user.movedTo}` : !user.known && 'anonymous',
                        ]
                          .filter(Boolean)
                          .join(' · ') || 'known'}
                      </span>
                    </span>
                    {user.lastSeen && (
                      <span className={css.asOf}>
                        <Ago at={user.lastSeen} />
                      </span>
                    )}
                  </Link>
                </li>
              ))}
            </ul>
            {(users.data.more || users.data.complete === false) && (
              <p className={css.foot}>
                {users.data.more && limit < most && (
                  <>
                    <Button
                      size="xs"
                      variant="default"
                      loading={users.isPlaceholderData}
                      onClick={() => setLimit((n) => Math.min(most, n * 4))}
                    >
                      Show more
                    </Button>{' '}
                  </>
                )}
                {users.data.more
                  ? `The first ${count(list.length)}; there are others. Narrow the search to find them.`
                  : 'Not everybody could be looked at in time; narrow the search.'}
              </p>
            )}
          </>
        )}
      </Card>
    </Page>
  );
}

function Nobody() {
  const home = useHome();
  return (
    <Empty
      icon="users"
      title="0 users"
      cause="No event has arrived yet, so Heed knows nobody: a user appears with the first event, and gets a name with the first identify call."
      action={<LinkButton to="/">Send the first event</LinkButton>}
    >
      {home.data?.source && (
        <div style={{ width: '100%', maxWidth: 620, textAlign: 'left' }}>
          <Snippet
            label="Say who it is"
            text={'heed.identify("user-42", { firstName: "Ada", email: "ada@example.com" })'}
          />
        </div>
      )}
    </Empty>
  );
}
