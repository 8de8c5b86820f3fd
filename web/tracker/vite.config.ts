import { defineConfig } from 'vite';

// Each is one classic script: no modules, no chunks. heed.js is all that a page
// loads; heed-push.js comes when somebody wants notifications, and heed-sw.js is
// the service worker that shows them.
const SCRIPTS: Record<string, string> = {
  production: 'main.ts heed.js heedTracker',
  push: 'push.ts heed-push.js heedPush',
  worker: 'worker.ts heed-sw.js heedWorker',
};

export default defineConfig(({ mode }) => {
  const [entry, file, name] = (SCRIPTS[mode] ?? (SCRIPTS.production as string)).split(' ');
  return {
    build: {
      target: 'es2022',
      emptyOutDir: false, // dist/.keep stays
      reportCompressedSize: true,
      lib: {
        entry: `src/${entry}`,
        formats: ['iife'],
        name,
        fileName: () => file as string,
      },
    },
    test: { environment: 'jsdom', include: ['test/**/*.test.ts'] },
  } as ReturnType<Extract<Parameters<typeof defineConfig>[0], (...a: never[]) => object>>;
});
