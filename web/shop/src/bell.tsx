import { useState } from 'preact/hooks';
import { load } from './cart';
import { heed, type PushState } from './heed';

// The bell: notifications of this shop in this browser, also while no page is
// open.

const WORDS: Record<PushState, string> = {
  subscribed: 'You will be notified.',
  unsubscribed: 'No notifications.',
  denied: 'Your browser keeps notifications of this shop off. Allow them in its settings.',
  unsupported: 'This browser has no notifications.',
};

export function Bell() {
  // what the tracker keeps while the browser is subscribed
  const [on, setOn] = useState(() => load<object | null>('heed_push', null) !== null);
  const [said, say] = useState('');
  const [busy, setBusy] = useState(false);
  if (!('PushManager' in window)) return null;
  const toggle = async () => {
    setBusy(true);
    try {
      const state = await (on ? heed().push.unsubscribe() : heed().push.subscribe());
      setOn(state === 'subscribed');
      say(WORDS[state]);
    } catch (e) {
      say(e instanceof Error ? e.message.replace('heed: ', '') : 'It did not work. Try again.');
    }
    setBusy(false);
  };
  return (
    <>
      <button
        type="button"
        class="bell"
        aria-label="Notifications"
        aria-pressed={on}
        disabled={busy}
        onClick={toggle}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M12 3a6 6 0 0 0-6 6v4l-2 3v1h16v-1l-2-3V9a6 6 0 0 0-6-6zm-2 16a2 2 0 0 0 4 0z" />
        </svg>
      </button>
      <p role="status" class="bell-word">
        {said}
      </p>
    </>
  );
}
