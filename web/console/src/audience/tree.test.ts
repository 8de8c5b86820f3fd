import { expect, test } from 'vitest';
import {
  complete,
  fresh,
  groupOf,
  kinds,
  leafOf,
  nodeOf,
  plainSteps,
  rootOf,
  split,
  treeOf,
  words,
} from './tree';

const did = { did: { event: 'win', min: 2, during: { last: '28d' } } };
const vip = { where: { field: 'traits.vip', op: 'eq', value: true } };

test('what stands beside the tree is kept apart', () => {
  expect(split({ description: 'x', zone: 'UTC', frozen: 't', ...did })).toEqual({
    about: { description: 'x', zone: 'UTC', frozen: 't' },
    tree: did,
  });
});

test('groups are read and written as the same tree', () => {
  for (const tree of [
    { all: [did, vip] },
    { any: [did, vip] },
    { not: { any: [did, vip] } },
    { not: did },
    { any: [did] },
  ]) {
    const group = groupOf(tree);
    expect(group && nodeOf(group.join, group.list)).toEqual(tree);
  }
  expect(rootOf({})).toEqual({ join: 'all', list: [] });
  expect(treeOf('all', [])).toEqual({});
  expect(treeOf('all', [vip])).toEqual(vip);
  expect(treeOf('none', [vip])).toEqual({ not: vip });
  // a group stays a group, and does not become its parent
  expect(treeOf('all', [{ any: [vip] }])).toEqual({ all: [{ any: [vip] }] });
});

test('some leaves are said the other way round, others are in a group', () => {
  expect(leafOf({ not: { audience: 'vip' } })).toEqual({ node: { audience: 'vip' }, not: true });
  expect(groupOf({ not: { audience: 'vip' } })).toBeUndefined();
  expect(groupOf({ not: did })).toEqual({ join: 'none', list: [did] });
  // and stay what they mean within a group of none
  const none = nodeOf('none', [{ not: { audience: 'vip' } }]);
  expect(groupOf(none)).toEqual({ join: 'none', list: [{ not: { audience: 'vip' } }] });
});

test('what was just added is asked about when it is finished', () => {
  for (const kind of kinds) {
    expect(complete(fresh(kind)), kind).toBe(kind === 'consent');
  }
  expect(complete({ all: [vip, fresh('did')] })).toBe(false);
  expect(complete({ all: [vip, fresh('group')] })).toBe(false);
  expect(complete({ all: [vip, did, { did: { during: { last: '7d' } } }] })).toBe(true);
  expect(complete({})).toBe(true);
});

test('only funnels of plain events are edited as a sentence', () => {
  const funnel = { steps: [{ event: 'a' }, { event: 'b' }], window: '1h' };
  const at = { level: 1, state: 'stuck' as const };
  expect(plainSteps({ funnel, ...at })).toEqual(['a', 'b']);
  expect(plainSteps({ funnel: { ...funnel, strict: true } as never, ...at })).toBeUndefined();
  expect(
    plainSteps({ funnel: { ...funnel, steps: [{ event: 'a', where: {} }] } as never, ...at }),
  ).toBeUndefined();
});

test('says who they are', () => {
  const f = (node: Record<string, unknown>, want: string) => expect(words(node)).toBe(want);
  f({}, 'is anybody');
  f(did, 'did win at least 2 times in the last 28 days');
  f({ did: { event: 'win', max: 0 } }, 'did not do win at any time');
  f({ did: { event: 'win', min: 2, max: 2 } }, 'did win exactly 2 times at any time');
  f({ did: { event: 'win', min: 2, max: 5 } }, 'did win 2 to 5 times at any time');
  f({ did: { max: 3 } }, 'did anything at most 3 times at any time');
  f(
    { all: [vip, { any: [did, { consent: 'sms' }] }] },
    'vip is true and (did win at least 2 times in the last 28 days or agreed to sms)',
  );
  f({ not: { any: [vip, { audience: 'x' }] } }, 'not (vip is true or is in x)');
  f({ not: { audience: 'x' } }, 'is not in x');
  f(
    { is: { dimension: { dimension: 'engagement' }, values: ['high', null], not: true } },
    'Engagement is not High or Not active in 28 days',
  );
  f({ users: ['a', 'b'] }, 'is one of 2 users');
});
