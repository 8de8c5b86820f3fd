import { type Browser, chromium } from 'playwright-core';

const launched = new Set<Browser>();

/** Debian's Chromium, without anything that it would do by itself. */
export async function launch(): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
  launched.add(browser);
  browser.on('disconnected', () => launched.delete(browser));
  return browser;
}

/** What the open pages of all browsers show, as a reader without eyes is told it. */
export async function shown(): Promise<string> {
  const pages = [...launched].flatMap((b) => b.contexts().flatMap((c) => c.pages()));
  const said = pages.map(async (page) => {
    const text = await page
      .locator('body')
      .ariaSnapshot({ timeout: 5000 })
      .catch((e) => String(e));
    return `${page.url()}\n${text}`;
  });
  return (await Promise.all(said)).join('\n\n');
}

/**
 * Begins input whose effect takes away the frame that it went to. Chromium does not
 * always acknowledge such input, so wait for the effect instead.
 */
export function farewell(input: Promise<void>): void {
  input.catch(() => {}); // the page may be closed by then
}
