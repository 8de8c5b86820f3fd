import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Mock, startMock } from '../mock/server.mjs';
import { accessible, fits, launch, open } from './browser';

let browser: Browser;
let mock: Mock;
beforeAll(async () => {
  browser = await launch();
  mock = await startMock();
});
afterAll(async () => {
  await browser.close();
  await mock.close();
});

const overlays: {
  name: string;
  path: string;
  width?: number;
  show: (page: Page) => Promise<void>;
}[] = [
  {
    name: 'the menu of a narrow window',
    path: '/',
    width: 390,
    show: async (page) => {
      await page.getByRole('button', { name: 'Open the menu' }).click();
      await page.getByRole('dialog').getByRole('link', { name: 'Campaigns' }).waitFor();
    },
  },
  {
    name: 'the account menu',
    path: '/',
    show: async (page) => {
      await page.getByRole('button', { name: /^Account/ }).click();
      await page.getByRole('menuitem', { name: 'Log out' }).waitFor();
    },
  },
  {
    name: 'the search',
    path: '/',
    show: async (page) => {
      await page.keyboard.press('Control+k');
      await page.getByPlaceholder('Search pages, campaigns and users').fill('ada');
      await page.getByText('Ada Lovelace', { exact: true }).first().waitFor();
    },
  },
  {
    name: 'a search without a result',
    path: '/live',
    show: async (page) => {
      await page.getByRole('button', { name: 'Search', exact: true }).click();
      await page.getByPlaceholder('Search pages, campaigns and users').fill('zzz');
      await page.getByText('Nothing is called').waitFor();
    },
  },
  {
    name: 'an opened event',
    path: '/live',
    show: async (page) => {
      await page.locator('[data-testid=events] button').first().click();
      await page.getByText('"receivedAt"').waitFor();
    },
  },
  {
    name: 'a filter that matches nothing',
    path: '/live?q=zzz',
    show: (page) => page.getByText('No match').waitFor(),
  },
  {
    name: 'a template',
    path: '/templates?open=wow',
    show: (page) => page.getByText('Source (Liquid)').waitFor(),
  },
  {
    name: 'a message to a phone',
    path: '/outbox?open=o-1',
    show: (page) => page.getByText('one step away').last().waitFor(),
  },
  {
    name: 'a message in HTML',
    path: '/outbox?open=o-2',
    show: (page) => page.locator('[role=dialog] iframe').waitFor(),
  },
  {
    name: 'a campaign narrowed to a status',
    path: '/campaigns/winners?status=refused',
    show: (page) => page.getByText('Not sent: the newest').waitFor(),
  },
  {
    name: 'a list of choices',
    path: '/settings?tab=tokens',
    show: async (page) => {
      await page.getByRole('combobox', { name: 'May' }).click();
      await page.getByRole('option', { name: 'Everything' }).waitFor();
    },
  },
  {
    name: 'a new secret',
    path: '/settings?tab=tokens',
    show: async (page) => {
      await page.getByLabel('Name').fill('checks');
      await page.getByRole('button', { name: 'Make a token' }).click();
      await page.getByText('shown this once').waitFor();
    },
  },
  {
    name: 'a question before something is gone',
    path: '/settings?tab=tokens',
    show: async (page) => {
      await page.getByRole('button', { name: 'Revoke deploy script' }).click();
      await page.getByText('This cannot be undone').waitFor();
    },
  },
  {
    name: 'a form with mistakes',
    path: '/settings?tab=members',
    show: async (page) => {
      await page.getByRole('button', { name: 'Add the member' }).click();
      await page.getByText('At least 10 characters').waitFor();
    },
  },
  {
    name: 'a picker of events',
    path: '/triggers/three-wins',
    show: async (page) => {
      await page.getByRole('button', { name: 'Event: win' }).click();
      await page.getByRole('option', { name: /loss/ }).waitFor();
    },
  },
  {
    name: 'the rules that can be added',
    path: '/triggers/three-wins',
    width: 390,
    show: async (page) => {
      await page.getByRole('button', { name: 'a rule' }).click();
      await page.getByRole('menuitem', { name: /about the same/ }).waitFor();
    },
  },
  {
    name: 'an event and its tag',
    path: '/data/events?open=win',
    show: (page) => page.getByText('data-heed-event="win"').waitFor(),
  },
  {
    name: 'the conditions that can be added',
    path: '/audiences/nearly',
    width: 390,
    show: async (page) => {
      await page.getByRole('button', { name: 'another condition' }).last().click();
      await page.getByRole('menuitem', { name: /A place in a funnel/ }).waitFor();
    },
  },
  {
    name: 'how often something was done',
    path: '/audiences/nearly',
    show: async (page) => {
      await page.getByRole('button', { name: /How often: did at least 2/ }).click();
      await page.getByText('between two numbers').waitFor();
    },
  },
  {
    name: 'the values of a dimension',
    path: '/audiences/nearly',
    show: async (page) => {
      await page.getByRole('button', { name: /^Values/ }).click();
      await page
        .getByRole('option', { name: /Medium/ })
        .first()
        .waitFor();
    },
  },
  {
    name: 'a trait and its values',
    path: '/data/traits?open=plan',
    show: (page) => page.getByTestId('trait').getByText('Most frequent values').waitFor(),
  },
  {
    name: 'a trait that is not counted by value',
    path: '/data/traits?open=email',
    width: 390,
    show: (page) => page.getByTestId('trait').getByText('Values that were seen').waitFor(),
  },
  {
    name: 'the time of a dimension',
    path: '/dimensions/engagement',
    width: 390,
    show: async (page) => {
      await page.getByRole('button', { name: 'When: in the last 28 days' }).click();
      await page.getByRole('button', { name: 'any time' }).waitFor();
    },
  },
  {
    name: 'a picker of traits',
    path: '/dimensions/spending',
    show: async (page) => {
      await page.getByRole('button', { name: 'Trait or field: Trait spent' }).click();
      await page.getByRole('option', { name: /Trait plan/ }).waitFor();
    },
  },
  {
    name: 'why a trigger did not fire',
    path: '/users/ada',
    show: async (page) => {
      await page.getByRole('button', { name: 'Why: three-wins' }).click();
      await page.getByText('limit was reached (win), 3 times so far').waitFor();
    },
  },
  {
    name: 'the people behind a number',
    path: '/explore',
    show: async (page) => {
      await page.getByRole('button', { name: /^See users: Medium-high/ }).click();
      await page.getByTestId('people-list').waitFor();
    },
  },
  {
    name: 'a message to them',
    path: '/explore',
    width: 390,
    show: async (page) => {
      await page.getByRole('button', { name: /^See users: Medium-high/ }).click();
      await page.getByText('Web pop-up', { exact: true }).click();
      await page.getByLabel('Text').fill('Hello');
      await page.getByRole('button', { name: 'Review' }).click();
      await page.getByTestId('review').waitFor();
    },
  },
  {
    name: 'a range of time',
    path: '/explore?view=trend',
    show: async (page) => {
      await page.getByRole('button', { name: /^Time range/ }).click();
      await page.getByRole('combobox', { name: 'Time zone of days' }).click();
      await page.getByRole('option', { name: 'Europe/Berlin' }).waitFor();
    },
  },
  {
    name: 'more dimensions',
    path: '/explore',
    width: 390,
    show: async (page) => {
      await page.getByRole('button', { name: /^Dimension: More/ }).click();
      await page.getByRole('button', { name: 'Trait: plan' }).waitFor();
    },
  },
  {
    name: 'what a step of a funnel can have',
    path: '/explore?view=funnel&funnel=%7B"steps"%3A%5B%7B"event"%3A"page"%7D%2C%7B"event"%3A"win"%7D%5D%7D',
    show: async (page) => {
      await page.getByRole('button', { name: 'Change step 2: win' }).click();
      await page.getByRole('menuitem', { name: /^Only where/ }).click();
      await page.getByRole('combobox', { name: 'Property' }).waitFor();
    },
  },
  {
    name: 'a notice',
    path: '/campaigns/winners',
    show: async (page) => {
      await page.getByRole('button', { name: /Pause|Resume/ }).click();
      await page.getByText(/is (paused\.|live now)/).waitFor();
    },
  },
];

describe.each(overlays)('$name', ({ path, show, width = 1280 }) => {
  test.each(['light', 'dark'] as const)('in %s', async (scheme) => {
    const { page, trouble, context } = await open(browser, mock.url + path, { scheme, width });
    await page.locator('main h1').waitFor();
    await show(page);
    await accessible(page);
    await fits(page);
    expect(trouble).toEqual([]);
    await context.close();
  });
});
