import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { launch } from './chromium';
import { start } from './server';
import { inPopup, spinButton } from './shop';

/** Takes the pictures of the README again. */
export default async function pictures(): Promise<void> {
  const dir = resolve(import.meta.dirname, '../../docs/images');
  mkdirSync(dir, { recursive: true });
  const heed = await start({ demo: true, admin: false });
  const browser = await launch();
  try {
    const context = await browser.newContext({
      viewport: { width: 1280, height: 800 },
      colorScheme: 'light',
      reducedMotion: 'reduce',
    });
    const console = await context.newPage();
    await console.goto(`${heed.url}/`);
    await console.getByLabel('One-time token').fill(heed.setupToken());
    await console.getByLabel('E-mail').fill('ada@example.com');
    await console.getByLabel('Password', { exact: true }).fill('correct horse battery');
    await console.getByLabel('Password again').fill('correct horse battery');
    await console.getByRole('button', { name: 'Create the administrator' }).click();
    await console.getByTestId('tour').waitFor();

    // some time of the crowd's, and a visitor who wins
    await console.waitForTimeout(Number(process.env.PICTURES_AFTER ?? 100) * 1000);
    const shop = await context.newPage();
    await shop.goto(`${heed.url}/shop/spin?luck=win`);
    for (let i = 0; i < 3; i++) {
      await spinButton(shop).click();
      await shop.waitForTimeout(700);
    }
    await inPopup(shop, /three in a row/).waitFor();
    await shop.getByText(/ms after your click/).waitFor();
    await shop.waitForTimeout(300);
    await shop.screenshot({ path: resolve(dir, 'popup.png') });
    await shop.keyboard.press('Escape');

    await console.bringToFront();
    await console.screenshot({ path: resolve(dir, 'home.png') });
    // tall enough for what became of the events
    await console.setViewportSize({ width: 1280, height: 1440 });
    await console.goto(`${heed.url}/live`);
    await console.getByTestId('deliveries').waitFor();
    await console.waitForTimeout(3000);
    await console.screenshot({ path: resolve(dir, 'live.png') });
    await console.setViewportSize({ width: 1280, height: 800 });
    await console.goto(`${heed.url}/triggers/three-wins`);
    await console.locator('[data-exact=true]').waitFor();
    await console.waitForTimeout(500);
    await console.screenshot({ path: resolve(dir, 'trigger.png') });
  } finally {
    await browser.close();
    await heed.remove();
  }
}
