import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

// Everything that only a browser can show, in one run: what the other folders
// test by themselves, and the whole binary. One file after the other: they
// measure times.
export default defineConfig({
  root: resolve(import.meta.dirname, '..'),
  test: {
    globalSetup: './e2e/setup.ts',
    fileParallelism: false,
    projects: [
      './tracker/vitest.browser.config.ts',
      './console/vitest.browser.config.ts',
      './shop/vitest.browser.config.ts',
      {
        test: {
          name: 'heed',
          environment: 'node',
          include: ['e2e/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
