import '@mantine/spotlight/styles.css';
import { Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { createSpotlight, Spotlight } from '@mantine/spotlight';
import { type LinkProps, linkOptions, useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useEverything, useUsers } from '../api/queries';
import { homes, type Kind } from '../definition/homes';
import { Icon } from '../ui/Icon';
import { others, pages } from './nav';

const [store, spotlight] = createSpotlight();

/** The page of a definition. */
const pageOf = {
  campaign: (name) => linkOptions({ to: '/campaigns/$name', params: { name } }),
  audience: (name) => linkOptions({ to: '/audiences/$name', params: { name } }),
  trigger: (name) => linkOptions({ to: '/triggers/$name', params: { name } }),
  template: (name) => linkOptions({ to: '/templates/$name', params: { name } }),
  board: (name) => linkOptions({ to: '/boards/$name', params: { name } }),
  dimension: (name) => linkOptions({ to: '/dimensions/$name', params: { name } }),
  stream: (name) => linkOptions({ to: '/data/streams/$name', params: { name } }),
  channel: (name) => linkOptions({ to: '/channels/$name', params: { name } }),
} satisfies Partial<Record<Kind, (name: string) => LinkProps>>;
const kinds = Object.keys(pageOf) as (keyof typeof pageOf)[];

/** What else a definition is called by. */
const saidOf = ({ title, description }: { title?: unknown; description?: unknown }): string =>
  [title, description].filter((x) => typeof x === 'string').join(': ');

const most = 5;
const selected = '[data-action][data-selected]';

/** The search of the header: pages, everything that is defined, and users. */
export default function Search({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('');
  const [query] = useDebouncedValue(text.trim(), 150);
  const navigate = useNavigate();
  const users = useUsers(query, { enabled: query !== '' });
  const everything = useEverything();
  useEffect(() => {
    spotlight.open();
    return () => spotlight.close();
  }, []);

  const wanted = text.trim().toLowerCase();
  const found = [...pages, ...others].filter((page) =>
    `${page.label} ${page.about}`.toLowerCase().includes(wanted),
  );
  const named =
    wanted === ''
      ? []
      : kinds.map((kind) => ({
          kind,
          list: (everything.data?.definitions ?? [])
            .filter(
              (d) =>
                d.kind === kind && `${d.name} ${saidOf(d.spec)}`.toLowerCase().includes(wanted),
            )
            .slice(0, most),
        }));
  const people = query === '' ? [] : (users.data?.users ?? []).slice(0, most);
  const n = found.length + named.reduce((sum, x) => sum + x.list.length, 0) + people.length;
  return (
    <Spotlight.Root
      store={store}
      query={text}
      onQueryChange={setText}
      onSpotlightClose={onClose}
      shortcut={null}
      scrollable
      maxHeight={420}
      aria-label="Search"
      // a description of the selected one that is half white has too little contrast
      styles={{ actionDescription: { opacity: 1 } }}
    >
      <Spotlight.Search
        placeholder="Search pages, campaigns and users"
        aria-label="Search pages, campaigns and users"
        leftSection={<Icon name="search" />}
        onKeyDown={(e) => {
          // what came after it was typed is not selected yet: Enter takes the first
          if (e.key === 'Enter' && wanted !== '' && !document.querySelector(selected))
            document.querySelector<HTMLElement>('[data-action]')?.click();
        }}
      />
      <Spotlight.ActionsList>
        {found.length > 0 && (
          <Spotlight.ActionsGroup label="Pages">
            {found.map((page) => (
              <Spotlight.Action
                key={page.to}
                label={page.label}
                description={page.about}
                leftSection={<Icon name={page.icon} />}
                onClick={() => navigate({ to: page.to })}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {named.map(
          ({ kind, list }) =>
            list.length > 0 && (
              <Spotlight.ActionsGroup key={kind} label={homes[kind].label}>
                {list.map((d) => (
                  <Spotlight.Action
                    key={d.name}
                    label={d.name}
                    description={saidOf(d.spec)}
                    leftSection={<Icon name={homes[kind].icon} />}
                    onClick={() => navigate(pageOf[kind](d.name))}
                  />
                ))}
              </Spotlight.ActionsGroup>
            ),
        )}
        {people.length > 0 && (
          <Spotlight.ActionsGroup label="Users">
            {people.map((user) => (
              <Spotlight.Action
                key={user.id}
                label={user.name || user.id}
                description={[user.name && user.id, user.email].filter(Boolean).join(' · ')}
                leftSection={<Icon name="users" />}
                onClick={() => navigate({ to: '/users/$id', params: { id: user.id } })}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {n === 0 && (
          <Text size="sm" c="dimmed" p="md" ta="center">
            {users.isFetching || everything.isPending
              ? 'Searching…'
              : `Nothing is called “${text.trim()}”, and no user.`}
          </Text>
        )}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
