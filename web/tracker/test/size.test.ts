import { resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { expect, test } from 'vitest';

// Built here, so that a stale dist/ cannot pass.
test('the tracker is at most 6 KB, gzipped, and one classic script', async () => {
  const root = resolve(import.meta.dirname, '..');
  const out = await build({ root, logLevel: 'silent', build: { write: false } });
  const outputs = (Array.isArray(out) ? out : [out]).flatMap((o) =>
    'output' in o ? o.output : [],
  );
  expect(outputs.map((o) => o.fileName)).toEqual(['heed.js']);
  const code = outputs[0]?.type === 'chunk' ? outputs[0].code : '';
  expect(gzipSync(code, { level: 9 }).length).toBeLessThanOrEqual(6 * 1024);
  expect(code).not.toMatch(/\b(import|export)\b\s*[{*'"(]/);
  expect(() => new Function(code)).not.toThrow();
});
