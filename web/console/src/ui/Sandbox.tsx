import css from './ui.module.css';

/**
 * The same page without what could not run here anyway, and would only fill the console with
 * refusals. What it does on a light or dark screen follows the scheme, not the screen there is.
 */
function quiet(html: string, scheme: 'light' | 'dark'): string {
  const page = new DOMParser().parseFromString(html, 'text/html');
  for (const dead of page.querySelectorAll('script, link, meta, base, iframe, object, embed')) {
    dead.remove();
  }
  for (const element of page.querySelectorAll('*')) {
    for (const { name } of [...element.attributes]) {
      if (name.startsWith('on')) element.removeAttribute(name);
    }
  }
  for (const style of page.querySelectorAll('style')) {
    style.textContent = style.textContent.replace(
      /\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)/gi,
      (_, wanted: string) =>
        wanted.toLowerCase() === scheme ? '(min-width: 0)' : '(max-width: 0)',
    );
  }
  return page.head.innerHTML + page.body.innerHTML;
}

/** Somebody's HTML, where it can do nothing: no scripts, no forms, no network, no access to this page. */
export function Sandbox({
  html,
  title,
  height = 260,
  scheme = 'light',
  bare = false,
  lazy = false,
}: {
  html: string;
  title: string;
  height?: number;
  /** Of the screen it is shown on. */
  scheme?: 'light' | 'dark';
  /** Up to the edge, as on a page. */
  bare?: boolean;
  /** Drawn when it comes near: there are many of them. */
  lazy?: boolean;
}) {
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:";
  const body = `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}"><meta name="color-scheme" content="${scheme}"><style>body{font:${bare ? 16 : 15}px/1.5 system-ui,sans-serif;margin:${bare ? 0 : 20}px;overflow-wrap:anywhere}</style>${quiet(html, scheme)}`;
  return (
    <iframe
      className={css.frame}
      style={{ height, colorScheme: scheme }}
      sandbox=""
      loading={lazy ? 'lazy' : 'eager'}
      srcDoc={body}
      title={title}
      tabIndex={-1}
    />
  );
}
