// People who do not exist, and answers about them that fit together: what a mark
// says is how many users it leads to.

const day = 86_400_000;
const events = [
  ['session_start', 1],
  ['page', 0.96],
  ['product_view', 0.82],
  ['click_event1', 0.64],
  ['custom_event2', 0.41],
  ['cart_add', 0.36],
  ['purchase', 0.17],
  ['support_message_sent_with_a_long_name', 0.02],
];

/** A number from 0 to 1 that depends on nothing but the texts. */
function chance(...parts) {
  let h = 2166136261;
  for (const c of parts.join('|')) h = Math.imul(h ^ c.charCodeAt(0), 16777619);
  h ^= h >>> 15;
  h = Math.imul(h, 2246822519);
  h ^= h >>> 13;
  return (h >>> 0) / 2 ** 32;
}

function pick(x, ...choices) {
  let left = x;
  for (const [value, weight] of choices) {
    left -= weight;
    if (left < 0) return value;
  }
  return choices.at(-1)[0];
}

const months = Array.from({ length: 14 }, (_, i) => {
  const at = new Date(Date.UTC(2025, 9 + i, 1));
  return at.toISOString().slice(0, 7);
});

const people = Array.from({ length: 8231 }, (_, i) => {
  const id = i === 0 ? 'ada' : `user-${String(i).padStart(4, '0')}`;
  const of = (what) => chance(id, what);
  const eager = of('eager');
  return {
    id,
    engagement: pick(
      of('engagement'),
      [null, 0.38],
      ['low', 0.2],
      ['medium', 0.19],
      ['medium-high', 0.17],
      ['high', 0.06],
    ),
    'acquisition-month': months[Math.floor(of('month') ** 0.8 * months.length)],
    'acquisition-source': pick(of('source'), ['direct', 0.3], ['google', 0.4], ['newsletter', 0.3]),
    'last-touch-source': pick(of('touch'), ['direct', 0.2], ['google', 0.5], ['newsletter', 0.3]),
    country: pick(of('country'), ['DE', 0.4], ['NL', 0.3], ['US', 0.2], [null, 0.1]),
    device: pick(of('device'), ['mobile', 0.55], ['desktop', 0.4], ['tablet', 0.05]),
    'traits.plan': pick(of('plan'), ['basic', 0.3], ['plus', 0.1], [null, 0.6]),
    cohort: Math.floor(of('cohort') * 8),
    inTime: of('time') < 0.06,
    did: new Set(events.filter(([, share]) => eager < share).map(([name]) => name)),
  };
});

/** A user's value of a dimension of who they are; undefined for one of what they did. */
const bucketOf = (user, { dimension, field }) => user[dimension ?? field] ?? null;

const does = (user, event) => (event ? user.did.has(event) : user.did.size > 0);
/** Whether a user did it in a bucket of time. */
const doesIn = (user, event, start) => does(user, event) && chance(user.id, event, start) < 0.12;

function level(user, { steps, strict }) {
  let n = 0;
  for (const step of steps) {
    if (!does(user, step.event)) break;
    if (step.where && chance(user.id, JSON.stringify(step.where)) < 0.3) break;
    if (step.without?.some((m) => does(user, m.event) && chance(user.id, m.event) < 0.3)) break;
    if (strict && n > 0 && chance(user.id, 'strict', n) < 0.4) break;
    n++;
  }
  return n;
}

function at(user, funnel, step, state) {
  const n = level(user, funnel);
  if (state === 'reached') return n >= step;
  if (n !== step || n === funnel.steps.length) return false;
  return user.inTime === (state === 'progress');
}

const returns = (user, period, unbounded) =>
  chance(user.id, 'back', period) < 0.62 - 0.05 * period ||
  (unbounded === true && period < 7 && returns(user, period + 1, true));

/** Whether a user belongs to a tree. */
function holds(tree, user) {
  if (tree.all) return tree.all.every((t) => holds(t, user));
  if (tree.any) return tree.any.some((t) => holds(t, user));
  if (tree.not) return !holds(tree.not, user);
  if (tree.is)
    return tree.is.values.includes(bucketOf(user, tree.is.dimension)) !== Boolean(tree.is.not);
  if (tree.did)
    return tree.did.during?.from && tree.did.during.to
      ? doesIn(user, tree.did.event, Date.parse(tree.did.during.from))
      : does(user, tree.did.event);
  if (tree.funnel) return at(user, tree.funnel.funnel, tree.funnel.level, tree.funnel.state);
  if (tree.retention) {
    const { retention, cohort, period } = tree.retention;
    if (user.cohort !== cohort) return false;
    const back = period === 0 || returns(user, period, retention.unbounded);
    return back !== Boolean(tree.retention.lost);
  }
  if (tree.path) return next(user, tree.path.depth) === tree.path.events[0];
  return true;
}

const next = (user, depth) =>
  pick(chance(user.id, 'path', depth), ['product_view', 0.5], ['cart_add', 0.3], [null, 0.2]);

function buckets(query, asOf) {
  const length = { minute: 60_000, hour: 3_600_000, day, week: 7 * day, month: 30 * day };
  const size = length[query.series.per];
  const [, n = '28', unit = 'd'] = /^(\d+)(\D+)$/.exec(query.range?.last ?? '') ?? [];
  const whole =
    { m: 60_000, h: 3_600_000, d: day, w: 7 * day, mo: 30 * day, y: 365 * day }[unit] * n;
  const count = Math.min(400, Math.max(1, Math.round(whole / size)));
  const last = Math.floor(asOf / 1000 / size) * size;
  return Array.from({ length: count }, (_, i) => last - (count - 1 - i) * size);
}

const wrong = (message) => ({ status: 400, body: { error: { code: 'bad_request', message } } });

const within = (query, { empty }) =>
  empty ? [] : people.filter((p) => !query.audience || holds(query.audience, p));

const asOfOf = (query) =>
  query.asOf ? Date.parse(query.asOf) * 1000 + Number(query.asOf.slice(-4, -1)) : Date.now() * 1000;

function tally(users, by) {
  const counts = new Map();
  for (const u of users) {
    const v = bucketOf(u, by);
    counts.set(v, (counts.get(v) ?? 0) + 1);
  }
  return [...counts]
    .map(([v, count]) => ({ values: [v], count }))
    .sort((a, b) => b.count - a.count);
}

/** What the server would answer. */
export function answer(query, state) {
  const users = within(query, state);
  const asOf = asOfOf(query);
  const out = {
    from: query.range ? asOf - 28 * day * 1000 : 0,
    to: asOf,
    asOf,
    zone: query.zone ?? 'UTC',
    excluded: { bots: query.bots ? 0 : 1204, internal: query.internal ? 0 : 31 },
  };
  if (query.users) return { kind: 'users', ...out, users: { total: users.length } };
  if (query.breakdown) {
    const [by] = query.breakdown.by;
    if ((by.field ?? '').startsWith('nothing.'))
      return wrong(`breakdown.by[0]: "${by.field}" is no field of a user or an event`);
    const rows =
      by.field === 'event.event'
        ? events
            .map(([name]) => ({ values: [name], count: users.filter((u) => does(u, name)).length }))
            .filter((r) => r.count > 0)
        : tally(users, by);
    const cut = by.dimension === 'acquisition-month' ? rows.slice(0, 12) : rows;
    const rest = rows.slice(cut.length).reduce((n, r) => n + r.count, 0);
    return {
      kind: 'breakdown',
      ...out,
      breakdown: {
        rows: cut,
        ...(rest > 0 ? { other: { values: null, count: rest } } : {}),
        total: users.length,
      },
    };
  }
  if (query.funnel) {
    const steps = query.funnel.steps.map((_, i) =>
      Object.fromEntries(
        ['reached', 'stuck', 'progress'].map((s) => [
          s,
          users.filter((u) => at(u, query.funnel, i + 1, s)).length,
        ]),
      ),
    );
    const convert =
      steps.at(-1).reached > 0
        ? { p25: 58e6, p50: 83e6, p75: 122e6, p90: 168e6, p95: 196e6 }
        : null;
    const { by } = query.funnel;
    const groups =
      by &&
      tally(users, by).map(({ values: [value] }) => ({
        value,
        steps: query.funnel.steps.map((_, i) => ({
          reached: users.filter(
            (u) => bucketOf(u, by) === value && at(u, query.funnel, i + 1, 'reached'),
          ).length,
          stuck: 0,
          progress: 0,
        })),
      }));
    return { kind: 'funnel', ...out, funnel: { steps, convert, ...(groups ? { groups } : {}) } };
  }
  if (query.series) {
    const starts = buckets(query, asOf);
    const { by } = query.series;
    const parts = by ? tally(users, by).map((r) => r.values[0]) : [undefined];
    const lines = query.series.of.flatMap((of, match) =>
      parts.map((value) => {
        const these = value === undefined ? users : users.filter((u) => bucketOf(u, by) === value);
        return line(these, of, match, value ?? null);
      }),
    );
    function line(users, of, match, value) {
      const points = starts.map((s) => users.filter((u) => doesIn(u, of.event, s)).length);
      const total = users.filter((u) => does(u, of.event)).length;
      return { match, value, points, total };
    }
    return { kind: 'series', ...out, series: { buckets: starts.map((s) => s * 1000), lines } };
  }
  if (query.retention) {
    const monday = Math.floor((asOf / 1000 - 4 * day) / (7 * day)) * 7 * day + 4 * day;
    const cohorts = Array.from({ length: 8 }, (_, c) => {
      const all = users.filter((u) => u.cohort === c);
      const cells = Array.from({ length: 8 - c }, (_, p) =>
        p === 0 ? all.length : all.filter((u) => returns(u, p, query.retention.unbounded)).length,
      );
      return { start: (monday - (7 - c) * 7 * day) * 1000, cells, partial: true };
    });
    return { kind: 'retention', ...out, retention: { cohorts } };
  }
  if (query.paths) {
    const depths = [1, 2, 3].map((d) =>
      ['product_view', 'cart_add', null].map((e) => ({
        ...(e === null ? { end: true } : { event: e }),
        users: users.filter((u) => does(u, query.paths.from.event) && next(u, d) === e).length,
      })),
    );
    const from = users.filter((u) => does(u, query.paths.from.event)).length;
    return { kind: 'paths', ...out, paths: { users: from, depths, links: [] } };
  }
  return wrong('asks nothing');
}

/** The nodes that a mark adds to the audience. */
function nodes(query, mark, answered) {
  if (query.breakdown) {
    const [by] = query.breakdown.by;
    if (mark.other)
      return [
        {
          is: { dimension: by, not: true, values: answered.breakdown.rows.map((r) => r.values[0]) },
        },
      ];
    if (!mark.values) return [];
    if (by.field === 'event.event') return [{ did: { event: mark.values[0] } }];
    return [{ is: { dimension: by, values: mark.values } }];
  }
  const part = (value) =>
    (query.funnel ?? query.series).by
      ? [{ is: { dimension: (query.funnel ?? query.series).by, values: [value] } }]
      : [];
  if (query.funnel)
    return [
      ...(mark.group === undefined ? [] : part(answered.funnel.groups[mark.group].value)),
      { funnel: { funnel: query.funnel, level: mark.step, state: mark.state ?? 'reached' } },
    ];
  if (query.series) {
    const { match, value } = answered.series.lines[mark.row];
    const { event } = query.series.of[match];
    if (mark.bucket === undefined) return [...part(value), { did: { event } }];
    const stamp = (i) => new Date(answered.series.buckets[i] / 1000).toISOString();
    const to = new Date(answered.asOf / 1000).toISOString();
    return [...part(value), { did: { event, during: { from: stamp(mark.bucket), to } } }];
  }
  if (query.retention)
    return [
      {
        retention: {
          retention: query.retention,
          cohort: mark.cohort ?? 0,
          period: mark.period ?? 0,
          lost: mark.lost,
        },
      },
    ];
  if (query.paths) {
    const node = answered.paths.depths[mark.depth - 1][mark.node];
    return [
      { did: { event: query.paths.from.event } },
      { path: { depth: mark.depth, events: [node.event ?? null] } },
    ];
  }
  return [];
}

/** Who is behind a mark. */
export function markUsers({ query, mark, limit = 50, after = '' }, state) {
  const answered = answer(query, state);
  if (answered.status) return answered;
  const all = [...(query.audience ? [query.audience] : []), ...nodes(query, mark, answered)];
  const audience = all.length > 1 ? { all } : (all[0] ?? {});
  const users = within({ audience }, state);
  const page = users.filter((u) => u.id > after).slice(0, limit);
  return {
    total: users.length,
    users: page.map((u, i) => ({
      id: u.id,
      known: chance(u.id, 'known') < 0.6,
      ...(u.id === 'ada' ? { name: 'Ada Lovelace', email: 'ada@example.com' } : {}),
      ...(u.country ? { country: u.country } : {}),
      lastSeen: new Date(answered.asOf / 1000 - i * 3_400_000).toISOString(),
    })),
    more: users.filter((u) => u.id > after).length > page.length,
    asOf: answered.asOf,
    audience,
  };
}

/** An answer as a file: enough of it for the tests. */
export function table(answered) {
  const rows = answered.breakdown?.rows.map((r) => `${r.values[0] ?? '(none)'},${r.count}`) ?? [];
  return ['value,count', ...rows, ''].join('\n');
}

/** Whom a message would reach. */
export function review({ audience, holdout, locale, locales }, state) {
  const users = within({ audience }, state);
  const held = holdout === '10%' ? users.filter((u) => chance(u.id, 'held') < 0.1).length : 0;
  const sending = users.length - held;
  const preview = users[0] && { user: users[0].id, subject: 'Hello', missing: [] };
  // every third reads each of the other languages
  const other = Object.keys(locales ?? {}).map((tag) => ({ tag, users: Math.floor(sending / 3) }));
  const rest = sending - other.reduce((n, o) => n + o.users, 0);
  return {
    asOf: new Date().toISOString(),
    matched: users.length,
    sending,
    excluded: held
      ? [{ reason: 'holdout', sentence: 'The user is held back to measure it.', users: held }]
      : [],
    ...(preview ? { preview: { ...preview, body: 'Come back, Ada' } } : {}),
    ...(locales && {
      languages: [
        ...other.map(({ tag, users }) => ({
          locale: tag,
          fallback: false,
          users,
          unknown: 0,
          ...(preview && users ? { preview: { ...preview, body: locales[tag].body ?? '' } } : {}),
        })),
        {
          locale: locale ?? '',
          fallback: true,
          users: rest,
          unknown: Math.floor(rest / 2),
          ...(preview && rest ? { preview: { ...preview, body: 'Come back, Ada' } } : {}),
        },
      ],
    }),
  };
}

export const idsOf = (body, state) => {
  const { users } = markUsers({ ...body, limit: 100_000, after: '' }, state);
  return ['user', ...users.map((u) => u.id), ''].join('\n');
};
