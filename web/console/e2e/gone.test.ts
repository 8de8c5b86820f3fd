import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Mock, startMock } from '../mock/server.mjs';
import { fits, launch } from './browser';

// The server goes away while the console is open: pages that are shown stay and say so, pages that
// are turned to say so instead of what they would show, and all come back by themselves.

const pages: [path: string, ready: string][] = [
  ['/', '[data-testid=checklist]'],
  ['/live', '[data-testid=events]'],
  ['/explore', '[data-testid=bars]'],
  ['/explore?view=retention', '[data-testid=grid]'],
  ['/boards', '[data-testid=boards]'],
  ['/boards/shop', '[data-testid=funnel]'],
  ['/audiences', '[data-testid=audiences]'],
  ['/audiences/nearly', '[data-testid=changes]'],
  ['/users', '[data-testid=users]'],
  ['/users/ada', '[data-testid=user-trigger]'],
  ['/campaigns', '[data-testid=campaigns]'],
  ['/campaigns/winners', '[data-testid=report]'],
  ['/campaigns/winners/edit', '[data-testid=limits]'],
  ['/triggers', '[data-testid=triggers]'],
  ['/triggers/everything', '[data-testid=backtest-examples]'],
  ['/templates', '[data-testid=templates]'],
  ['/data/events', '[data-testid=event-names]'],
  ['/data/traits', '[data-testid=traits]'],
  ['/imports', 'main h1'],
  ['/dimensions/engagement', '[data-testid=bucket]'],
  ['/outbox', '[data-testid=outbox]'],
  ['/new/channel?type=webhook', 'textarea'],
  ['/settings', 'text=All is well'],
  ['/settings?tab=channels', '[data-testid=channels]'],
  ['/settings?tab=suppression', 'text=Look up an address'],
];

let browser: Browser;
beforeAll(async () => {
  browser = await launch();
});
afterAll(() => browser.close());

/** A few tabs at a time, as people have them. */
const some = Array.from({ length: Math.ceil(pages.length / 5) }, (_, i) =>
  pages.slice(5 * i, 5 * i + 5),
);
const gone = 'Heed does not answer';

/** Tabs that begin somewhere, and a server that can go away and come back where it was. */
async function tabs(paths: readonly string[]) {
  let mock: Mock | undefined = await startMock();
  mock.state.alerts = true; // which take room beside the word
  const { url } = mock;
  const context = await browser.newContext({ reducedMotion: 'reduce' });
  const wrong: string[] = [];
  const open = await Promise.all(
    paths.map(async (path) => {
      const page = await context.newPage();
      page.on('pageerror', (e) => wrong.push(`${path}: ${e.message}`));
      await page.goto(url + path);
      return page;
    }),
  );
  return {
    each: async (look: (page: Page, i: number) => Promise<void>) => {
      for (const [i, page] of open.entries()) await look(page, i);
    },
    go: async () => {
      await mock?.close();
      mock = undefined;
    },
    comeBack: async () => {
      mock = await startMock({ port: Number(new URL(url).port) });
    },
    end: async () => {
      await context.close();
      await mock?.close();
      expect(wrong).toEqual([]);
    },
  };
}

test.each(some)(
  'what is shown stays, says that it is old, and goes on: %s, %s, %s, %s, %s',
  {
    timeout: 180_000,
  },
  async (...few) => {
    const { each, go, comeBack, end } = await tabs(few.map(([path]) => path));
    const ready = (i: number) => few[i]?.[1] ?? '';
    await each((page, i) => page.locator(ready(i)).first().waitFor());
    await go();
    await each(async (page, i) => {
      await page.getByText('Reconnecting').first().waitFor();
      for (const width of [390, 1280]) {
        await page.setViewportSize({ width, height: 860 });
        await fits(page);
      }
      expect(await page.locator(ready(i)).count(), few[i]?.[0]).toBeGreaterThan(0);
    });
    await comeBack();
    await each(async (page, i) => {
      await page.getByTestId('live-badge').getByText('Live', { exact: true }).waitFor();
      await page.locator(ready(i)).first().waitFor();
      await expect.poll(() => page.getByText(gone).count(), { message: few[i]?.[0] }).toBe(0);
    });
    await end();
  },
);

test.each(some)(
  'what is turned to meanwhile says so, and comes with the server: %s, %s, %s, %s, %s',
  {
    timeout: 180_000,
  },
  async (...few) => {
    // they begin on another page, so that each has something to load
    const { each, go, comeBack, end } = await tabs(
      few.map(([path]) => (path.startsWith('/settings') ? '/live' : '/settings?tab=audit')),
    );
    await each((page) => page.locator('main h1').waitFor());
    await go();
    await each((page, i) =>
      page.evaluate((to) => {
        window.history.pushState({}, '', to);
        window.dispatchEvent(new PopStateEvent('popstate'));
      }, few[i]?.[0] ?? ''),
    );
    const silent: string[] = [];
    await each((page, i) =>
      page
        .getByText(gone)
        .first()
        .waitFor()
        .catch(async () => {
          silent.push(`${few[i]?.[0]}: ${(await page.locator('body').innerText()).slice(-300)}`);
        }),
    );
    await comeBack();
    const lost: string[] = [];
    await each(async (page, i) => {
      await page
        .locator(few[i]?.[1] ?? '')
        .first()
        .waitFor()
        .catch(async () => {
          lost.push(`${few[i]?.[0]}: ${(await page.locator('body').innerText()).slice(-300)}`);
        });
      await expect.poll(() => page.getByText(gone).count(), { message: few[i]?.[0] }).toBe(0);
    });
    expect({ silent, lost }).toEqual({ silent: [], lost: [] });
    await end();
  },
);
