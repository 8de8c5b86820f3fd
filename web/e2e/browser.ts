import type { Browser, BrowserContext, Page } from 'playwright-core';
import { expect } from 'vitest';
import { accessible, fits } from '../console/e2e/browser';
import { ADMIN_TOKEN, type Heed } from './server';

export { farewell, launch } from './chromium';
export { accessible };

/** A browser profile that remembers everything that must not happen on its pages. */
export class Profile {
  readonly trouble: string[] = [];
  /** The server is down on purpose: what the browser says of failed requests is no trouble. */
  away = false;

  constructor(
    readonly heed: Heed,
    readonly context: BrowserContext,
  ) {}

  async open(path: string): Promise<Page> {
    const page = await this.context.newPage();
    page.on('pageerror', (e) => this.trouble.push(`${path}: exception: ${e.message}`));
    page.on('console', (m) => {
      if (m.type() === 'error' && !(this.away && /Failed to load|ERR_/.test(m.text())))
        this.trouble.push(`${path}: console: ${m.text()}`);
    });
    page.on('request', (r) => {
      const to = new URL(r.url());
      if (/^https?:$/.test(to.protocol) && to.origin !== this.heed.url)
        this.trouble.push(`${path}: off-origin: ${r.url()}`);
    });
    await page.goto(this.heed.url + path);
    return page;
  }

  /** Closes the pages; nothing bad may have happened. */
  async close(): Promise<void> {
    await this.context.close();
    expect(this.trouble).toEqual([]);
  }
}

export async function profile(
  browser: Browser,
  heed: Heed,
  look: {
    scheme?: 'light' | 'dark';
    width?: number;
    height?: number;
    calm?: boolean;
    /** As somebody's own browser: behavior leaves out what says that it is automated. */
    person?: boolean;
  } = {},
): Promise<Profile> {
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1280, height: look.height ?? 860 },
    colorScheme: look.scheme ?? 'light',
    reducedMotion: look.calm ? 'reduce' : 'no-preference',
    ...(look.person && {
      userAgent: `Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${browser.version()} Safari/537.36`,
    }),
  });
  return new Profile(heed, context);
}

/** axe finds nothing in light and dark, and nothing is wider than the window. */
export async function presentable(page: Page): Promise<void> {
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    for (const width of [390, 768, 1280]) {
      await page.setViewportSize({ width, height: 860 });
      await fits(page);
      if (width !== 768) await accessible(page);
    }
  }
}

export const EMAIL = 'ada@example.com';
export const PASSWORD = 'correct horse battery';

/** Sets the server up with its one-time token; the browser is signed in then. */
export async function setUp(admin: Profile): Promise<Page> {
  const page = await admin.open('/');
  await page.getByRole('heading', { name: 'Set up Heed' }).waitFor();
  await page.getByLabel('One-time token').fill(admin.heed.setupToken());
  await page.getByLabel('E-mail').fill(EMAIL);
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByLabel('Password again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Create the administrator' }).click();
  await page.getByRole('heading', { name: 'Home' }).waitFor();
  return page;
}

/** Makes a member of a role, and signs the browser in as them. */
export async function signIn(who: Profile, role: 'analyst' | 'marketer'): Promise<void> {
  const { heed, context } = who;
  const member = { email: EMAIL, password: PASSWORD };
  const made = await fetch(`${heed.url}/api/v1/members`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...member, role }),
  });
  expect(made.status).toBeLessThan(300);
  const answer = await context.request.post(`${heed.url}/api/v1/login`, {
    headers: { origin: heed.url },
    data: member,
  });
  expect(answer.ok()).toBe(true);
}
