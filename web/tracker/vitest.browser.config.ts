import { defineConfig } from 'vitest/config';

// What only a browser can show: playwright-core drives the system's Chromium.
export default defineConfig({
  test: {
    environment: 'node',
    setupFiles: '../e2e/failed.ts',
    include: ['e2e/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    fileParallelism: false, // it measures times
    sequence: { groupOrder: 0, hooks: 'list' },
  },
});
