import { defineConfig } from 'vite';

export default defineConfig({
  base: '/shop/',
  build: { target: 'es2022', assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  // `npm run dev` works against a running `heed run --demo`
  server: {
    proxy: {
      '/shop/api': 'http://127.0.0.1:8080',
      '/heed.js': 'http://127.0.0.1:8080',
      '/heed-push.js': 'http://127.0.0.1:8080',
      '/heed-sw.js': 'http://127.0.0.1:8080',
      '/v1': 'http://127.0.0.1:8080',
    },
  },
  test: { environment: 'jsdom', include: ['test/**/*.test.ts'] },
} as Parameters<typeof defineConfig>[0]);
