import { execFile, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

// A Kafka of other people: the broker of the Go tests (internal/driver/kafka/kafkatest), in a
// process of its own that ends with its input.

const repository = resolve(import.meta.dirname, '../..');

/** How the broker is reached with TLS and a password; CA is a file. */
interface Secure {
  Addrs: string[];
  CA: string;
  User: string;
  Password: string;
}

export interface Kafka extends Secure {
  /** Writes a message, and waits until it is there; its topic is made if it is missing. */
  write(topic: string, key: string, value: unknown): Promise<void>;
  close(): Promise<void>;
}

/** Starts a broker; undefined where there is no Kafka, which is a failure with HEED_REQUIRE_SERVICES=1. */
export async function kafka(): Promise<Kafka | undefined> {
  const dir = mkdtempSync(join(tmpdir(), 'heed-e2e-kafka-'));
  const program = join(dir, 'kafkatest');
  const remove = () => rmSync(dir, { recursive: true, force: true });
  await promisify(execFile)(
    'go',
    ['test', '-c', '-o', program, './internal/driver/kafka/kafkatest'],
    { cwd: repository },
  );
  const child = spawn(program, ['-test.run=^TestServe$'], {
    env: { ...process.env, HEED_KAFKATEST: 'serve' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = new Promise<number | null>((ended) => child.once('exit', ended));
  void gone.then(remove);
  const said = createInterface({ input: child.stdout });
  const written: (() => void)[] = [];
  const secure = await new Promise<Secure | undefined>((reached, failed) => {
    const words: string[] = [];
    said.on('line', (line) => {
      if (line.startsWith('{')) reached(JSON.parse(line) as Secure);
      else if (line === '"written"') written.shift()?.();
      else words.push(line);
    });
    void gone.then((code) =>
      code === 0 ? reached(undefined) : failed(new Error(`no Kafka:\n${words.join('\n')}`)),
    );
  });
  return (
    secure && {
      ...secure,
      write: (topic, key, value) =>
        new Promise((done) => {
          written.push(done);
          child.stdin.write(`${JSON.stringify({ topic, key, value: JSON.stringify(value) })}\n`);
        }),
      close: async () => {
        child.stdin.end();
        await gone;
      },
    }
  );
}
