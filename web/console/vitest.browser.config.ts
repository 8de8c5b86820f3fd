import { defineConfig } from 'vitest/config';

// What only a browser can show: playwright-core drives the system's Chromium.
export default defineConfig({
  test: {
    environment: 'node',
    setupFiles: '../e2e/failed.ts',
    include: ['e2e/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
    maxWorkers: 2,
    sequence: { groupOrder: 1 },
  },
});
