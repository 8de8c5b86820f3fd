import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { type Mock, startMock } from '../mock/server.mjs';
import { launch, open, type Watched } from './browser';

/**
 * A browser for the tests of a file, and a mock for each of them. Nothing bad may happen on the
 * page that a test opens.
 */
export function mocked() {
  let browser: Browser;
  let mock: Mock;
  let watched: Watched | undefined;
  let refuses = false;
  beforeAll(async () => {
    browser = await launch();
  });
  afterAll(() => browser.close());
  beforeEach(async () => {
    mock = await startMock();
    refuses = false;
  });
  async function leave() {
    await watched?.context.close();
    // a conflict is an answer of the server, which browsers write down as an error
    const trouble = watched?.trouble.filter(
      (t) => !t.includes('412') && !(refuses && t.includes('422')),
    );
    watched = undefined;
    expect(trouble ?? []).toEqual([]);
  }
  afterEach(async () => {
    await leave().finally(() => mock.close());
  });
  return {
    get mock() {
      return mock;
    },
    /** The server refuses something in this test, which is an answer too. */
    refusing() {
      refuses = true;
    },
    /** Opens a page of the console, and leaves the one before it. */
    async go(path: string, width = 1280): Promise<Page> {
      await leave();
      watched = await open(browser, mock.url + path, { width });
      await watched.page.locator('main h1').waitFor();
      return watched.page;
    },
  };
}
