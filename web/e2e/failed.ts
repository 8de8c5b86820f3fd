import { afterEach } from 'vitest';
import { shown } from './chromium';

// A test that failed far away says what was on the screen.
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.error(`${task.name}:\n${await shown()}`);
});
