import { defineConfig } from 'vite';

// One classic script: no modules, no chunks, nothing to load after it.
export default defineConfig({
  build: {
    target: 'es2022',
    emptyOutDir: false, // dist/.keep stays
    reportCompressedSize: true,
    lib: {
      entry: 'src/main.ts',
      formats: ['iife'],
      name: 'heedTracker',
      fileName: () => 'heed.js',
    },
  },
  test: { environment: 'jsdom', include: ['test/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0]);
