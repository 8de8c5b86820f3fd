/** What to paste so that an event arrives. */
export interface Tags {
  /** The tracker, once a page. */
  loader: string;
  /** An element that sends the event when clicked. */
  button: string;
  /** Sends it when the page opens; works before the tracker is there. */
  page: string;
  /** The call by itself. */
  call: string;
  curl: string;
}

const attribute = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
/** Text within a script element: JSON that cannot end the element. */
const script = (text: string): string => JSON.stringify(text).replaceAll('<', '\\u003c');
const shell = (text: string): string =>
  /^[\w\-./:[\]]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** The tags for an event of a source, sent to the Heed at origin. */
export function tags(origin: string, writeKey: string, event: string): Tags {
  const call = `(window.heed = window.heed || []).push(["track", ${script(event)}]);`;
  const body = JSON.stringify({ userId: 'user-42', event });
  return {
    loader: `<script async src="${attribute(origin)}/heed.js" data-write-key="${attribute(writeKey)}"></script>`,
    button: `<button data-heed-event="${attribute(event)}">…</button>`,
    page: `<script>${call}</script>`,
    call,
    curl: `curl ${shell(origin)}/v1/track -u ${shell(writeKey)}: -H 'Content-Type: application/json' \\\n  -d ${shell(body)}`,
  };
}
