import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';

const server = process.env.HEED_SERVER ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: 'dist',
    // Nothing is inlined: the page's policy allows no data: scripts, and hashed
    // files are cached for ever.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 600,
    manifest: true,
  },
  server: {
    host: '127.0.0.1',
    proxy: Object.fromEntries(
      ['/api', '/v1', '/shop', '/heed.js', '/test', '/readyz'].map((path) => [path, server]),
    ),
  },
});
