import { type Browser, chromium } from 'playwright-core';

/** Debian's Chromium, without anything that it would do by itself. */
export function launch(): Promise<Browser> {
  return chromium.launch({
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
}

/**
 * Begins input whose effect takes away the frame that it went to. Chromium does not
 * always acknowledge such input, so wait for the effect instead.
 */
export function farewell(input: Promise<void>): void {
  input.catch(() => {}); // the page may be closed by then
}
