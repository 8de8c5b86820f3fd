import { type Heed, start } from './server';

// The suites of shop and console share one demo, whose address and one-time
// token they find in the environment.

let demo: Heed | undefined;

export async function setup(): Promise<void> {
  demo = await start({ demo: true, admin: false });
  process.env.HEED_BIN = demo.binary;
  process.env.HEED_URL = demo.url;
  process.env.HEED_SERVER = demo.url;
  process.env.HEED_SETUP_TOKEN = demo.setupToken();
}

export async function teardown(): Promise<void> {
  await demo?.remove();
}
