import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

// The real binary: HEED_BIN, or built here. Each server has its own data folder
// and keeps its address over restarts.

const run = promisify(execFile);
const repository = resolve(import.meta.dirname, '../..');

export const ADMIN_TOKEN = 'e2e-admin-token-0123456789abcdef0123456789abcdef';

let built: Promise<string> | undefined;

/** The path of the binary. */
function binary(): Promise<string> {
  built ??= (async () => {
    if (process.env.HEED_BIN) return resolve(repository, process.env.HEED_BIN);
    const path = join(mkdtempSync(join(tmpdir(), 'heed-e2e-bin-')), 'heed');
    process.on('exit', () => rmSync(resolve(path, '..'), { recursive: true, force: true }));
    await run('go', ['build', '-o', path, './cmd/heed'], { cwd: repository });
    return path;
  })();
  return built;
}

/**
 * A port that was free a moment ago. The address must survive restarts, so the
 * port is none of those that connections going out are given meanwhile.
 */
async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(20_000, 32_000);
    const free = await new Promise<boolean>((done) => {
      const s = createServer().on('error', () => done(false));
      s.listen(port, '127.0.0.1', () => s.close(() => done(true)));
    });
    if (free) return port;
  }
}

/** The environment of a child: none of our own HEED_ variables, which would be settings to it. */
const environment = (settings: Record<string, string>) => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('HEED_'))),
  ...settings,
});

export interface Options {
  demo?: boolean;
  /** false: nobody has a token, so that the console asks for its first set-up. */
  admin?: boolean;
  /** How many people the sample history is of, and no crowd; without it the history stays out. */
  sample?: number;
}

export interface Answer {
  accepted: number;
  messages?: { id: string; campaign: string; html: string }[];
}

export class Heed {
  private process: ChildProcess | undefined;
  private said = '';
  readonly url: string;

  constructor(
    readonly binary: string,
    readonly dir: string,
    private readonly listen: string,
    private readonly options: Options,
  ) {
    this.url = `http://${listen}`;
  }

  /** Starts the process and waits until it is ready. */
  async start(): Promise<void> {
    const { demo, admin = true, sample } = this.options;
    const child = spawn(this.binary, ['run', ...(demo ? ['--demo'] : [])], {
      env: environment({
        HEED_DATA_DIR: this.dir,
        HEED_LISTEN: this.listen,
        // the whole past takes a minute to load
        ...(sample
          ? { HEED_SHOP_SAMPLE_USERS: `${sample}`, HEED_SHOP_QUIET: 'true' }
          : { HEED_SHOP_EMPTY: 'true' }),
        ...(admin && { HEED_ADMIN_TOKEN: ADMIN_TOKEN }),
      }),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.process = child;
    // whatever goes wrong in the tests, nothing stays behind
    const orphan = () => child.kill('SIGKILL');
    process.on('exit', orphan);
    child.once('exit', () => process.off('exit', orphan));
    for (const out of [child.stdout, child.stderr])
      out.on('data', (text) => {
        this.said = (this.said + text).slice(-20_000);
      });
    for (const end = Date.now() + 60_000; ; ) {
      if (child.exitCode !== null || child.signalCode !== null || Date.now() > end)
        throw new Error(`heed did not become ready:\n${this.said}`);
      if (
        await fetch(`${this.url}/readyz`).then(
          (r) => r.ok,
          () => false,
        )
      )
        return;
      await new Promise((r) => setTimeout(r, 20));
    }
  }

  private async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.process;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((r) => child.once('exit', r));
    child.kill(signal);
    await gone;
  }

  /** Ends the process as a crash would. */
  kill = () => this.end('SIGKILL');

  /** Asks the process to end and waits for it. */
  stop = () => this.end('SIGTERM');

  /** Ends it and deletes its data. */
  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** The one-time token that the process printed. */
  setupToken(): string {
    const token = /one-time token\s+(\S+)/.exec(this.said)?.[1];
    if (!token) throw new Error(`no one-time token was printed:\n${this.said}`);
    return token;
  }

  /** Runs a command of the binary on this data folder. */
  async command(...args: string[]): Promise<string> {
    const env = environment({ HEED_DATA_DIR: this.dir });
    return (await run(this.binary, args, { env })).stdout;
  }

  /** Posts one event of a server or an anonymous browser. */
  async track(event: object, query = ''): Promise<Answer> {
    const r = await fetch(`${this.url}/v1/track${query}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(event),
    });
    if (!r.ok) throw new Error(`track: ${r.status} ${await r.text()}`);
    return (await r.json()) as Answer;
  }

  /** Asks the admin API. */
  async admin<T>(path: string): Promise<T> {
    const r = await fetch(`${this.url}/api/v1${path}`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    if (!r.ok) throw new Error(`${path}: ${r.status} ${await r.text()}`);
    return (await r.json()) as T;
  }

  /** Waits until the sample history is in the log. */
  async sampleLoaded(): Promise<void> {
    for (const end = Date.now() + 100_000; ; ) {
      const { sample } = await this.admin<{ sample: { status: string } }>('/demo');
      if (sample.status === 'loaded') return;
      if (Date.now() > end)
        throw new Error(`the sample history is ${sample.status}:\n${this.said}`);
      await new Promise((r) => setTimeout(r, 200));
    }
  }
}

/** Starts a server with a data folder of its own. */
export async function start(options: Options = {}): Promise<Heed> {
  const dir = mkdtempSync(join(tmpdir(), 'heed-e2e-'));
  const heed = new Heed(await binary(), dir, `127.0.0.1:${await freePort()}`, options);
  await heed.start();
  return heed;
}

/** A file of the repository. */
export const file = (path: string): string => readFileSync(join(repository, path), 'utf8');
