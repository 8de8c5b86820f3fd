import { launch } from './chromium';
import { measure, quantile } from './latency';
import { start } from './server';

/** Prints {"p50", "p99", "n"}: from a click in a page to its pop-up on the screen, in ms. */
export default async function bench(args: string[]): Promise<void> {
  const n = Number(args[0] ?? 300);
  const heed = await start({ demo: true });
  const browser = await launch();
  try {
    await measure(browser, heed, 10); // warm up
    const times = await measure(browser, heed, n);
    const round = (ms: number) => Math.round(ms * 10) / 10;
    console.log(
      JSON.stringify({ p50: round(quantile(times, 0.5)), p99: round(quantile(times, 0.99)), n }),
    );
  } finally {
    await browser.close();
    await heed.remove();
  }
}
