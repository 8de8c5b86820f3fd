import { useEffect, useRef, useSyncExternalStore } from 'react';
import type { FeedMessage, FeedState } from './feed';
import type { Live } from './store';
import { feedState, store, theFeed } from './theFeed';

/** Whether the feed is up. */
export function useFeedState(): FeedState {
  return useSyncExternalStore(feedState.subscribe, feedState.read);
}

/** What happens now. */
export function useLive(): Live {
  return useSyncExternalStore(store.subscribe, store.read);
}

/** Calls back with every message of the feed while mounted. */
export function useFeedMessages(on: (message: FeedMessage) => void): void {
  const latest = useRef(on);
  useEffect(() => {
    latest.current = on;
  });
  useEffect(() => theFeed().listen((message) => latest.current(message)), []);
}
