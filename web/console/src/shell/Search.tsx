import '@mantine/spotlight/styles.css';
import { Text } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { createSpotlight, Spotlight } from '@mantine/spotlight';
import { useNavigate } from '@tanstack/react-router';
import { useEffect, useState } from 'react';
import { useTriggers, useUsers } from '../api/queries';
import { triggerWords } from '../format/pattern';
import { Icon } from '../ui/Icon';
import { others, pages } from './nav';

const [store, spotlight] = createSpotlight();

/** The search of the header: pages and users. */
export default function Search({ onClose }: { onClose: () => void }) {
  const [text, setText] = useState('');
  const [query] = useDebouncedValue(text.trim(), 150);
  const navigate = useNavigate();
  const users = useUsers(query, { enabled: query !== '' });
  useEffect(() => {
    spotlight.open();
    return () => spotlight.close();
  }, []);

  const wanted = text.trim().toLowerCase();
  const found = [...pages, ...others].filter((page) =>
    `${page.label} ${page.about}`.toLowerCase().includes(wanted),
  );
  const triggers = useTriggers();
  const named =
    wanted === ''
      ? []
      : (triggers.data?.definitions ?? [])
          .filter((t) => t.name.toLowerCase().includes(wanted))
          .slice(0, 6);
  const people = query === '' ? [] : (users.data?.users ?? []).slice(0, 6);
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
    >
      <Spotlight.Search
        placeholder="Search pages, triggers and users"
        aria-label="Search pages, triggers and users"
        leftSection={<Icon name="search" />}
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
        {named.length > 0 && (
          <Spotlight.ActionsGroup label="Triggers">
            {named.map((trigger) => (
              <Spotlight.Action
                key={trigger.name}
                label={trigger.name}
                description={triggerWords(trigger.spec)}
                leftSection={<Icon name="bolt" />}
                onClick={() => navigate({ to: '/triggers/$name', params: { name: trigger.name } })}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {people.length > 0 && (
          <Spotlight.ActionsGroup label="Users">
            {people.map((user) => (
              <Spotlight.Action
                key={user.id}
                label={user.id}
                leftSection={<Icon name="users" />}
                onClick={() => navigate({ to: '/users/$id', params: { id: user.id } })}
              />
            ))}
          </Spotlight.ActionsGroup>
        )}
        {found.length + named.length + people.length === 0 && (
          <Text size="sm" c="dimmed" p="md" ta="center">
            {users.isFetching ? 'Searching…' : `Nothing is called “${text.trim()}”.`}
          </Text>
        )}
      </Spotlight.ActionsList>
    </Spotlight.Root>
  );
}
