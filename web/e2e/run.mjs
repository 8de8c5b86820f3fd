// Runs a TypeScript file of this folder: node run.mjs bench.ts
import { runnerImport } from 'vite';

const { module } = await runnerImport(`${import.meta.dirname}/${process.argv[2]}`);
await module.default(process.argv.slice(3));
