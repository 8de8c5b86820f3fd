// What the mock answers, before anything changes. Times are relative to now.

import { readdirSync, readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';

const ago = (seconds) => new Date(Date.now() - seconds * 1000).toISOString();

const names = [
  ['page', 48211, 3.2],
  ['product_view', 19044, 1.4],
  ['cart_add', 5120, 0.6],
  ['win', 3011, 0.4],
  ['loss', 2890, 0.4],
  ['purchase', 1204, 0.05],
  ['support_message_sent_with_a_long_name', 12, 0],
];

export const steps = [
  ['send_event', true, 'The last one came 2 s ago', '/live'],
  ['see_user', true, '1,248 users have been seen', '/users'],
  ['build_audience', false, 'No audience is defined yet', '/audiences'],
  ['connect_channel', true, 'The Outbox is always connected', '/outbox'],
  ['test', false, 'No test has been sent yet', undefined],
  ['launch', true, '3 campaigns are live', '/campaigns'],
];

export function home({ empty, demo }) {
  return {
    asOf: ago(0),
    checklist: steps.map(([id, done, evidence, href]) => ({
      id,
      done: empty ? id === 'connect_channel' : done,
      evidence: empty && done && id !== 'connect_channel' ? 'Not yet' : evidence,
      ...(href ? { href } : {}),
    })),
    figures: {
      eventsPerSecond: empty ? 0 : 6.4,
      events: empty ? 0 : 79492,
      activeUsers: empty ? 0 : 143,
      activeUsersWindowSeconds: 300,
      liveCampaigns: empty ? 0 : 3,
      failures: 0,
    },
    source: {
      name: 'shop',
      writeKey: 'wk_3f9a1c52e8',
      snippet:
        '<script async src="http://127.0.0.1:8080/heed.js" data-key="wk_3f9a1c52e8"></script>',
      curl: `curl http://127.0.0.1:8080/v1/track -u wk_3f9a1c52e8: -H 'Content-Type: application/json' -d '{"anonymousId":"me","event":"hello"}'`,
    },
    demo,
    ...(demo
      ? {
          tour: [
            {
              title: 'Win three times in the shop',
              text: 'Open the shop beside this page, spin three wins in a row, and see the pop-up with “N ms after your click”.',
              href: '/shop/',
            },
            {
              title: 'Find yourself in Live',
              text: 'Your events are highlighted; the trigger shows you at 2 of 3.',
              href: '/live',
            },
            {
              title: 'Stop Heed the hard way',
              text: 'Win twice, run kill -9 and start Heed again: your third win still fires.',
              href: '/settings?tab=health',
            },
          ],
        }
      : {}),
  };
}

export function stats({ empty }) {
  return {
    asOf: ago(0),
    since: ago(7200),
    eventsPerSecond: empty ? 0 : 6.4,
    events: empty ? 0 : 79492,
    byName: empty
      ? []
      : names.map(([name, count, perSecond]) => ({ name, count, perSecond, lastSeen: ago(2) })),
    otherNames: 0,
    activeUsers: empty ? 0 : 143,
    ...(empty ? {} : { lastEventAt: ago(1) }),
    behindMs: empty ? 0 : 380,
    dropped: empty ? 0 : 1412,
    perMinute: Array.from({ length: 60 }, (_, i) =>
      empty ? 0 : Math.round(260 + 130 * Math.sin(i / 6) + ((i * 37) % 60)),
    ),
    failures: 0,
  };
}

const users = [
  'ada',
  'u-1042',
  'b7c1f0d29e8a4c55',
  'grace',
  'a-very-long-identifier-that-somebody-chose-for-a-user-0001',
];

export function event(n, second = 0, over = {}) {
  const [name] = names[n % names.length];
  const user = users[n % users.length];
  const known = user.length < 10;
  return {
    id: `${n % 8}-${n}`,
    messageId: `m-${n}`,
    type: name === 'page' ? 'page' : 'track',
    event: name,
    user,
    ...(known ? { userId: user } : {}),
    anonymousId: `anon-${n % 5}`,
    source: 'shop',
    timestamp: ago(second + 0.2),
    receivedAt: ago(second),
    url: `https://shop.example/products/${n % 9}`,
    ...(name === 'page'
      ? {}
      : {
          properties: {
            product_id: `p-${n % 9}`,
            price: 12.5 + n,
            currency: 'EUR',
            nested: { a: [1, 2, null, true] },
          },
        }),
    ...over,
  };
}

const outcomes = [
  ['sent', ''],
  ['shown', ''],
  ['refused', 'cap'],
  ['held', 'holdout'],
  ['clicked', ''],
  ['failed', 'render: unknown filter "upper"'],
  ['refused', 'expired'],
];

export function delivery(n, second = 0) {
  const [status, reason] = outcomes[n % outcomes.length];
  return {
    id: `${n % 8}-${9000 + n}`,
    at: ago(second),
    user: users[n % users.length],
    status,
    ...(reason ? { reason } : {}),
    campaign: ['winners', 'left-cart', 'third-look'][n % 3],
    template: 'wow',
    channel: n % 3 === 1 ? 'outbox' : 'web',
    trigger: 'three-wins',
    delivery: `d-${n}`,
    ...(n % 9 === 8 ? { test: true } : {}),
  };
}

export function progress({ empty }) {
  return {
    asOf: ago(0),
    triggers: empty
      ? []
      : [
          {
            trigger: 'three-wins',
            users: 1290,
            firings: 287,
            steps: [
              { step: 1, label: 'win', users: 878 },
              { step: 2, label: 'win', users: 412 },
              { step: 3, label: 'win', users: 0 },
            ],
          },
          {
            trigger: 'left-cart',
            users: 58,
            firings: 1031,
            steps: [
              { step: 1, label: 'cart_add', users: 58 },
              { step: 2, label: 'no purchase for 60 s', users: 0 },
            ],
          },
        ],
  };
}

export function userList(q, { empty }) {
  const all = empty ? [] : users;
  const found = all.filter((id) => id.startsWith(q));
  return {
    users: found.map((id, i) => ({
      id,
      known: id.length < 10,
      ...(id === 'ada' ? { name: 'Ada Lovelace', email: 'ada@example.com' } : {}),
      firstSeen: ago(86400 * (i + 1)),
      lastSeen: ago(i * 340 + 4),
      country: 'NL',
    })),
    more: false,
    complete: true,
  };
}

export function user(id) {
  return {
    id,
    known: id.length < 10,
    ...(id.length < 10 ? { userId: id } : {}),
    anonymousIds: ['anon-0', 'anon-3'],
    firstSeen: ago(86400 * 40),
    lastSeen: ago(4),
    country: 'NL',
    locale: 'en-GB',
    timezone: 'Europe/Amsterdam',
    device: 'desktop',
    os: 'Linux',
    browser: 'Chromium',
    ...(id === 'ada' ? { email: { value: 'ada@example.com', verified: false, at: ago(900) } } : {}),
    traits:
      id === 'ada'
        ? [
            { name: 'firstName', value: 'Ada', at: ago(900) },
            { name: 'plan', value: { tier: 'pro', seats: 3 }, at: ago(900) },
          ]
        : [],
    consent: [{ name: 'email', value: true, at: ago(900) }],
    acquisition: { month: '2026-10', source: 'newsletter', campaign: 'autumn' },
    lastTouch: {
      source: 'search.example',
      medium: 'referral',
      at: new Date(Date.now() - 3 * 3600_000).toISOString(),
    },
    triggers: [
      {
        trigger: 'three-wins',
        step: 2,
        of: 3,
        label: 'win',
        waitsFor: ['win'],
        since: ago(40),
        expires: ago(-520),
        firings: 1,
        blockedUntil: ago(-3000),
        lastFired: ago(4000),
      },
      {
        trigger: 'left-cart',
        key: 'p-7',
        step: 1,
        of: 2,
        label: 'cart_add',
        waitsFor: ['purchase'],
        since: ago(20),
        firesAt: ago(-40),
        firings: 0,
      },
    ],
    audiences: ['vip'],
  };
}

export function timeline(id, before) {
  const from = before ? 20 : 0;
  const items = [];
  for (let n = from; n < from + 20; n++) {
    if (n % 5 === 4)
      items.push({
        kind: 'delivery',
        at: ago(n * 30),
        delivery: { ...delivery(n, n * 30), user: id },
      });
    else
      items.push({
        kind: 'event',
        at: ago(n * 30),
        event: { ...event(7000 + n, n * 30), user: id },
      });
  }
  return {
    items,
    searchedTo: ago((from + 20) * 30),
    complete: Boolean(before),
    ...(before ? {} : { next: 'page-2' }),
  };
}

const at = () => ago(3600);
export const definition = (kind, name, spec, over = {}) => ({
  kind,
  name,
  version: 3,
  author: 'ada@example.com',
  at: at(),
  readOnly: false,
  spec,
  ...over,
});

export function definitions({ empty }) {
  const wow = `<div style="text-align:center"><h2>{{ profile.traits.firstName | default: 'You' }}: +50 %</h2><p>Three wins in a row with {{ event.properties.stake }}. Your next spin counts half again.</p><a href="#">Take it</a></div>`;
  const all = [
    definition('source', 'shop', {
      writeKey: 'wk_3f9a1c52e8',
      secret: '***',
      origins: ['https://shop.example'],
      trustUserIds: true,
    }),
  ];
  if (empty) return all;
  return [
    ...all,
    definition('stream', 'contracts', {
      kafka: { brokers: ['kafka-1.example:9093'] },
      topic: 'crm.contracts',
      eventFrom: 'value.type',
      userId: 'key',
    }),
    definition('stream', 'registrations', {
      kafka: { brokers: ['kafka-1.example:9093'], tls: {} },
      topic: 'crm.registrations',
      userId: 'value.customer.id',
      event: 'registered',
      properties: { plan: 'value.plan' },
    }),
    definition('audience', 'vip', {
      description: 'Who spends a lot',
      where: {
        all: [
          { field: 'traits.spent', op: 'gte', value: 500 },
          { field: 'traits.plan', op: 'in', value: ['pro', 'team'] },
        ],
      },
    }),
    definition('audience', 'newcomers', { where: { field: 'traits.orders', op: 'missing' } }),
    definition('audience', 'nearly', {
      description: 'Looked often, and bought nothing lately',
      zone: 'Europe/Berlin',
      all: [
        {
          is: { dimension: { dimension: 'engagement' }, values: ['medium-high', 'high', null] },
        },
        {
          did: {
            event: 'product_view',
            where: { field: 'properties.vip', op: 'eq', value: true },
            min: 2,
            during: { last: '90d' },
          },
        },
        { did: { event: 'purchase', max: 0, during: { last: '28d' } } },
        {
          any: [
            { consent: 'email' },
            { not: { audience: 'vip' } },
            {
              funnel: {
                funnel: {
                  steps: [{ event: 'page' }, { event: 'product_view' }, { event: 'purchase' }],
                  window: '1h',
                },
                level: 2,
                state: 'stuck',
                during: { last: '7d' },
              },
            },
            { session: { during: { last: '1d' } } },
          ],
        },
      ],
    }),
    definition('audience', 'first-hundred', {
      frozen: '2026-05-04T10:00:00Z',
      did: { max: 5 },
    }),
    definition('dimension', 'spending', {
      description: 'What they spent, in euros',
      field: 'traits.spent',
      buckets: [
        { name: 'little', from: 0, below: 50 },
        { name: 'some', from: 50, below: 300 },
        { name: 'much', from: 300 },
      ],
    }),
    definition('trigger', 'three-wins', {
      pattern: [{ event: 'win', times: 3, consecutive: true }],
      within: '10m',
      reset: ['loss'],
    }),
    definition('trigger', 'everything', {
      description: 'Everything that the sentence can say, and a little that it cannot',
      pattern: [
        {
          event: 'win',
          where: {
            all: [
              { field: 'properties.stake', op: 'gte', value: 10 },
              { field: 'traits.plan', op: 'in', value: ['pro', 'team'] },
            ],
          },
          times: 3,
          consecutive: true,
        },
        {
          all: [
            'page',
            { event: 'product_view', where: { field: 'properties.vip', op: 'eq', value: true } },
          ],
        },
        {
          event: 'cart_add',
          without: ['loss'],
          gap: '5m',
          where: { not: { field: 'context.bot', op: 'eq', value: true } },
        },
        { event: 'product_view', times: 2, distinct: 'properties.product_id' },
        { absent: 'purchase', for: '30m', anchor: 'last' },
      ],
      within: '10m',
      scope: ['win', 'loss'],
      reset: ['support_message_sent_with_a_long_name'],
      by: { win: 'properties.product_id', purchase: 'properties.products[].product_id' },
      increasing: true,
      overlap: true,
      order: 'event',
      lateness: '10s',
      reentry: { cooldown: '24h' },
      limit: { count: 2, per: '1h' },
      audience: 'vip',
      hold: true,
      max_age: '15m',
      max_stale: '1h',
      from_the_future: { x: [1, 2] },
    }),
    definition('trigger', 'left-cart', {
      pattern: [{ event: 'cart_add' }, { absent: 'purchase', for: '60s' }],
    }),
    definition('trigger', 'third-look', {
      pattern: [{ event: 'product_view', times: 3 }],
      within: '1h',
      by: 'properties.product_id',
    }),
    definition('funnel', 'checkout', {
      description: 'From the visit to the order',
      steps: [{ event: 'session_start' }, { event: 'product_view' }, { event: 'purchase' }],
      window: '1d',
    }),
    definition('board', 'shop', {
      title: 'The shop at a glance',
      description: 'What shoppers do, as they do it',
      charts: [
        {
          title: 'Orders',
          query: {
            range: { last: '28d' },
            series: { of: [{ event: 'purchase' }], count: 'users', per: 'day' },
          },
          width: 'full',
        },
        {
          title: 'From the visit to the order',
          query: { range: { last: '28d' }, funnel: { funnel: 'checkout' } },
        },
        {
          title: 'Engagement',
          query: { breakdown: { by: [{ dimension: 'engagement' }], top: 50 } },
        },
        {
          title: 'Buyers',
          query: { audience: { did: { event: 'purchase', during: { last: '28d' } } }, users: {} },
        },
        {
          title: 'Countries',
          query: { breakdown: { by: [{ dimension: 'country' }], top: 50 } },
          as: 'table',
        },
      ],
    }),
    definition('template', 'wow', { channel: 'web', as: 'popup', body: wow }),
    definition('template', 'come-back', {
      channel: 'outbox',
      subject: 'You left something',
      body: '<p>Your cart waits, {{ profile.traits.firstName | default: "friend" }}.</p>',
    }),
    definition('campaign', 'winners', {
      description: 'Three wins in a row bring a boost',
      when: { trigger: 'three-wins' },
      who: ['vip'],
      what: [{ channel: 'web', template: 'wow' }],
      limits: { cap: { count: 1, per: '24h' }, holdout: '10%' },
      goal: { event: 'purchase', within: '3d' },
      status: 'live',
    }),
    definition('campaign', 'left-cart', {
      when: { trigger: 'left-cart' },
      what: [{ channel: 'outbox', template: 'come-back' }],
      status: 'paused',
    }),
    definition(
      'campaign',
      'third-look',
      {
        when: { trigger: 'third-look' },
        what: [{ channel: 'web', template: 'wow' }],
        status: 'draft',
      },
      { readOnly: true },
    ),
  ];
}

export function report(campaign, { empty }) {
  if (empty || campaign === 'third-look') {
    return {
      campaign,
      asOf: ago(0),
      activations: 0,
      outcomes: [],
      waiting: [],
      sent: 0,
      shown: 0,
      clicked: 0,
      dismissed: 0,
      tests: 0,
    };
  }
  return {
    campaign,
    asOf: ago(0),
    since: ago(86400 * 3),
    activations: 434,
    outcomes: [
      { status: 'sent', reason: '', count: 352 },
      { status: 'held', reason: 'holdout', count: 39 },
      { status: 'refused', reason: 'cap', count: 31 },
      { status: 'refused', reason: 'expired', count: 7 },
      { status: 'failed', reason: 'render', count: 1 },
      { status: 'held', reason: 'unknown', count: 4 },
    ],
    waiting: [
      { reason: 'quiet_hours', count: 9 },
      { reason: 'channel', count: 3 },
    ],
    unknownArrived: 3,
    unknownBounced: 1,
    sent: 352,
    shown: 301,
    clicked: 92,
    dismissed: 140,
    tests: 4,
  };
}

export function eventNames({ empty }) {
  return {
    since: ago(7200),
    names: empty
      ? []
      : names.map(([name, count], i) => ({
          name,
          count,
          ...(count ? { lastSeen: ago(i * 9) } : {}),
          declared: i === 5,
          key: i === 5,
          ...(i === 5 ? { description: 'An order was paid' } : {}),
        })),
  };
}

export function eventFields(name, { empty }) {
  if (empty || name === 'page') return { fields: [] };
  const field = (path, types, values) => ({ field: path, types, values });
  if (name === 'identify')
    return { fields: [field('event.traits.plan', ['text'], ['pro', 'team'])] };
  return {
    fields: [
      field('properties.currency', ['text'], ['EUR', 'USD']),
      field('properties.price', ['number'], [12.5, 40]),
      field('properties.product_id', ['text'], ['p-1', 'p-2', 'p-3']),
      field('properties.products[].product_id', ['text'], ['p-1']),
      field('properties.stake', ['number', 'text'], [10, 25, '10']),
      field('properties.vip', ['boolean'], [true]),
    ],
  };
}

/** What the server would find wrong, as far as the tests need it. */
export function problemsOfBoard(spec, definitions) {
  const known = (name) => definitions.some((d) => d.kind === 'funnel' && d.name === name);
  return spec.charts.flatMap(({ query }, i) =>
    query.funnel?.funnel && !known(query.funnel.funnel)
      ? [
          {
            path: `charts[${i}].query.funnel.funnel`,
            message: `funnel "${query.funnel.funnel}" does not exist`,
            hint: '[checkout]',
          },
        ]
      : [],
  );
}
export function problemsOf(spec) {
  const problems = [];
  const steps = spec.pattern.reduce(
    (n, s) => n + (s.event || s.all ? (s.all?.length ?? s.times ?? 1) : 0),
    0,
  );
  if (steps > 1 && !spec.within)
    problems.push({
      path: 'within',
      message: 'is missing: a pattern of two or more event steps needs a window',
    });
  spec.pattern.forEach((s, i) => {
    if (s.times > 64)
      problems.push({ path: `pattern[${i}].times`, message: 'a pattern has at most 64 steps' });
    if (s.event && s.without?.includes(''))
      problems.push({ path: `pattern[${i}].without[0]`, message: 'is empty' });
  });
  if (spec.audience && !['vip', 'newcomers'].includes(spec.audience))
    problems.push({
      path: 'audience',
      message: `there is no audience ${spec.audience}`,
      hint: 'vip',
    });
  for (const key of Object.keys(spec))
    if (key === 'withn') problems.push({ message: 'unknown key "withn"', hint: 'within' });
  return problems;
}

/** Fewer firings the more is asked for. */
export function backtest({ trigger, days, name, campaign }) {
  const times = trigger.pattern.reduce((n, s) => n * (s.times ?? 1) + (s.where ? 1 : 0), 1);
  const firings = Math.round(2400 / times / (trigger.scope ? 2 : 1));
  const zero = { limit: 0, audience: 0, cancelled: 0 };
  return {
    trigger: name,
    asOf: ago(0),
    from: ago(86400 * days),
    until: ago(0),
    warmedFrom: ago(86400 * days + 600),
    days,
    logFrom: ago(86400 * 31),
    zone: 'UTC',
    firings,
    users: Math.round(firings * 0.7),
    perDay: Array.from({ length: days + 1 }, (_, i) => ({
      day: ago(86400 * (days - i)).slice(0, 10),
      firings: Math.round((firings / days) * (0.7 + 0.3 * Math.sin(i))),
    })),
    refused: trigger.limit ? { ...zero, limit: 31 } : zero,
    counts: { events: 79492, matched: 9011, late: 0, evicted: 0, old: 12, deep: 0, unreadable: 0 },
    ...(campaign
      ? { campaign: { audience: 20, holdout: 39, cap: 31, sends: firings - 90, recipients: 300 } }
      : {}),
    examples: users.map((user, i) => ({
      user,
      at: ago(i * 4000 + 60),
      fire: `f-${i}`,
      events: [],
    })),
    profiles: 'unused',
    seconds: 0.4,
    eventsPerSecond: 198730,
  };
}

export function explanation(user, trigger) {
  const busy = trigger === 'three-wins';
  return {
    user,
    trigger,
    asOf: ago(0),
    inForce: true,
    steps: ['win', 'win', 'win'],
    rows: busy
      ? [
          {
            trigger,
            step: 2,
            of: 3,
            label: 'win',
            waitsFor: ['win'],
            since: ago(40),
            expires: ago(-520),
          },
        ]
      : [],
    ...(busy ? { blockedUntil: ago(-3000), blockedBy: 'cooldown' } : {}),
    firings: busy ? 1 : 0,
    notes: busy
      ? [
          { at: ago(300), outcome: 'limit', event: 'win', count: 3, text: 'Did not fire.' },
          {
            at: ago(4000),
            outcome: 'fired',
            event: 'win',
            fireId: 'f-1',
            count: 1,
            text: 'Fired.',
          },
          { at: ago(9000), outcome: 'expired', count: 2, text: 'Did not fire.' },
        ]
      : [],
    text: [],
  };
}

export function badEvents({ empty }) {
  return {
    total: empty ? 0 : 3,
    events: empty
      ? []
      : [
          {
            at: ago(60),
            source: 'shop',
            protocol: 'native',
            reason: 'no userId or anonymousId',
            event: 'win',
            sample: '{"event":"win","properties":{}}',
          },
          { at: ago(600), source: 'shop', reason: 'properties are deeper than 32', event: 'win' },
          {
            at: ago(900),
            source: 'registrations',
            protocol: 'kafka',
            reason: 'is not a JSON object',
            sample: 'garbage',
          },
        ],
  };
}

export function outbox({ empty }) {
  return {
    messages: empty
      ? []
      : [
          {
            id: 'o-1',
            at: ago(30),
            user: 'ada',
            channel: 'outbox',
            as: 'sms',
            to: '+31 6 1234 5678',
            campaign: 'left-cart',
            template: 'come-back',
            trigger: 'left-cart',
            text: 'Ada, you are one step away from level 3. Ten free spins wait for you.',
          },
          {
            id: 'o-2',
            at: ago(300),
            user: 'grace',
            channel: 'outbox',
            campaign: 'left-cart',
            template: 'come-back',
            trigger: 'left-cart',
            subject: 'You left something',
            html: '<p>Your cart waits, <b>friend</b>.</p><script>parent.document.title="owned"</script>',
            text: 'Your cart waits, friend.',
            test: true,
          },
        ],
  };
}

export function health() {
  return {
    status: 'ok',
    asOf: ago(0),
    startedAt: ago(7200),
    version: 'dev',
    goVersion: 'go1.26',
    revision: 7,
    shape: 'embedded',
    roles: ['gateway', 'decider', 'engager', 'console'].map((role) => ({ role, ready: true })),
    lags: Array.from({ length: 8 }, (_, partition) => [
      { role: 'decider', stream: 'events', partition, events: 0, ms: 0 },
      {
        role: 'engager',
        stream: 'intents',
        partition,
        events: partition === 3 ? 2 : 0,
        ms: partition === 3 ? 40 : 0,
      },
    ]).flat(),
    disk: {
      path: './heed-data',
      usedBytes: 312_400_000,
      freeBytes: 48_100_000_000,
      reserveReached: false,
    },
    memoryBytes: 96_300_000,
    facts: {
      behindMs: 40,
      rows: 1_240_318,
      hotRows: 20_412,
      bytes: 39_800_000,
      files: 31,
      users: 8_231,
      lost: [],
    },
    behavior: {
      state: 'loading',
      events: 700_000,
      users: 8_231,
      bytes: 24_000_000,
      done: 5,
      of: 8,
    },
    notes: [],
  };
}

export const tokens = () => [
  {
    id: 't1',
    name: 'deploy script',
    scopes: ['read', 'write'],
    createdBy: 'ada@example.com',
    createdAt: ago(86400 * 9),
    expiresAt: ago(-86400 * 81),
    lastUsedAt: ago(3000),
  },
];

export const members = () => [
  {
    email: 'ada@example.com',
    name: 'Ada',
    role: 'admin',
    createdAt: ago(86400 * 9),
    lastLoginAt: ago(100),
  },
  { email: 'grace@example.com', name: '', role: 'analyst', createdAt: ago(86400 * 2) },
];

export const audit = () => ({
  entries: [
    { at: ago(100), who: 'ada@example.com', what: 'login', address: '127.0.0.0' },
    {
      at: ago(4000),
      who: 'token:deploy script',
      what: 'apply',
      subject: 'campaign/winners',
      detail: 'updated',
    },
    { at: ago(9000), who: 'ada@example.com', what: 'setup' },
  ],
});

/** Why a user did, or did not, get each campaign; the first one got there. */
export function explanations(user, specs) {
  const campaigns = specs
    .filter((d) => d.kind === 'campaign')
    .map((d) => d.name)
    .sort()
    .map((campaign, i) => {
      const answer =
        i === 0
          ? 'Sent by web on 2026-01-02 at 03:07:05 UTC.'
          : 'Refused on 2026-01-02 at 03:05:05 UTC: The user is in the group that is held back to measure what the campaign achieves.';
      const now = 'Decided just now, it would be sent by web, with template wow.';
      return {
        user,
        campaign,
        status: 'live',
        got: i === 0,
        answer,
        now: { send: true, text: now },
        outcomes: [],
        waiting: [],
        text: [answer, now],
        complete: true,
      };
    });
  return { campaigns, complete: true };
}
/** What is out of the ordinary. */
export function alerts() {
  const since = new Date(Date.now() - 35 * 60_000).toISOString();
  return [
    {
      kind: 'destination_failing',
      subject: 'hook hook.example',
      since,
      count: 7,
      windowSeconds: 2100,
      title: 'hook.example, where channel hook sends to, fails',
      detail:
        '7 attempts in a row failed, the last one with: connection refused. It is left alone for a while and then tried again; what is for it waits.',
      advice: "See whether it is up and whether the channel's address and account are right.",
      href: '/channels/hook',
    },
    {
      kind: 'channel_failing',
      subject: 'hook',
      since,
      count: 12,
      of: 14,
      windowSeconds: 900,
      title: 'Channel hook fails',
      detail: '12 of 14 messages failed in the last 15 minutes. The last one: 503.',
      advice: 'Look at what the failed deliveries say.',
      href: '/campaigns/winners?status=failed',
    },
    {
      kind: 'event_silent',
      subject: 'purchase',
      since,
      count: 0,
      usual: 48.2,
      windowSeconds: 2100,
      title: 'No purchase any more',
      detail: 'None has come since then, where about 48 are usual at these hours.',
      advice: 'See whether the page or app still sends it.',
      href: '/explore?view=trend&trend=%7B%22events%22%3A%5B%22purchase%22%5D%2C%22count%22%3A%22events%22%7D',
    },
  ];
}

/** What became of a trial. */
export const tried = (state) =>
  state.refused
    ? { done: true, status: 'failed', reason: 'render', sentence: state.refused, channel: 'web' }
    : {
        done: true,
        status: 'sent',
        channel: 'web',
        as: 'popup',
        body: '<h2>Ada: +50 %</h2>',
        missing: ['profile.traits.firstName'],
      };

/** By which channels a user may be written to. */
export const reach = (user) => ({
  user,
  channels: [
    {
      channel: 'news',
      type: 'email',
      marketing: {
        allowed: false,
        reason: 'no_consent',
        sentence: 'The user has not agreed to marketing by this channel.',
      },
      transactional: { allowed: true, sentence: 'Nothing stands in the way.' },
      suppressions: [],
    },
  ],
  statements: [],
});

/** How many addresses must not be written to, and why. */
export const suppressed = [
  { type: 'email', reason: 'unsubscribed', sentence: 'Unsubscribed', addresses: 12 },
  { type: 'sms', reason: 'stop', sentence: 'Answered STOP', addresses: 3 },
];

/** A template as it would be sent: the text of the reader's language, the name of the user put in. */
export function templatePreview(draft) {
  const locale = draft.locales?.[draft.reader] ? draft.reader : (draft.locale ?? '');
  const text = { ...draft, ...(draft.locales?.[draft.reader] ?? {}) };
  const known = draft.user === 'ada';
  const missing = [];
  const said = (source = '') =>
    source.replace(
      /{{ *([\w.]+) *(?:\| *default: *(?:"(.*?)"|'(.*?)'))? *}}/g,
      (_, field, ...otherwise) => {
        if (known) return field === 'profile.traits.firstName' ? 'Ada' : '12';
        const other = otherwise[0] ?? otherwise[1];
        if (other === undefined) missing.push(field);
        return other ?? '';
      },
    );
  return {
    type: draft.channel,
    html: ['web', 'outbox', 'email'].includes(draft.channel) && draft.as !== 'sms',
    locale,
    subject: said(text.subject),
    link: said(text.link),
    body: said(text.body),
    text: draft.channel === 'email' ? 'The same as text' : '',
    missing,
  };
}

/** What is wrong with a template: Liquid that is not closed. */
export function templateProblems(spec) {
  const texts = { '': spec };
  for (const [locale, text] of Object.entries(spec.locales ?? {}))
    texts[`locales.${locale}.`] = text;
  return Object.entries(texts).flatMap(([at, text]) =>
    ['subject', 'body'].flatMap((part) => {
      const lines = (text[part] ?? '').split('\n');
      const line = lines.findIndex((l) => l.lastIndexOf('{{') > l.lastIndexOf('}}'));
      return line < 0 ? [] : [{ path: at + part, message: `line ${line + 1}: {{ is not closed` }];
    }),
  );
}

/** The designs that are in the binary. */
export function starters() {
  const folder = new URL('../../../internal/console/starters/designs/', import.meta.url);
  return readdirSync(folder)
    .filter((file) => file.endsWith('.yaml'))
    .flatMap((file) => parseAllDocuments(readFileSync(new URL(file, folder), 'utf8')))
    .map((doc) => {
      const { kind: _, name, bodyFile, ...spec } = doc.toJS();
      const body = readFileSync(new URL(bodyFile, folder), 'utf8');
      return { name, type: spec.channel, spec: { name, ...spec, body } };
    });
}

/** How a stream fares. */
export const streamState = (d) => ({
  name: d.name,
  topic: d.spec.topic,
  paused: d.spec.paused === true,
  taken: 48_211,
  bad: d.name === 'registrations' ? 3 : 0,
  empty: 0,
  perMinute: 42,
  lag: d.name === 'registrations' ? 0 : 1204,
  lagAt: new Date().toISOString(),
  lastMessageAt: new Date(Date.now() - 4000).toISOString(),
  ...(d.name === 'contracts'
    ? {
        error:
          'the schema registry cannot be asked at the moment: it answers 503 Service Unavailable',
      }
    : {}),
});

/** What there is in a topic, and what a draft makes of it. */
export function streamSample(spec) {
  const nothing = { topics: [], partitions: 3, messages: [], fields: [], problems: [] };
  if (spec.kafka.brokers[0].startsWith('nowhere'))
    return {
      status: 422,
      body: {
        error: {
          code: 'invalid',
          message: 'the sample cannot be taken: no broker answers at nowhere.example:9092',
        },
      },
    };
  if (!spec.topic)
    return { ...nothing, topics: ['crm.contracts', 'crm.empty', 'crm.registrations'] };
  if (spec.topic === 'crm.empty') return nothing;
  const named = spec.userId && (spec.event || spec.eventFrom);
  const at = new Date(Date.now() - 60_000).toISOString();
  const message = (n, value, problem) => ({
    partition: n % 3,
    offset: n,
    at,
    bytes: value.length,
    key: `k${n}`,
    value,
    events:
      named && !problem
        ? [
            {
              id: '0-0',
              messageId: `crm.registrations/${n % 3}/${n}@1`,
              type: 'track',
              event: spec.event ?? 'registered',
              user: `c${n}`,
              userId: `c${n}`,
              source: 'registrations',
              timestamp: at,
              receivedAt: at,
            },
          ]
        : [],
    ...(problem ? { problem } : {}),
  });
  return {
    ...nothing,
    messages: [
      message(
        42,
        '{"customer":{"id":"c42","email":"ada@example.com"},"plan":"gold","at":1795849200000}',
      ),
      message(41, 'garbage', 'is not a JSON object'),
    ],
    fields: [
      { place: 'key', type: 'text', messages: 2, examples: ['k42', 'k41'] },
      { place: 'value.at', type: 'number', messages: 1, examples: ['1795849200000'] },
      { place: 'value.customer.email', type: 'text', messages: 1, examples: ['ada@example.com'] },
      { place: 'value.customer.id', type: 'text', messages: 1, examples: ['c42'] },
      { place: 'value.plan', type: 'text', messages: 1, examples: ['gold'] },
    ],
  };
}
