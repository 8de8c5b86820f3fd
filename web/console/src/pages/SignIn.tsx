import { Alert, Button, PasswordInput, Stack, Text, TextInput, Title } from '@mantine/core';
import { useForm } from '@mantine/form';
import { useEffect } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useLogin } from '../api/session';
import { Icon } from '../ui/Icon';
import { Door } from './Door';

/** Why nobody can sign in from here, and what to do. */
export function PlainHttp({ hint }: { hint?: string | undefined }) {
  return (
    <Alert
      color="orange"
      variant="outline"
      icon={<Icon name="alert" />}
      title="You cannot sign in over this connection"
      styles={{ body: { color: 'var(--mantine-color-text)' } }}
      data-testid="plain-http"
    >
      <Stack gap="xs">
        <Text size="sm">
          This page came over plain http from another host, where browsers drop the secure session
          cookie: signing in would lead back here.
        </Text>
        <Text size="sm" style={{ overflowWrap: 'anywhere' }}>
          {hint ||
            `Open it over https, or through a tunnel: ssh -L 8080:localhost:8080 ${location.hostname}, then http://localhost:8080.`}
        </Text>
      </Stack>
    </Alert>
  );
}

/** The way in. */
export default function SignIn({ state }: { state: Schema['SetupState'] }) {
  const login = useLogin();
  useEffect(() => {
    document.title = 'Sign in · Heed';
  }, []);
  const form = useForm({
    initialValues: { email: '', password: '' },
    validate: {
      email: (v) => (v.includes('@') ? null : 'Your e-mail address'),
      password: (v) => (v ? null : 'Your password'),
    },
  });
  return (
    <Door>
      <Title order={1}>Sign in</Title>
      <Text size="sm" c="dimmed" mb="lg">
        Welcome back.
      </Text>
      {!state.canSignIn ? (
        <PlainHttp hint={state.hint} />
      ) : (
        <form onSubmit={form.onSubmit((values) => login.mutate(values))} noValidate>
          <Stack>
            {login.error && (
              <Alert
                color="red"
                variant="outline"
                icon={<Icon name="alert" />}
                role="alert"
                styles={{ body: { color: 'var(--mantine-color-text)' } }}
              >
                {messageOf(login.error)}
              </Alert>
            )}
            <TextInput
              label="E-mail"
              type="email"
              autoComplete="username"
              data-autofocus
              {...form.getInputProps('email')}
            />
            <PasswordInput
              label="Password"
              autoComplete="current-password"
              visibilityToggleButtonProps={{ 'aria-label': 'Show or hide the password' }}
              {...form.getInputProps('password')}
            />
            <Button type="submit" loading={login.isPending} size="md">
              Sign in
            </Button>
          </Stack>
        </form>
      )}
    </Door>
  );
}
