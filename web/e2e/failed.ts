import { afterEach } from 'vitest';
import { shown } from './chromium';

// A test that failed far away says what was on the screen. The hooks run in the
// order of a list, so that the pages are still there.
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.error(`${task.name}:\n${await shown()}`);
});
