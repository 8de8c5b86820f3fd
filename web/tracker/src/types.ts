/** A JSON object. */
export type Json = Record<string, unknown>;

/** Content for this user, as the message stream sends it. */
export interface Message {
  id: string;
  campaign: string;
  kind: 'popup' | 'banner' | 'slot' | 'inline';
  slot?: string;
  html: string;
  /** Epoch milliseconds or RFC 3339. */
  expires?: number | string;
  /** messageId of the event that completed the trigger. */
  cause?: string;
}

/** What `heed:shown`, `heed:clicked` and `heed:dismissed` carry. */
export interface MessageDetail {
  id: string;
  campaign: string;
  kind: string;
  /** From the causing event's DOM handler to visible; absent if that was on another page. */
  sinceMs?: number;
  /** The link, on `heed:clicked`. */
  href?: string;
}

/** Who the events and messages are for. */
export interface Identity {
  anonymousId: string;
  userId?: string;
  signature?: string;
}

/** The script tag's data-* attributes, and where it came from. */
export interface Settings {
  writeKey: string;
  /** Where the collector is: scheme, host and path prefix, no slash at the end. */
  host: string;
  nonce?: string;
  /** Domain of the cookie, to share it among sub-domains. */
  cookieDomain?: string;
  /** "off" leaves out what the tracker does by itself. */
  pages?: string;
  clicks?: string;
  messages?: string;
  /** If there, "N ms after your click" is written under pop-ups (demonstrations). */
  timing?: string;
  /** If there, events are written to the console. */
  debug?: string;
}
