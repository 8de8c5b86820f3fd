// What the shop uses of the tracker; before the script has come, a stub
// remembers the calls.

type Json = Record<string, unknown>;

export type PushState = 'subscribed' | 'unsubscribed' | 'denied' | 'unsupported';

interface Heed {
  push: {
    subscribe(): Promise<PushState>;
    unsubscribe(): Promise<PushState>;
  };
  track(event: string, properties?: Json): void;
  identify(userId: string, traits?: Json): void;
  reset(): void;
  onMessage(cb: (m: { kind: string; slot?: string; html: string }) => void): void;
  context?: Json;
}

declare global {
  interface Window {
    heed: Heed;
  }
  interface Navigator {
    globalPrivacyControl?: boolean;
  }
}

/** The tracker as it is now: the stub is replaced once the script has come. */
export const heed = (): Heed => window.heed;
