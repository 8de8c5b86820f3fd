import css from './ui.module.css';

/** The same page without what could not run here anyway, and would only fill the console with refusals. */
function quiet(html: string): string {
  const page = new DOMParser().parseFromString(html, 'text/html');
  for (const dead of page.querySelectorAll('script, link, meta, base, iframe, object, embed')) {
    dead.remove();
  }
  for (const element of page.querySelectorAll('*')) {
    for (const { name } of [...element.attributes]) {
      if (name.startsWith('on')) element.removeAttribute(name);
    }
  }
  return page.head.innerHTML + page.body.innerHTML;
}

/** Somebody's HTML, where it can do nothing: no scripts, no forms, no network, no access to this page. */
export function Sandbox({
  html,
  title,
  height = 260,
}: {
  html: string;
  title: string;
  height?: number;
}) {
  const policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:";
  const body = `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}"><style>body{font:15px/1.5 system-ui,sans-serif;margin:20px;color:#182130;overflow-wrap:anywhere}</style>${quiet(html)}`;
  return (
    <iframe
      className={css.frame}
      style={{ height }}
      sandbox=""
      srcDoc={body}
      title={title}
      tabIndex={-1}
    />
  );
}
