import { expect, test } from 'vitest';
import { sentBy } from './spec';

test('by another channel it goes without what only the old one had', () => {
  const push = {
    channel: 'push',
    subject: 'Hi',
    body: 'x',
    link: '/',
    locales: { de: { body: 'y', link: '/de' } },
  };
  expect(sentBy(push, 'phone', 'push')).toEqual({ ...push, channel: 'phone' });
  expect(sentBy(push, 'web', 'web')).toEqual({
    channel: 'web',
    as: 'popup',
    subject: 'Hi',
    body: 'x',
    locales: { de: { body: 'y' } },
  });
});
