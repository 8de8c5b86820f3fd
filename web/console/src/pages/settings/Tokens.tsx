import { ActionIcon, Alert, Button, Modal, Select, Stack, Text, TextInput } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useState } from 'react';
import type { Schema } from '../../api/client';
import { messageOf } from '../../api/problem';
import { useMakeToken, useRevokeToken, useTokens } from '../../api/queries';
import { dayTime } from '../../format/time';
import { Icon } from '../../ui/Icon';
import { failed } from '../../ui/notice';
import { Card } from '../../ui/Page';
import rows from '../../ui/rows.module.css';
import { Snippet } from '../../ui/Snippet';
import { Empty, Failure, Loading } from '../../ui/states';
import { Ago } from '../../ui/time';
import css from '../../ui/ui.module.css';

const scopes: { value: Schema['Scope']; label: string }[] = [
  { value: 'read', label: 'Read' },
  { value: 'write', label: 'Read and write definitions' },
  { value: 'admin', label: 'Everything' },
];
const held: Record<Schema['Scope'], Schema['Scope'][]> = {
  read: ['read'],
  write: ['read', 'write'],
  admin: ['read', 'write', 'admin'],
};

export function Tokens() {
  const tokens = useTokens(true);
  const make = useMakeToken();
  const revoke = useRevokeToken();
  const [doomed, setDoomed] = useState<Schema['Token']>();
  const form = useForm({
    initialValues: { name: '', scope: 'write', days: '90' },
    validate: { name: (v) => (v.trim() ? null : 'What it is for') },
  });
  const list = tokens.data?.tokens ?? [];
  return (
    <div className={css.stack}>
      <Card title="New token">
        <form
          onSubmit={form.onSubmit(({ name, scope, days }) =>
            make.mutate(
              {
                name: name.trim(),
                scopes: held[scope as Schema['Scope']],
                expiresInDays: Number(days),
              },
              { onSuccess: () => form.reset() },
            ),
          )}
        >
          <Stack>
            <div className={css.formRow}>
              <TextInput label="Name" placeholder="deploy script" {...form.getInputProps('name')} />
              <Select
                label="May"
                data={scopes}
                allowDeselect={false}
                {...form.getInputProps('scope')}
              />
              <Select
                label="Expires after"
                allowDeselect={false}
                data={[
                  { value: '30', label: '30 days' },
                  { value: '90', label: '90 days' },
                  { value: '365', label: 'a year' },
                ]}
                {...form.getInputProps('days')}
              />
              <Button type="submit" loading={make.isPending}>
                Make a token
              </Button>
            </div>
            {make.error && (
              <Text size="sm" c="var(--mantine-color-error)" role="alert">
                {messageOf(make.error)}
              </Text>
            )}
            {make.data && (
              <Alert
                color="teal"
                variant="outline"
                title={`The secret of “${make.data.token.name}”, shown this once`}
                styles={{ body: { color: 'var(--mantine-color-text)' } }}
                withCloseButton
                closeButtonLabel="I have copied it"
                onClose={make.reset}
              >
                <Snippet label="For HEED_ADMIN_TOKEN" text={make.data.secret} />
              </Alert>
            )}
          </Stack>
        </form>
      </Card>
      <Card title="Tokens" flush>
        {tokens.error && !tokens.data ? (
          <Failure error={tokens.error} retry={tokens.refetch} />
        ) : !tokens.data ? (
          <Loading rows={3} />
        ) : list.length === 0 ? (
          <Empty
            icon="key"
            title="No tokens"
            cause="Nobody has made one yet; programs such as heed apply need one."
            action={
              <Button
                onClick={() =>
                  document
                    .querySelector<HTMLInputElement>('input[placeholder="deploy script"]')
                    ?.focus()
                }
              >
                Name the first token
              </Button>
            }
          />
        ) : (
          <ul className={rows.rows} data-testid="tokens">
            {list.map((token) => (
              <li key={token.id} className={rows.row}>
                <div className={rows.item}>
                  <span className={rows.itemText}>
                    <span className={rows.itemTitle}>{token.name}</span>
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      {token.scopes.join(', ')} · by {token.createdBy}
                      {token.expiresAt && ` · until ${dayTime(new Date(token.expiresAt))}`} ·{' '}
                      {token.lastUsedAt ? (
                        <>
                          used <Ago at={token.lastUsedAt} />
                        </>
                      ) : (
                        'never used'
                      )}
                    </span>
                  </span>
                  <ActionIcon
                    variant="subtle"
                    color="gray"
                    c="var(--heed-muted)"
                    aria-label={`Revoke ${token.name}`}
                    onClick={() => setDoomed(token)}
                  >
                    <Icon name="trash" size={17} />
                  </ActionIcon>
                </div>
              </li>
            ))}
          </ul>
        )}
      </Card>
      <Modal
        opened={doomed !== undefined}
        onClose={() => setDoomed(undefined)}
        title={`Revoke “${doomed?.name ?? ''}”?`}
        closeButtonProps={{ 'aria-label': 'Close' }}
        centered
      >
        <Stack>
          <Text size="sm">
            Whatever uses it is refused from the next request on. This cannot be undone.
          </Text>
          <Button
            color="red.8"
            loading={revoke.isPending}
            onClick={() =>
              doomed &&
              revoke.mutate(doomed.id, {
                onSettled: () => setDoomed(undefined),
                onError: (error) => failed('Not revoked', error),
              })
            }
          >
            Revoke
          </Button>
        </Stack>
      </Modal>
    </div>
  );
}
