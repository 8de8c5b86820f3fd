import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

// A collector as small as the tracker needs: it remembers what it got and says
// what it is told to.

export interface Got {
  messageId: string;
  type: string;
  event?: string;
  anonymousId: string;
  userId?: string;
  properties?: Record<string, unknown>;
  context: { page: Record<string, string>; campaign?: Record<string, string> };
  [more: string]: unknown;
}

export interface Listener {
  query: URLSearchParams;
  send(m: object): void;
}

export class Collector {
  events: Got[] = [];
  posts: string[] = []; // "id/state"
  batches = 0;
  status = 200;
  retryAfter = '';
  slots: Record<string, object> = {};
  pages: Record<string, string> = {};
  csp = '';
  url = '';
  #listeners = new Set<Listener>();
  #server = createServer((q, r) => {
    this.#serve(q, r).catch((e) => {
      // a page that is left may take its request with it
      if (!q.destroyed || e.code !== 'ECONNRESET') throw e;
    });
  });

  get listeners(): Listener[] {
    return [...this.#listeners];
  }

  async open(): Promise<this> {
    await new Promise<void>((done) => this.#server.listen(0, '127.0.0.1', done));
    this.url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Names of tracked events, in order. */
  names(): string[] {
    return this.events.map((e) => e.event ?? e.type);
  }

  send(m: object): void {
    for (const l of this.#listeners) l.send(m);
  }

  async #serve(q: IncomingMessage, r: ServerResponse): Promise<void> {
    const url = new URL(q.url ?? '/', this.url);
    let body = '';
    for await (const part of q) body += part;
    const json = (v: object, status = 200) => {
      r.writeHead(status, { 'content-type': 'application/json' });
      r.end(JSON.stringify(v));
    };
    if (url.pathname === '/heed.js') {
      r.writeHead(200, { 'content-type': 'text/javascript' });
      r.end(readFileSync(new URL('../dist/heed.js', import.meta.url)));
    } else if (url.pathname === '/v1/batch') {
      this.batches++;
      if (this.status !== 200) {
        r.writeHead(this.status, this.retryAfter ? { 'retry-after': this.retryAfter } : {});
        r.end();
        return;
      }
      const { batch } = JSON.parse(body);
      for (const e of batch)
        if (!this.events.some((x) => x.messageId === e.messageId)) this.events.push(e);
      json({ accepted: batch.length, rejected: [] });
    } else if (url.pathname === '/v1/messages/stream') {
      r.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
      r.write('retry: 200\n\n');
      const l: Listener = {
        query: url.searchParams,
        send: (m) => r.write(`event: message\ndata: ${JSON.stringify(m)}\n\n`),
      };
      this.#listeners.add(l);
      r.on('close', () => this.#listeners.delete(l));
    } else if (url.pathname.startsWith('/v1/messages/')) {
      this.posts.push(url.pathname.slice('/v1/messages/'.length));
      r.writeHead(204).end();
    } else if (url.pathname.startsWith('/v1/slots/')) {
      const m = this.slots[url.pathname.slice('/v1/slots/'.length)];
      if (m) json(m);
      else r.writeHead(204).end();
    } else {
      const page = this.pages[url.pathname];
      r.writeHead(page === undefined ? 404 : 200, {
        'content-type': 'text/html',
        ...(this.csp && { 'content-security-policy': this.csp }),
      });
      r.end(page ?? 'not here');
    }
  }
}

/** A page with the tag, as a site would write it. */
export const page = (body: string, attributes = ''): string => `<!doctype html>
<html lang="en"><head><title>Test</title>
<script nonce="n1">window.heed=[];for(const m of ['track','identify','reset','onMessage'])heed[m]=(...a)=>heed.push([m,...a])</script>
<script async src="/heed.js" data-write-key="k" nonce="n1" ${attributes}></script></head>
<body>${body}</body></html>`;

/** Waits until it holds. */
export async function until(what: string, holds: () => unknown, ms = 8000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((r) => setTimeout(r, 10));
  }
}
