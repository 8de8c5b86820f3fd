import { Alert, Button, Skeleton, Stack, Text, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { messageOf } from '../api/problem';
import { Icon, type IconName } from './Icon';
import css from './ui.module.css';

/** Nothing to show: one sentence of cause, one primary button. */
export function Empty(props: {
  icon?: IconName;
  title: string;
  cause: ReactNode;
  action?: ReactNode;
  waiting?: boolean;
  children?: ReactNode;
}) {
  return (
    <div className={css.empty} data-testid="empty">
      <div className={props.waiting ? `${css.emptyIcon} ${css.pulse}` : css.emptyIcon}>
        <Icon name={props.icon ?? 'empty'} size={24} />
      </div>
      <Title order={2}>{props.title}</Title>
      <Text size="sm" className={css.emptyText} component="div">
        {props.cause}
      </Text>
      {props.action}
      {props.children}
    </div>
  );
}

/** A page or panel on its way. */
export function Loading({ rows = 5, label = 'Loading' }: { rows?: number; label?: string }) {
  return (
    <Stack gap="sm" p="lg" role="status" aria-label={label} data-testid="loading">
      {Array.from({ length: rows }, (_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the rows are all alike
        <Skeleton key={i} height={18} width={`${92 - ((i * 17) % 40)}%`} radius="sm" />
      ))}
    </Stack>
  );
}

/** What went wrong, in words, and a way on. */
export function Failure({ error, retry }: { error: unknown; retry?: () => void }) {
  return (
    <div style={{ padding: 18 }} data-testid="failure">
      <Alert
        color="red"
        variant="outline"
        icon={<Icon name="alert" />}
        title="This could not be loaded"
        styles={{ body: { color: 'var(--mantine-color-text)' } }}
      >
        <Stack gap="sm" align="flex-start">
          <Text size="sm">{messageOf(error)}</Text>
          {retry && (
            <Button size="xs" onClick={retry}>
              Try again
            </Button>
          )}
        </Stack>
      </Alert>
    </div>
  );
}
