import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Chat, type Talk } from './api';
import { heed } from './heed';
import { link } from './route';

// Live support: the shopper's side, and the desk that answers.

function Lines({ talk, me }: { talk: Talk[]; me: Talk['from'] }) {
  const end = useRef<HTMLLIElement>(null);
  useEffect(() => {
    end.current?.scrollIntoView({ block: 'nearest' });
  }, [talk.length]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
    <ul class="talk" aria-live="polite" aria-label="Conversation" tabIndex={0}>
      {talk.map((m) => (
        <li key={m.id} class={m.from === me ? 'mine' : 'theirs'}>
          <span class="hidden">
            {m.from === me ? 'You' : m.from === 'desk' ? 'Support' : 'Shopper'}:{' '}
          </span>
          {m.text}
        </li>
      ))}
      <li ref={end} class="end" />
    </ul>
  );
}

function Write({ label, send }: { label: string; send(text: string): Promise<unknown> }) {
  const [text, set] = useState('');
  const [error, setError] = useState('');
  return (
    <form
      class="write"
      onSubmit={(e) => {
        e.preventDefault();
        if (!text.trim()) return;
        send(text).then(
          () => {
            set('');
            setError('');
          },
          (x) => setError(x.message),
        );
      }}
    >
      <label>
        <span class="hidden">{label}</span>
        <input
          maxLength={1000}
          placeholder={label}
          value={text}
          onInput={(e) => set(e.currentTarget.value)}
        />
      </label>
      <button type="submit" class="button">
        Send
      </button>
      {error && (
        <p role="alert" class="error">
          {error}
        </p>
      )}
    </form>
  );
}

const merge = (old: Talk[], more: Talk[]): Talk[] =>
  [...new Map([...old, ...more].map((m) => [m.id, m])).values()].sort((a, b) =>
    a.id < b.id ? -1 : 1,
  );

export function Support() {
  const [talk, set] = useState<Talk[]>([]);
  const [down, setDown] = useState(false);
  useEffect(() => {
    const s = new EventSource('/shop/api/support/stream');
    s.addEventListener('message', (e) => set((t) => merge(t, [JSON.parse(e.data)])));
    s.onopen = () => setDown(false);
    s.onerror = () => setDown(true);
    return () => s.close();
  }, []);
  return (
    <section class="chat">
      <h1>Live support</h1>
      <p class="muted">
        Somebody at the <a href={link('/support-desk')}>support desk</a> answers. In this demo that
        may be you, in another window.
      </p>
      {down && <p role="status">Reconnecting…</p>}
      <Lines talk={talk} me="shopper" />
      <Write
        label="Your question"
        send={async (text) => {
          const m = await api.say(text);
          set((t) => merge(t, [m]));
          heed().track('support_message', { length: text.length });
        }}
      />
    </section>
  );
}

export function Desk() {
  const [chats, setChats] = useState<Chat[]>();
  const [open, setOpen] = useState<string>();
  const [talk, setTalk] = useState<Talk[]>([]);
  useEffect(() => {
    const s = new EventSource('/shop/api/support/desk/stream');
    s.addEventListener('chats', (e) => setChats(JSON.parse(e.data)));
    return () => s.close();
  }, []);
  const newest = chats?.find((c) => c.shopper === open)?.at;
  useEffect(() => {
    let current = true;
    if (open)
      api.deskChat(open).then(
        (t) => current && setTalk(t),
        () => {},
      );
    return () => {
      current = false;
    };
  }, [open, newest]);
  return (
    <section class="desk">
      <h1>Support desk</h1>
      <p class="muted">The other side of the chat.</p>
      {chats?.length === 0 && <p>Nobody has asked anything yet.</p>}
      <div class="columns">
        <ul class="list" aria-label="Chats">
          {chats?.map((c) => (
            <li key={c.shopper}>
              <button
                type="button"
                aria-pressed={c.shopper === open}
                onClick={() => setOpen(c.shopper)}
              >
                <strong>Shopper {c.shopper.slice(0, 4)}</strong> {c.waiting && <em>waiting</em>}
                <span class="muted">{c.last}</span>
              </button>
            </li>
          ))}
        </ul>
        {open && (
          <div class="chat">
            <Lines talk={talk} me="desk" />
            <Write label="Your answer" send={(text) => api.deskSay(open, text)} />
          </div>
        )}
      </div>
    </section>
  );
}
