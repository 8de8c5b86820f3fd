import { resolve } from 'node:path';
import { defineConfig } from 'vitest/config';

// Everything that only a browser can show, in one run: what the other folders
// test by themselves, and the whole binary. First the tracker alone, which
// measures times; then two files at a time, which mostly wait.
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
          name: 'heed',
          environment: 'node',
          include: ['e2e/**/*.test.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
