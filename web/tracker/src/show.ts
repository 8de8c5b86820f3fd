import { type FrameEvents, frame } from './frame';
import type { Message } from './types';

// How a pop-up and a banner look: our own elements in a shadow root, so that
// neither the page's styles nor its scripts meet the author's content.

const CSS = `dialog,section{background:Canvas;color:CanvasText;color-scheme:light dark;border:0;padding:0;overflow:auto;font:14px/2.2 system-ui;text-align:center;box-shadow:0 8px 48px #0009}
dialog{width:min(28rem,calc(100vw - 32px));max-height:calc(100dvh - 32px);border-radius:16px}
dialog::backdrop{background:#0009}
section{position:fixed;z-index:9999999999;left:0;right:0;bottom:0;max-height:40dvh}
.top{bottom:auto;top:0}
button{position:absolute;top:8px;right:8px;width:36px;height:36px;border:0;border-radius:50%;background:#0009;color:#fff;font-size:22px}
@media(prefers-reduced-motion:no-preference){dialog,section{animation:i .2s}@keyframes i{from{transform:translateY(12px)}}}`;

/** What is on the screen. */
export interface Shown {
  host: HTMLElement;
  /** Writes a line under the content. */
  note(text: string): void;
  remove(): void;
}

/** Puts a pop-up or banner on the page; a pop-up takes the focus and gives it back. */
export function show(m: Message, on: FrameEvents, nonce?: string): Shown {
  const host = document.createElement('div');
  const root = host.attachShadow({ mode: 'open' });
  // allowed even where the page's policy forbids <style>
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(CSS);
  root.adoptedStyleSheets = [sheet];
  const popup = m.kind === 'popup';
  const box = document.createElement(popup ? 'dialog' : 'section');
  box.ariaLabel = 'Message';
  if (m.slot === 'top') box.className = 'top';
  const x = document.createElement('button');
  x.textContent = '\u00d7';
  x.ariaLabel = 'Close';
  x.onclick = box.oncancel = on.close;
  box.append(x, frame(m.html, on, nonce));
  root.append(box);
  document.body.append(host);
  // the dialog makes the rest inert, keeps the focus and gives it back
  if (popup) (box as HTMLDialogElement).showModal();
  return {
    host,
    note: (text) => box.append(text),
    remove() {
      if (popup) (box as HTMLDialogElement).close();
      host.remove();
    },
  };
}
