import { Button, Loader } from '@mantine/core';
import { lazy, Suspense } from 'react';
import { messageOf } from './api/problem';
import { useMe, useSetup } from './api/session';
import { Shell } from './shell/Shell';
import css from './shell/shell.module.css';
import { Empty } from './ui/states';

const SignIn = lazy(() => import('./pages/SignIn'));
const FirstSetup = lazy(() => import('./pages/FirstSetup'));

/** What a visitor may see: the first setup, the way in, or the pages. */
export function App() {
  const setup = useSetup();
  const me = useMe(setup.data?.needed === false && !setup.data.signedOut);
  const failed = setup.error ?? me.error;
  if (failed) {
    return (
      <main className={css.alone}>
        <Empty
          icon="alert"
          title="Heed cannot be reached"
          cause={messageOf(failed)}
          action={<Button onClick={() => (setup.error ? setup : me).refetch()}>Try again</Button>}
        />
      </main>
    );
  }
  const waiting = (
    <main className={css.alone} role="status" aria-label="Loading">
      <Loader />
    </main>
  );
  if (!setup.data) return waiting;
  if (setup.data.needed) {
    return (
      <Suspense fallback={waiting}>
        <FirstSetup state={setup.data} />
      </Suspense>
    );
  }
  if (me.data === undefined && !setup.data.signedOut) return waiting;
  if (!me.data) {
    return (
      <Suspense fallback={waiting}>
        <SignIn state={setup.data} />
      </Suspense>
    );
  }
  return <Shell me={me.data} setup={setup.data} />;
}
