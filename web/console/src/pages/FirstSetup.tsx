import {
  Alert,
  Button,
  PasswordInput,
  Progress,
  Stack,
  Text,
  TextInput,
  Title,
} from '@mantine/core';
import { useForm } from '@mantine/form';
import { useNavigate } from '@tanstack/react-router';
import { useEffect } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useMakeFirst } from '../api/session';
import { strength } from '../format/password';
import { Icon } from '../ui/Icon';
import { Door } from './Door';
import { PlainHttp } from './SignIn';

const colors = ['red', 'orange', 'yellow', 'teal'];

/** The token of the address that the server printed: /setup?token= or /setup#token=. */
function givenToken(): string {
  for (const part of [location.hash.slice(1), location.search.slice(1)]) {
    const token = new URLSearchParams(part).get('token');
    if (token) return token;
  }
  return '';
}

/** Makes the first administrator. */
export default function FirstSetup({ state }: { state: Schema['SetupState'] }) {
  const make = useMakeFirst();
  const navigate = useNavigate();
  useEffect(() => {
    document.title = 'Set up · Heed';
  }, []);
  const form = useForm({
    initialValues: { token: givenToken(), email: '', password: '', again: '' },
    validate: {
      token: (v) => (v.trim() ? null : 'The token that the server printed at its start'),
      email: (v) => (/^\S+@\S+$/.test(v) ? null : 'An e-mail address'),
      password: (v) => (v.length >= 10 ? null : 'At least 10 characters'),
      again: (v, values) => (v === values.password ? null : 'The two passwords differ'),
    },
  });
  const { score, hint } = strength(form.values.password);
  const typed = form.values.password !== '';
  return (
    <Door>
      <Title order={1}>Set up Heed</Title>
      <Text size="sm" c="dimmed" mb="lg">
        Make the first administrator. The server printed a one-time token when it started.
      </Text>
      {!state.canSignIn ? (
        <PlainHttp hint={state.hint} />
      ) : (
        <form
          noValidate
          onSubmit={form.onSubmit(({ token, email, password }) =>
            make.mutate(
              { token: token.trim(), email: email.trim(), password },
              { onSuccess: () => navigate({ to: '/', replace: true }) },
            ),
          )}
        >
          <Stack>
            {make.error && (
              <Alert
                color="red"
                variant="outline"
                icon={<Icon name="alert" />}
                role="alert"
                styles={{ body: { color: 'var(--mantine-color-text)' } }}
              >
                {messageOf(make.error)}
              </Alert>
            )}
            <TextInput
              label="One-time token"
              description="In the terminal, below “First start”"
              autoComplete="off"
              spellCheck={false}
              {...form.getInputProps('token')}
            />
            <TextInput
              label="E-mail"
              type="email"
              autoComplete="username"
              {...form.getInputProps('email')}
            />
            <div>
              <PasswordInput
                label="Password"
                autoComplete="new-password"
                visibilityToggleButtonProps={{ 'aria-label': 'Show or hide the password' }}
                {...form.getInputProps('password')}
              />
              <Progress
                value={typed ? 25 + score * 25 : 0}
                color={colors[score]}
                size={4}
                mt={8}
                aria-hidden="true"
              />
              <Text size="xs" c="dimmed" mt={4} aria-live="polite" data-testid="strength">
                {typed ? hint : 'At least 10 characters; a few unrelated words are best'}
              </Text>
            </div>
            <PasswordInput
              label="Password again"
              autoComplete="new-password"
              visibilityToggleButtonProps={{ 'aria-label': 'Show or hide the password' }}
              {...form.getInputProps('again')}
            />
            <Button type="submit" loading={make.isPending} size="md">
              Create the administrator
            </Button>
          </Stack>
        </form>
      )}
    </Door>
  );
}
