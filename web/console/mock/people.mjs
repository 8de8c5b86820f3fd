// A made-up crowd that the mock counts: enough of what users are and did for
// breakdowns by a dimension and for trees of users to answer as the server would.

const day = 86_400_000;

function random(seed) {
  let s = seed;
  return () => {
    s = (Math.imul(s, 1_664_525) + 1_013_904_223) >>> 0;
    return s / 4_294_967_296;
  };
}

const plans = ['free', 'free', 'free', 'pro', 'team'];
const countries = ['DE', 'AT', 'CH', 'FR', null];
const sources = ['google', 'newsletter', null, 'instagram'];
const events = ['page', 'page', 'page', 'product_view', 'product_view', 'cart_add', 'purchase'];

/** The crowd, always the same, as of a time. */
export function crowd(now, size = 1248) {
  const r = random(7);
  const pick = (list) => list[Math.floor(r() * list.length)];
  return Array.from({ length: size }, (_, n) => {
    const plan = pick(plans);
    const known = r() < 0.7;
    const days = Math.floor(r() ** 3 * 24);
    const did = [];
    for (let d = 0; d <= days; d++) {
      const at = now - (Math.floor(r() * 60) + 0.5) * day; // no count depends on the hour
      for (let k = 0; k < 1 + r() * 3; k++)
        did.push({ at, name: pick(events), revenue: Math.round(r() * 80) });
    }
    const first = now - Math.floor(60 + r() * 300) * day;
    return {
      id: n === 0 ? 'ada' : `user-${n}`,
      traits: known
        ? {
            plan,
            email: `user-${n}@example.com`,
            ...(r() < 0.6 ? { spent: Math.round(r() ** 2 * 900) } : {}),
            vip: r() < 0.08,
            since: new Date(first).toISOString(),
          }
        : {},
      country: pick(countries),
      device: r() < 0.6 ? 'mobile' : 'desktop',
      source: pick(sources),
      month: new Date(first).toISOString().slice(0, 7),
      consent: { email: known && r() < 0.6, sms: known && r() < 0.3 },
      did,
    };
  });
}

export const builtIn = [
  {
    name: 'acquisition-month',
    description: 'Month of the first event',
    spec: { field: 'acquisition.month' },
  },
  {
    name: 'acquisition-source',
    description: 'What brought the first visit',
    spec: { field: 'acquisition.source' },
  },
  {
    name: 'last-touch-source',
    description: 'What brought the latest visit that was not direct',
    spec: { field: 'lastTouch.source' },
  },
  { name: 'country', description: 'Country of the latest event', spec: { field: 'user.country' } },
  { name: 'device', description: 'Device of the latest event', spec: { field: 'user.device' } },
  {
    name: 'engagement',
    description: 'Active days in the last 28',
    spec: {
      days: { during: { last: '28d' } },
      buckets: [
        { name: 'low', from: 1, below: 2 },
        { name: 'medium', from: 2, below: 5 },
        { name: 'medium-high', from: 5, below: 10 },
        { name: 'high', from: 10 },
      ],
    },
  },
];

const units = { h: 1 / 24, d: 1, w: 7, mo: 30, y: 365 };

function since(range, now) {
  const [, n, unit] = /^(\d+)(h|d|w|mo|y)$/.exec(range?.last ?? '') ?? [];
  return n ? now - n * units[unit] * day : 0;
}

const matching = (user, b, now) =>
  user.did.filter((e) => (!b.event || e.name === b.event) && e.at >= since(b.during, now));

function value(user, d, now) {
  const days = (list) => new Set(list.map((e) => Math.floor(e.at / day))).size;
  if (d.days) return days(matching(user, d.days, now));
  if (d.events) return matching(user, d.events, now).length;
  if (d.sum) return matching(user, d.sum, now).reduce((n, e) => n + e.revenue, 0);
  if (d.recency) {
    const list = matching(user, d.recency, now);
    return list.length ? Math.floor((now - Math.max(...list.map((e) => e.at))) / day) : null;
  }
  const [head, ...rest] = (d.field ?? '').split('.');
  if (head === 'traits') return user.traits[rest.join('.')] ?? null;
  if (head === 'acquisition' || head === 'lastTouch')
    return rest[0] === 'month' ? user.month : user.source;
  return user[rest[0]] ?? null;
}

function bucket(d, v) {
  if (v === null) return null;
  if (!d.buckets?.length) return String(v);
  const n = Number(v);
  const found = d.buckets.find((b) =>
    b.in ? b.in.includes(String(v)) : n >= (b.from ?? -Infinity) && n < (b.below ?? Infinity),
  );
  return found ? found.name : null;
}

const named = (d, dimensions) =>
  d.dimension ? (dimensions.find((x) => x.name === d.dimension)?.spec ?? {}) : d;

function compares(v, { op, value: want }) {
  if (op === 'exists') return v !== null && v !== undefined;
  if (op === 'missing') return v === null || v === undefined;
  if (v === null || v === undefined) return false;
  return (
    {
      eq: () => v === want,
      ne: () => v !== want,
      gt: () => v > want,
      gte: () => v >= want,
      lt: () => v < want,
      lte: () => v <= want,
      in: () => want.includes(v),
      nin: () => !want.includes(v),
    }[op]?.() ?? false
  );
}

const holds = (user, c) =>
  c.all
    ? c.all.every((x) => holds(user, x))
    : c.any
      ? c.any.some((x) => holds(user, x))
      : c.not
        ? !holds(user, c.not)
        : compares(user.traits[(c.field ?? '').replace('traits.', '')], c);

/** Whether a user is in a tree. */
export function inside(user, a, world) {
  const { now, dimensions, audiences } = world;
  if (!a) return true;
  if (a.all) return a.all.every((x) => inside(user, x, world));
  if (a.any) return a.any.some((x) => inside(user, x, world));
  if (a.not) return !inside(user, a.not, world);
  if (a.where) return holds(user, a.where);
  if (a.consent) return user.consent[a.consent] === true;
  if (a.audience) return inside(user, audiences[a.audience], world);
  if (a.is) {
    const d = named(a.is.dimension, dimensions);
    return a.is.values.includes(bucket(d, value(user, d, now))) !== (a.is.not === true);
  }
  if (a.did) {
    const n = matching(user, a.did, now).length;
    const most = a.did.max ?? Infinity;
    return n >= (a.did.min ?? Math.min(1, most)) && n <= most;
  }
  if (a.funnel) return user.did.length % 7 === a.funnel.level;
  return true;
}

/** Answers breakdowns of users and counts of them. */
export function measure(q, world) {
  const { now, dimensions } = world;
  const users = world.crowd.filter((u) => inside(u, q.audience, world));
  const base = {
    from: 0,
    to: now * 1000,
    asOf: now * 1000,
    zone: q.zone ?? 'UTC',
    excluded: { bots: 0, internal: 0 },
  };
  if (q.users) return { ...base, kind: 'users', users: { total: users.length, ids: [] } };
  if (q.return) {
    return {
      ...base,
      kind: 'return',
      return: {
        met: 2,
        treated: { users: 3_410, converted: 402, value: 18_211.5 },
        holdout: { users: 379, converted: 29, value: 1_204 },
        lift: { difference: 0.0414, low: 0.0107, high: 0.0669 },
      },
    };
  }
  if (!q.breakdown) return undefined;
  const counts = new Map();
  for (const user of users) {
    const d = named(q.breakdown.by[0], dimensions);
    const v = bucket(d, value(user, d, now));
    counts.set(v, (counts.get(v) ?? 0) + 1);
  }
  const rows = [...counts]
    .map(([v, count]) => ({ values: [v], count }))
    .sort((x, y) => y.count - x.count || String(x.values[0]).localeCompare(String(y.values[0])));
  const top = q.breakdown.top ?? 100;
  const rest = rows.slice(top).reduce((n, r) => n + r.count, 0);
  return {
    ...base,
    kind: 'breakdown',
    breakdown: {
      rows: rows.slice(0, top),
      ...(rest ? { other: { values: [null], count: rest } } : {}),
      total: users.length,
    },
  };
}

/** What is known of traits. */
export function traits(world) {
  const keys = [...new Set(world.crowd.flatMap((u) => Object.keys(u.traits)))].sort();
  return {
    asOf: new Date(world.now).toISOString(),
    users: world.crowd.length,
    complete: true,
    traits: keys.map((name) => {
      const field = `traits.${name}`;
      if (name === 'email')
        return { name, field, types: ['text'], values: [{ value: 'ada@example.com' }] };
      const counts = new Map();
      for (const { traits: t } of world.crowd)
        if (name in t) counts.set(t[name], (counts.get(t[name]) ?? 0) + 1);
      const all = [...counts].sort((a, b) => b[1] - a[1]);
      const type = { string: 'text', number: 'number', boolean: 'boolean' }[typeof all[0][0]];
      const numbers = all.map(([v]) => v).filter((v) => typeof v === 'number');
      return {
        name,
        field,
        types: [name === 'since' ? 'time' : type],
        users: all.reduce((n, [, c]) => n + c, 0),
        distinct: all.length,
        ...(numbers.length ? { least: Math.min(...numbers), greatest: Math.max(...numbers) } : {}),
        values: all.slice(0, 12).map(([value, users]) => ({ value, users })),
      };
    }),
  };
}

const reach = (users) => [
  { channel: 'email', users: users.filter((u) => u.consent.email).length },
  { channel: 'outbox', users: users.length },
  { channel: 'sms', users: users.filter((u) => u.consent.sms).length },
];

/** What an audience that is not saved would be. */
export function preview(body, world) {
  const { zone: _, weekStart: __, ...tree } = body;
  const users = world.crowd.filter((u) => inside(u, tree, world));
  return {
    size: users.length,
    asOf: new Date(world.now).toISOString(),
    reachable: reach(users),
    sample: users.slice(0, 20).map((u) => u.id),
  };
}

const onlyTraits = (a) => {
  const inner = [...(a.all ?? []), ...(a.any ?? []), ...(a.not ? [a.not] : [])];
  return inner.length > 0 ? inner.every(onlyTraits) : a.where !== undefined;
};

/** A saved audience with its size. */
export function audience({ name, spec }, world, specs) {
  const { description, frozen, zone: _, weekStart: __, ...tree } = spec;
  const users = world.crowd.filter((u) => inside(u, tree, world));
  const kind = frozen ? 'frozen' : onlyTraits(tree) ? 'profile' : 'behavior';
  const time = (h) => new Date(world.now - h * 3_600_000).toISOString();
  return {
    name,
    ...(description ? { description } : {}),
    kind,
    state: 'ready',
    stale: false,
    size: users.length,
    asOf: frozen ?? new Date(world.now).toISOString(),
    reachable: reach(users),
    history:
      kind === 'behavior'
        ? [40, 30, 20, 10, 4, 1].map((h, i) => ({ time: time(h), size: users.length - 12 + i * 2 }))
        : [],
    usedBy: specs
      .filter((d) => d.kind === 'campaign' && d.spec.who?.includes(name))
      .map((d) => ({ kind: 'campaign', name: d.name })),
    entered24h: kind === 'behavior' ? 14 : 0,
    left24h: kind === 'behavior' ? 5 : 0,
  };
}

/** Who came and went. */
export function changes(world) {
  return {
    changes: world.crowd.slice(0, 9).map((u, i) => ({
      time: new Date(world.now - (i * 83 + 4) * 1000).toISOString(),
      user: u.id,
      change: i % 3 === 2 ? 'left' : 'entered',
    })),
  };
}
