import {
  ActionIcon,
  Button,
  Modal,
  PasswordInput,
  Select,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import type { Schema } from '../../api/client';
import { messageOf } from '../../api/problem';
import { useMembers, useRemoveMember, useSaveMember } from '../../api/queries';
import { useMe } from '../../api/session';
import { sentence } from '../../format/words';
import { Icon } from '../../ui/Icon';
import { failed } from '../../ui/notice';
import { Card } from '../../ui/Page';
import rows from '../../ui/rows.module.css';
import { Failure, Loading } from '../../ui/states';
import { Ago } from '../../ui/time';
import css from '../../ui/ui.module.css';

const roles: { value: Schema['Role']; label: string }[] = [
  { value: 'analyst', label: 'Analyst: reads' },
  { value: 'marketer', label: 'Marketer: runs campaigns' },
  { value: 'admin', label: 'Admin: everything' },
];

export function Members() {
  const members = useMembers(true);
  const me = useMe();
  const save = useSaveMember();
  const remove = useRemoveMember();
  const [doomed, setDoomed] = useState<string>();
  const form = useForm({
    initialValues: { email: '', name: '', role: 'marketer', password: '' },
    validate: {
      email: (v) => (/^\S+@\S+$/.test(v) ? null : 'An e-mail address'),
      password: (v) => (v.length >= 10 ? null : 'At least 10 characters'),
    },
  });
  return (
    <div className={css.stack}>
      <Card title="New member">
        <form
          noValidate
          onSubmit={form.onSubmit(({ email, name, role, password }) =>
            save.mutate(
              {
                email: email.trim(),
                role: role as Schema['Role'],
                password,
                ...(name.trim() ? { name: name.trim() } : {}),
              },
              { onSuccess: () => form.reset() },
            ),
          )}
        >
          <Stack>
            <div className={css.formRow} style={{ alignItems: 'flex-start' }}>
              <TextInput
                label="E-mail"
                type="email"
                autoComplete="off"
                {...form.getInputProps('email')}
              />
              <TextInput label="Name" autoComplete="off" {...form.getInputProps('name')} />
              <Select
                label="Role"
                data={roles}
                allowDeselect={false}
                {...form.getInputProps('role')}
              />
              <PasswordInput
                label="First password"
                autoComplete="new-password"
                visibilityToggleButtonProps={{ 'aria-label': 'Show or hide the password' }}
                {...form.getInputProps('password')}
              />
            </div>
            {save.error && (
              <Text size="sm" c="var(--mantine-color-error)" role="alert">
                {messageOf(save.error)}
              </Text>
            )}
            <Button type="submit" loading={save.isPending} style={{ alignSelf: 'flex-start' }}>
              Add the member
            </Button>
          </Stack>
        </form>
      </Card>
      <Card title="Members" flush>
        {members.error && !members.data ? (
          <Failure error={members.error} retry={members.refetch} />
        ) : !members.data ? (
          <Loading rows={3} />
        ) : (
          <ul className={rows.rows} data-testid="members">
            {members.data.members.map((member) => (
              <li key={member.email} className={rows.row}>
                <div className={rows.item}>
                  <span className={rows.itemText}>
                    <span className={rows.itemTitle}>{member.name || member.email}</span>
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      {[member.name && member.email, sentence(member.role)]
                        .filter(Boolean)
                        .join(' · ')}{' '}
                      ·{' '}
                      {member.lastLoginAt ? (
                        <>
                          signed in <Ago at={member.lastLoginAt} />
                        </>
                      ) : (
                        'never signed in'
                      )}
                    </span>
                  </span>
                  {member.email !== me.data?.email && (
                    <ActionIcon
                      variant="subtle"
                      color="gray"
                      c="var(--heed-muted)"
                      aria-label={`Remove ${member.email}`}
                      onClick={() => setDoomed(member.email)}
                    >
                      <Icon name="trash" size={17} />
                    </ActionIcon>
                  )}
                </div>
              </li>
            ))}
          </ul>
        )}
      </Card>
      <Modal
        opened={doomed !== undefined}
        onClose={() => setDoomed(undefined)}
        title="Remove this member?"
        closeButtonProps={{ 'aria-label': 'Close' }}
        centered
      >
        <Stack>
          <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
            {doomed} is signed out everywhere and cannot sign in again.
          </Text>
          <Button
            color="red.8"
            loading={remove.isPending}
            onClick={() =>
              doomed &&
              remove.mutate(doomed, {
                onSettled: () => setDoomed(undefined),
                onError: (error) => failed('Not removed', error),
              })
            }
          >
            Remove
          </Button>
        </Stack>
      </Modal>
    </div>
  );
}
