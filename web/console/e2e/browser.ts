import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect } from 'vitest';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export { launch } from '../../e2e/chromium';

export interface Look {
  scheme?: 'light' | 'dark';
  width?: number;
}

/** A page that remembers everything that must not happen. */
export interface Watched {
  page: Page;
  context: BrowserContext;
  /** Errors on the console, exceptions, and requests to other origins. */
  trouble: string[];
}

export async function open(browser: Browser, url: string, look: Look = {}): Promise<Watched> {
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1280, height: 860 },
    colorScheme: look.scheme ?? 'light',
    reducedMotion: 'reduce',
  });
  return { context, ...(await tab(context, url)) };
}

/** Another tab of a context. */
export async function tab(context: BrowserContext, url: string) {
  const page = await context.newPage();
  const trouble: string[] = [];
  const { origin } = new URL(url);
  page.on('console', (m) => m.type() === 'error' && trouble.push(`console: ${m.text()}`));
  page.on('pageerror', (e) => trouble.push(`exception: ${e.message}`));
  page.on('request', (r) => {
    const to = new URL(r.url());
    if (/^https?:$/.test(to.protocol) && to.origin !== origin)
      trouble.push(`off-origin: ${r.url()}`);
  });
  await page.goto(url);
  return { page, trouble };
}

/** The violations of WCAG 2.2 AA that axe finds in what is shown now. */
export async function violations(page: Page): Promise<string[]> {
  // By the page's debugger, since its policy refuses inline scripts.
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(axe);
  return page.evaluate(async () => {
    interface Result {
      violations: { id: string; nodes: { html: string; failureSummary: string }[] }[];
    }
    const { axe } = window as unknown as {
      axe: { run(root: Document, options: object): Promise<Result> };
    };
    const result = await axe.run(document, {
      runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'],
      resultTypes: ['violations'], // only these in full
      // What a sandboxed frame holds is the author's content, not the console's.
      iframes: false,
    });
    return result.violations.flatMap((v) =>
      v.nodes.map(
        (n) =>
          `${v.id}: ${n.html.slice(0, 160)} ${n.failureSummary.replace(/\s+/g, ' ').slice(0, 240)}`,
      ),
    );
  });
}

/**
 * axe finds nothing in what is shown, once it stands still: colours that change
 * and what fades in have too little contrast on their way.
 */
export async function accessible(page: Page): Promise<void> {
  // What a change of scheme or width sets moving has begun two frames later.
  await page.evaluate(
    () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))),
  );
  await page.waitForFunction(() =>
    document
      .getAnimations()
      .every(
        (a) =>
          a.playState !== 'running' ||
          a.effect?.getTiming().iterations === Number.POSITIVE_INFINITY,
      ),
  );
  // One text, since a report shortens lists.
  expect((await violations(page)).join('\n'), page.url()).toBe('');
}

/** axe finds nothing in light and dark. */
export async function accessibleInBoth(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await accessible(page);
  }
}

/** Nothing is wider than the window. A list that is closing stands for a moment where the window had room for it. */
export async function fits(page: Page): Promise<void> {
  const wider = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  const message = `${page.url()} is wider than ${page.viewportSize()?.width} px`;
  await expect.poll(wider, { message }).toBeLessThanOrEqual(0);
}
