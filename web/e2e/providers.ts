import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

// Servers of others that take messages, each in a process of its own: the npm
// package smpp as a message centre, and aiosmtpd as a mailbox (scripts/services
// installs it).

const repository = resolve(import.meta.dirname, '../..');

export interface Provider<T> {
  port: number;
  /** All that it has taken so far. */
  taken: T[];
  close(): void;
}

/** Runs a program that says on which port it listens, and then a line of JSON for each message. */
async function provider<T>(
  command: string,
  args: string[],
  read: (line: string) => { port?: number; taken?: T },
): Promise<Provider<T>> {
  const child = spawn(command, args, {
    env: { ...process.env, NODE_PATH: join(repository, 'web/node_modules') },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const end = () => child.kill('SIGKILL');
  process.on('exit', end);
  child.once('exit', () => process.off('exit', end));
  const taken: T[] = [];
  const port = await new Promise<number>((listening, failed) => {
    child.once('error', failed);
    child.once('exit', () => failed(new Error(`${command} ${args.join(' ')} has ended`)));
    createInterface({ input: child.stdout }).on('line', (line) => {
      const said = read(line);
      if (said.port) listening(said.port);
      if (said.taken) taken.push(said.taken);
    });
  });
  return { port, taken, close: end };
}

/** A text message as the message centre took it. */
export interface Text {
  from: string;
  to: string;
  text: string;
}

export const messageCentre = (): Promise<Provider<Text>> =>
  provider('node', [join(repository, 'internal/channel/sms/smstest/centre.cjs')], (line) => {
    const said = JSON.parse(line) as Text & { event: string; port?: number };
    return { port: said.port, ...(said.event === 'submit' && { taken: said }) };
  });

/** An e-mail as the mailbox took it: who it was for in the envelope, and its text. */
export interface Letter {
  to: string[];
  text: string;
}

export const mailbox = (): Promise<Provider<Letter>> =>
  provider(
    '/usr/bin/python3',
    [join(repository, 'internal/channel/email/testdata/mailbox.py')],
    (line) => {
      if (/^\d+$/.test(line)) return { port: Number(line) };
      const { to, data } = JSON.parse(line) as { to: string[]; data: string };
      return { taken: { to, text: Buffer.from(data, 'base64').toString() } };
    },
  );
