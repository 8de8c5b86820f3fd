// A stand-in for Heed's admin API, for developing and testing the pages without
// the server. It keeps what a test changes, and can be told to misbehave.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as data from './data.mjs';
import * as measures from './measures.mjs';
import * as people from './people.mjs';

const dist = fileURLToPath(new URL('../dist/', import.meta.url));
const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};
const policy =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/**
 * Starts the mock. Options: empty (a fresh installation), demo, setup (the first
 * administrator is missing), signedIn, plain (sign-in is impossible from here),
 * fail (paths that answer 500), hang (paths that never answer), role, port,
 * measureMs (how long the answer to a question takes).
 */
export async function startMock(options = {}) {
  const state = {
    empty: false,
    demo: true,
    setup: false,
    signedIn: true,
    plain: false,
    fail: [],
    hang: [],
    role: 'admin',
    crowd: true,
    backtestMs: 0,
    backtests: [],
    cancelled: 0,
    sample: undefined,
    measured: [],
    sends: [],
    sending: { stopped: false },
    included: [],
    trials: [],
    drift: false,
    alerts: false,
    alertNotes: undefined,
    measureMs: () => 0,
    ...options,
  };
  let specs = data.definitions(state);
  let tokens = data.tokens();
  let members = data.members();
  const listeners = new Set();
  const recent = { events: [], deliveries: [] };
  if (!state.empty) {
    for (let n = 40; n > 0; n--) recent.events.push(data.event(1000 - n, n * 1.3));
    for (let n = 12; n > 0; n--) recent.deliveries.push(data.delivery(n, n * 7));
  }

  /** What measures and audiences are counted from. */
  const crowd = people.crowd(Date.now());
  const world = () => {
    const now = Date.now();
    const own = specs.filter((d) => d.kind === 'dimension');
    const spec = ({ description: _, ...rest }) => rest;
    return {
      now,
      crowd: state.empty ? [] : crowd,
      dimensions: [
        ...people.builtIn
          .filter((b) => !own.some((d) => d.name === b.name))
          .map((b) => ({ ...b, defined: false, builtIn: true })),
        ...own.map((d) => ({
          name: d.name,
          description: d.spec.description,
          defined: true,
          builtIn: people.builtIn.some((b) => b.name === d.name),
          spec: spec(d.spec),
        })),
      ].sort((a, b) => a.name.localeCompare(b.name)),
      audiences: Object.fromEntries(
        specs.filter((d) => d.kind === 'audience').map((d) => [d.name, spec(d.spec)]),
      ),
    };
  };
  const me = () => ({ kind: 'member', email: 'ada@example.com', name: 'Ada', role: state.role });
  const say = (res, type, value) => res.write(`event: ${type}\ndata: ${JSON.stringify(value)}\n\n`);

  function live(res) {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    say(res, 'stats', data.stats(state));
    say(res, 'events', { events: recent.events });
    say(res, 'deliveries', { deliveries: recent.deliveries });
    say(res, 'triggers', data.progress(state));
    const timer = setInterval(() => say(res, 'stats', data.stats(state)), 1000);
    listeners.add(res);
    res.on('close', () => {
      clearInterval(timer);
      listeners.delete(res);
    });
  }

  /** Answers as the server does: an estimate at once, the exact figure after backtestMs. */
  function backtest(res, body) {
    const asked = data.backtest(body);
    const line = (value) => res.write(`${JSON.stringify(value)}\n`);
    res.writeHead(200, { 'Content-Type': 'application/x-ndjson' });
    state.backtests.push(body);
    line({ progress: { share: 0.2, events: 4000, firings: 11, waiting: 0 } });
    line({ estimate: { ...asked, exact: false, share: 0.1 } });
    const timer = setTimeout(() => {
      line({ result: { ...asked, exact: true, share: 1 } });
      res.end();
    }, state.backtestMs);
    res.on('close', () => {
      clearTimeout(timer);
      if (!res.writableEnded) state.cancelled++;
    });
  }

  /** Answers about people who do not exist. */
  function measure(path, url, body) {
    const csv = url.searchParams.get('format') === 'csv';
    if (path === '/measures:users')
      return csv
        ? { status: 200, csv: measures.idsOf(body, state) }
        : measures.markUsers(body, state);
    const answered = measures.answer(body, state);
    return csv && !answered.status ? { status: 200, csv: measures.table(answered) } : answered;
  }

  const answers = {
    'GET /setup': () => ({
      needed: state.setup,
      canSignIn: !state.plain,
      ...(state.signedIn ? {} : { signedOut: true }),
      ...(state.plain
        ? { hint: 'Put Heed behind https, or tunnel: ssh -L 8080:localhost:8080 the-host.' }
        : {}),
      demo: state.demo,
      version: 'dev',
    }),
    'POST /setup': (_, body) => {
      if (body.token !== 'first-token')
        return fail(401, 'bad_credentials', 'the token is not the one that was printed');
      state.setup = false;
      state.signedIn = true;
      return me();
    },
    'POST /login': (_, body) => {
      if (body.password !== 'correct horse')
        return fail(401, 'bad_credentials', 'e-mail or password is wrong');
      state.signedIn = true;
      return me();
    },
    'POST /logout': () => {
      state.signedIn = false;
      return undefined;
    },
    'GET /me': me,
    'GET /home': () => data.home(state),
    'GET /demo': () => ({
      enabled: state.demo,
      crowd: { running: state.crowd, users: 60, eventsPerSecond: 6 },
      sample: {
        status: state.sample ?? (state.empty ? 'absent' : 'loaded'),
        done: state.sample === 'loading' ? 120_000 : 0,
        of: state.sample === 'loading' ? 441_540 : 0,
        users: 0,
      },
    }),
    'POST /demo/sample': () => {
      state.sample = 'loading';
      return answers['GET /demo']();
    },
    'POST /demo/crowd': (_, body) => {
      state.crowd = body.running;
      return answers['GET /demo']();
    },
    'GET /users': (url) => data.userList(url.searchParams.get('q') ?? '', state),
    'GET /event-names': () => data.eventNames(state),
    'GET /event-fields': (url) => data.eventFields(url.searchParams.get('name'), state),
    'POST /definitions:check': (_, body) => ({
      problems:
        body.kind === 'trigger'
          ? data.problemsOf(body.spec)
          : body.kind === 'board'
            ? data.problemsOfBoard(body.spec, specs)
            : body.kind === 'template'
              ? data.templateProblems(body.spec)
              : [],
    }),
    'POST /templates:preview': (_, body) => data.templatePreview(body),
    'GET /templates:starters': () => ({ starters: data.starters() }),
    'GET /sending': () => state.sending,
    'PUT /sending': (_, body) => {
      state.sending = {
        stopped: body.stopped,
        at: new Date().toISOString(),
        by: 'ada@example.com',
      };
      return state.sending;
    },
    'GET /schedules': () => ({
      schedules: specs
        .filter((d) => d.kind === 'campaign' && d.spec.when.schedule)
        .map((d) => ({
          campaign: d.name,
          ...(d.spec.status === 'live' ? { next: '2026-12-01T08:00:00Z' } : {}),
          users: 0,
          missed: 0,
        })),
    }),
    'POST /sends:review': (_, body) => measures.review(body, state),
    'POST /sends': (_, body) => {
      const { matched } = measures.review(body, state);
      if (state.drift) {
        state.drift = false;
        const message = 'there are fewer users in the audience now; nothing was sent';
        return { status: 409, body: { error: { code: 'drifted', message } } };
      }
      state.sends.push(body);
      const audience = body.audience ? { audience: body.name } : {};
      return { campaign: body.name, at: new Date().toISOString(), users: matched, ...audience };
    },
    'POST /trials': (_, body) => {
      state.trials.push(body);
      return trial(state.trials.length);
    },
    'GET /suppressions': () => ({ counts: state.empty ? [] : data.suppressed }),
    'GET /imports': () => ({ imports: [] }),
    'GET /streams': () => ({
      streams: specs.filter((d) => d.kind === 'stream').map((d) => data.streamState(d)),
    }),
    'POST /streams:sample': (_, body) => data.streamSample(body.spec),
    'GET /traits': () => people.traits(world()),
    'GET /dimensions': () => ({ dimensions: world().dimensions }),
    'GET /audiences': () => ({
      audiences: specs
        .filter((d) => d.kind === 'audience')
        .sort((a, b) => a.name.localeCompare(b.name))
        .map((d) => people.audience(d, world(), specs)),
    }),
    'POST /audiences:preview': (_, body) => people.preview(body, world()),
    'GET /alerts': () => ({
      asOf: new Date().toISOString(),
      alerts: state.alerts ? data.alerts() : [],
      ...(state.alertNotes && { notes: state.alertNotes }),
    }),
    'GET /bad-events': () => data.badEvents(state),
    'GET /triggers/progress': () => data.progress(state),
    'GET /outbox': () => data.outbox(state),
    'GET /health': () => data.health(),
    'GET /members': () => ({ members }),
    'POST /members': (_, body) => {
      const member = { name: '', createdAt: new Date().toISOString(), ...body };
      members = [...members.filter((m) => m.email !== body.email), member];
      return member;
    },
    'GET /tokens': () => ({ tokens }),
    'POST /tokens': (_, body) => {
      const token = {
        id: `t${tokens.length + 1}`,
        createdBy: 'ada@example.com',
        createdAt: new Date().toISOString(),
        ...body,
      };
      tokens = [...tokens, token];
      return { status: 201, body: { token, secret: 'hd_5d1c7e0f4a9b' } };
    },
    'GET /audit': () => data.audit(),
    'GET /deliveries': (url) => {
      const { searchParams: q } = url;
      const all = Array.from({ length: 60 }, (_, n) => data.delivery(n, n * 40));
      return {
        deliveries: state.empty
          ? []
          : all.filter(
              (d) =>
                (!q.get('campaign') || d.campaign === q.get('campaign')) &&
                (!q.get('status') || d.status === q.get('status')),
            ),
        complete: false,
        searchedTo: new Date(Date.now() - 3_600_000).toISOString(),
      };
    },
  };

  const trial = (n) => {
    const { user, documents } = state.trials[n - 1];
    return { id: `${n}`, user, campaign: documents[0].name, done: false };
  };

  function byPath(method, path, url, body, headers) {
    const parts = path.split('/').slice(1).map(decodeURIComponent);
    const [first, second, third] = parts;
    if (first === 'users' && parts.length === 2)
      return second === 'nobody' ? fail(404, 'not_found', 'no such user') : data.user(second);
    if (first === 'users' && third === 'triggers') return data.explanation(second, parts[3]);
    if (first === 'users' && third === 'reach') return data.reach(second);
    if (first === 'users' && third === 'campaigns') return data.explanations(second, specs);
    if (first === 'users' && third === 'timeline')
      return data.timeline(second, url.searchParams.get('before'));
    if (first === 'audiences') {
      const found = specs.find((d) => d.kind === 'audience' && d.name === second);
      if (!found) return fail(404, 'not_found', `no audience is called ${second}`);
      return third ? people.changes(world()) : people.audience(found, world(), specs);
    }
    if (first === 'trials') return { ...trial(Number(second)), ...data.tried(state) };
    if (first === 'campaigns' && third === 'include') {
      if (method === 'GET') return { audience: 'vip', users: 3412 };
      state.included.push([second, body.id]);
      return { campaign: second, at: new Date().toISOString(), users: 3412 };
    }
    if (first === 'campaigns' && third === 'report') return data.report(second, state);
    if (first === 'outbox')
      return (
        data.outbox(state).messages.find((m) => m.id === second) ??
        fail(404, 'not_found', 'no such message')
      );
    if (first === 'tokens' && method === 'DELETE') {
      tokens = tokens.filter((t) => t.id !== second);
      return undefined;
    }
    if (first === 'members' && method === 'DELETE') {
      members = members.filter((m) => m.email !== second);
      return undefined;
    }
    if (first === 'definitions' && parts.length === 1) {
      return { revision: 7, definitions: specs };
    }
    if (first === 'definitions' && parts.length === 2) {
      return { revision: 7, definitions: specs.filter((d) => d.kind === second) };
    }
    if (first === 'definitions' && method === 'GET') {
      return (
        specs.find((d) => d.kind === second && d.name === third) ??
        fail(404, 'not_found', `no ${second} is called ${third}`)
      );
    }
    if (first === 'definitions' && method === 'DELETE') {
      if (specs.some((d) => d.kind === 'campaign' && d.spec.when.trigger === third))
        return fail(422, 'invalid', `${third} is used by a campaign`);
      specs = specs.filter((d) => d.kind !== second || d.name !== third);
      return { revision: 8, dryRun: false, created: 0, updated: 0, unchanged: 0, changes: [] };
    }
    if (first === 'definitions' && method === 'PUT') {
      const old = specs.find((d) => d.kind === second && d.name === third);
      if (old && headers['if-none-match'] === '*') {
        return fail(412, 'conflict', 'it exists already');
      }
      if (old && headers['if-match'] && headers['if-match'] !== `"${old.version}"`) {
        return fail(412, 'conflict', 'somebody else changed it meanwhile');
      }
      const next = {
        ...(old ?? data.definition(second, third, body)),
        version: (old?.version ?? 0) + 1,
        spec: body,
      };
      specs = old ? specs.map((d) => (d === old ? next : d)) : [...specs, next];
      const change = { kind: second, name: third, action: 'updated', version: next.version };
      return {
        revision: 8,
        dryRun: false,
        created: 0,
        updated: 1,
        unchanged: 0,
        changes: [change],
      };
    }
    return fail(404, 'not_found', `no such path ${path}`);
  }

  /** Puts the steps of a saved funnel in the place of its name. */
  function named(query) {
    const saved = specs.find((d) => d.kind === 'funnel' && d.name === query.funnel?.funnel);
    if (!saved) return;
    const { description: _, ...funnel } = saved.spec;
    query.funnel = { ...funnel, ...query.funnel, funnel: undefined };
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url ?? '/', 'http://mock');
    if (!url.pathname.startsWith('/api/v1')) return page(url.pathname, res);
    const path = url.pathname.slice('/api/v1'.length);
    if (state.hang.some((p) => path.startsWith(p))) return undefined;
    if (state.fail.some((p) => path.startsWith(p)))
      return reply(res, fail(500, 'internal', 'the store does not answer'));
    const open = ['/setup', '/login', '/logout'].includes(path);
    if (!open && !state.signedIn)
      return reply(res, fail(401, 'not_signed_in', 'nobody is signed in'));
    if (path === '/live') return live(res);
    const body = await read(req);
    if (path === '/triggers:backtest') return backtest(res, body);
    if (path.startsWith('/measures:')) {
      state.measured.push(body);
      await new Promise((done) => setTimeout(done, state.measureMs(body.query ?? body)));
      // Explore has a crowd of its own; the other pages count the one that audiences are of.
      const from = new URL(req.headers.referer ?? 'http://mock').pathname;
      const exploring = from === '/explore' || from.startsWith('/boards');
      named(body.query ?? body);
      const counted = exploring ? undefined : people.measure(body, world());
      return reply(res, counted ?? measure(path, url, body));
    }
    const answer = answers[`${req.method} ${path}`];
    return reply(
      res,
      answer ? answer(url, body) : byPath(req.method, path, url, body, req.headers),
    );
  });
  await new Promise((done) => server.listen(options.port ?? 0, '127.0.0.1', done));

  return {
    url: `http://127.0.0.1:${server.address().port}`,
    state,
    /** Changes what it holds: after this, specs fit state.empty. */
    reset() {
      specs = data.definitions(state);
    },
    /** Saves a definition as somebody else would. */
    save(kind, name, spec) {
      specs = specs.map((d) =>
        d.kind === kind && d.name === name
          ? { ...d, version: d.version + 1, author: 'grace@example.com', spec }
          : d,
      );
    },
    /** What is stored. */
    stored: (kind, name) => specs.find((d) => d.kind === kind && d.name === name),
    /** How many live streams are open. */
    streams: () => listeners.size,
    send(event) {
      recent.events.push(event);
      for (const res of listeners) say(res, 'events', { events: [event] });
    },
    tell(type, value) {
      for (const res of listeners) say(res, type, value);
    },
    /** Ends all live streams, as a restart would. */
    drop() {
      for (const res of listeners) res.destroy();
    },
    async close() {
      for (const res of listeners) res.destroy();
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

function fail(status, code, message, hint) {
  return { status, body: { error: { code, message, ...(hint ? { hint } : {}) } } };
}

function reply(res, answer) {
  if (typeof answer?.csv === 'string') {
    res.writeHead(200, { 'Content-Type': 'text/csv; charset=utf-8' });
    return res.end(answer.csv);
  }
  const whole =
    answer && typeof answer === 'object' && typeof answer.status === 'number' && 'body' in answer;
  const status = whole ? answer.status : answer === undefined ? 204 : 200;
  const body = whole ? answer.body : answer;
  res.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' });
  res.end(body === undefined ? undefined : JSON.stringify(body));
}

async function read(req) {
  let text = '';
  for await (const chunk of req) text += chunk;
  return text === '' ? {} : JSON.parse(text);
}

async function page(path, res) {
  const wanted = normalize(path).replace(/^\/+/, '');
  const file = extname(wanted) ? wanted : 'index.html';
  try {
    const bytes = await readFile(join(dist, file));
    res.writeHead(200, {
      'Content-Type': types[extname(file)] ?? 'application/octet-stream',
      'Content-Security-Policy': policy,
    });
    res.end(bytes);
  } catch {
    res.writeHead(404);
    res.end();
  }
}
