import { defineConfig } from 'vitest/config';

// What only a browser can show: playwright-core drives the system's Chromium.
export default defineConfig({
  test: {
    environment: 'node',
    setupFiles: '../e2e/failed.ts',
    include: ['e2e/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
    maxWorkers: 2,
    sequence: { groupOrder: 1, hooks: 'list' },
  },
});
