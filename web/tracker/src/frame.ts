import { uid } from './store';

// Author content lives only in here: a frame without an origin, whose policy
// lets no script run but the bridge and nothing be loaded but images.

export interface FrameEvents {
  /** The content is there. */
  load?(): void;
  click(href: string): void;
  close(): void;
}

// Tells the page the height, clicks and Escape. A link within the site is left
// to the page; any other opens in a new tab.
const BRIDGE = `addEventListener('DOMContentLoaded',()=>{let d=document,b=d.body,p=(type,x)=>parent.postMessage({heed:1,type,...x},'*');new ResizeObserver(()=>p('size',{h:Math.ceil(b.getBoundingClientRect().height)})).observe(b);onclick=e=>{let t=e.target.closest('[data-heed-close],a[href],button');if(!t)return;let c='heedClose'in t.dataset,i=t.origin==new URL(d.baseURI).origin;if(c||i)e.preventDefault();else t.target='_blank',t.rel='noopener';c?p('close'):p('click',{href:i?t.href:''})};onkeydown=e=>e.key=='Escape'&&p('close')})`;

/** The frame's whole document. */
export function documentOf(html: string, nonce: string): string {
  return (
    `<!doctype html><meta http-equiv=Content-Security-Policy content="default-src 'none';style-src 'unsafe-inline';img-src https: data:;base-uri 'none';script-src 'nonce-${nonce}'"><script nonce="${nonce}">${BRIDGE}</script>` +
    '<meta name=color-scheme content="light dark"><style>body{margin:0;display:flow-root;font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}img{max-width:100%}</style>' +
    `<body>${html}`
  );
}

/** Fills in a frame; the events come only from this very frame, in the one known form. */
export function frame(html: string, on: FrameEvents, nonce?: string): HTMLIFrameElement {
  const f = document.createElement('iframe');
  f.sandbox.value = 'allow-scripts allow-popups allow-popups-to-escape-sandbox';
  f.title = 'Message';
  f.style.cssText = 'border:0;display:block;width:100%;height:9rem';
  f.srcdoc = documentOf(html, nonce || uid());
  const hear = ({ source, data }: MessageEvent) => {
    if (!f.isConnected) return removeEventListener('message', hear);
    if (source !== f.contentWindow || data?.heed !== 1) return;
    if (data.type === 'size' && data.h < 1e4)
      f.style.height = `${data.h}px`; // CSS refuses the rest
    else if (data.type === 'click') on.click(`${data.href}`);
    else if (data.type === 'close') on.close();
  };
  f.onload = () => {
    f.onload = on.close; // it went somewhere else
    on.load?.();
  };
  addEventListener('message', hear);
  return f;
}
