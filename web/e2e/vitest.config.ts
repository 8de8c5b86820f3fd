import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

// Everything that only a browser can show, in one run: what the other folders
// test by themselves, and the whole binary. First the tracker alone, which
// measures times; then two files at a time, which mostly wait; and last, alone
// again, how soon the whole answers.
const heed = {
  environment: 'node',
  testTimeout: 180_000,
  hookTimeout: 180_000,
  setupFiles: './e2e/failed.ts',
  expect: { poll: { timeout: 60_000 } },
} as const;

export default defineConfig({
  root: resolve(import.meta.dirname, '..'),
  test: {
    globalSetup: './e2e/setup.ts',
    projects: [
      './tracker/vitest.browser.config.ts',
      './console/vitest.browser.config.ts',
      './shop/vitest.browser.config.ts',
      {
        test: {
          ...heed,
          name: 'heed',
          include: ['e2e/**/*.test.ts'],
          exclude: ['e2e/speed.test.ts'],
          maxWorkers: 2,
          sequence: { groupOrder: 1, hooks: 'list' },
        },
      },
      {
        test: {
          ...heed,
          name: 'speed',
          include: ['e2e/speed.test.ts'],
          maxWorkers: 1,
          sequence: { groupOrder: 2, hooks: 'list' },
        },
      },
    ],
  },
});
