import type { Browser } from 'playwright-core';
import type { Heed } from './server';
import { anonymousId, popup, spinButton } from './shop';

// From the click to the pop-up on the screen, by the page's own clock: the
// click's time stamp, until the frame with the content has been loaded and
// painted and the pop-up has faded in so far that it can be read.

declare global {
  interface Window {
    popupTimes: number[];
  }
}

/** Runs in the page, before anything else does. */
function observe(): void {
  if (window !== window.top) return;
  window.popupTimes = [];
  let clicked = 0;
  addEventListener(
    'click',
    (e) => {
      if (e.isTrusted && (e.target as Element).closest('.spin button')) clicked = e.timeStamp;
    },
    true,
  );
  const readable = (frame: HTMLIFrameElement) => {
    const dialog = frame.closest('dialog');
    if (!dialog?.open) return;
    const box = frame.getBoundingClientRect();
    // this runs before the frame is painted: the one before it was already
    const shown = box.width > 0 && box.height > 0 && Number(getComputedStyle(dialog).opacity) > 0.5;
    if (shown) window.popupTimes.push(performance.now() - clicked);
    else requestAnimationFrame(() => readable(frame));
  };
  new MutationObserver((all) => {
    for (const { addedNodes } of all)
      for (const node of addedNodes) {
        const frame = (node as HTMLElement).shadowRoot?.querySelector('dialog iframe');
        frame?.addEventListener('load', () =>
          requestAnimationFrame(() =>
            requestAnimationFrame(() => readable(frame as HTMLIFrameElement)),
          ),
        );
      }
  }).observe(document, { childList: true, subtree: true });
}

/** The milliseconds of n tries, each by a new visitor, sorted. */
export async function measure(browser: Browser, heed: Heed, n: number): Promise<number[]> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 } });
  await context.addInitScript(observe);
  const page = await context.newPage();
  await page.goto(`${heed.url}/shop/spin?luck=win`);
  await spinButton(page).waitFor();
  for (let i = 0; i < n; i++) {
    // somebody new, whose stream of messages is open
    const before = await anonymousId(page);
    await Promise.all([
      page.waitForResponse(
        (r) => r.url().includes('/v1/messages/stream') && !r.url().includes(before),
      ),
      page.evaluate(() => (window as unknown as { heed: { reset(): void } }).heed.reset()),
    ]);
    const visitor = await anonymousId(page);
    for (let win = 0; win < 2; win++) {
      const event = { writeKey: 'shop-key', anonymousId: visitor, event: 'win' };
      const { messages } = await heed.track(event, '?wait=2s');
      if (messages?.length) throw new Error(`a message after ${win + 1} wins`);
    }
    await spinButton(page).click();
    await page.waitForFunction((have) => window.popupTimes.length > have, i);
    await page.keyboard.press('Escape');
    await popup(page).waitFor({ state: 'detached' });
  }
  const times = await page.evaluate(() => window.popupTimes);
  await context.close();
  if (times.length !== n) throw new Error(`${times.length} pop-ups in ${n} tries`);
  return times.sort((a, b) => a - b);
}

/** The time that a share of the tries did not exceed. */
export const quantile = (sorted: number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
