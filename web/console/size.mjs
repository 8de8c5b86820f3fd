// Fails the build when the console's first load (the entry's own chunk graph
// and its style sheets, gzip) is over its limit.
import { readFileSync, rmSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const limit = 300 * 1024;
const dist = new URL('./dist/', import.meta.url);
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'));
const files = new Set(['index.html', 'scheme.js']);

function add(key) {
  const chunk = manifest[key];
  if (!chunk || files.has(chunk.file)) return;
  files.add(chunk.file);
  for (const css of chunk.css ?? []) files.add(css);
  for (const next of chunk.imports ?? []) add(next);
}

const entry = Object.keys(manifest).find((key) => manifest[key].isEntry);
add(entry);
// The page that opens first is lazy, yet part of what a visitor waits for.
add('src/pages/Home.tsx');

let total = 0;
for (const file of [...files].sort()) {
  const size = gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length;
  total += size;
  console.log(`${String(size).padStart(8)}  ${file}`);
}
console.log(`${String(total).padStart(8)}  first load, gzip (limit ${limit})`);
// Not for serving.
rmSync(new URL('.vite', dist), { recursive: true });
if (total > limit) process.exit(1);
