import { Feed, type FeedState, leadByLock } from './feed';
import { LiveStore } from './store';

export const store = new LiveStore();
let feed: Feed | undefined;

/** The page's feed, opened when something first asks for it. */
export function theFeed(): Feed {
  if (!feed) {
    feed = new Feed({
      open: () => new EventSource('/api/v1/live'),
      types: ['stats', 'events', 'deliveries', 'triggers'],
      // The figures come each second.
      silence: 2500,
      recap: () => store.recap(),
      channel: 'BroadcastChannel' in window ? new BroadcastChannel('heed-live') : undefined,
      lead: leadByLock('heed-live'),
    });
    feed.listen((message) => store.apply(message));
  }
  return feed;
}

/** Closes the feed and forgets what it said, at log-out. */
export function closeFeed(): void {
  feed?.close();
  feed = undefined;
  store.clear();
}

export const feedState = {
  subscribe: (changed: () => void) => theFeed().watch(changed),
  read: (): FeedState => theFeed().state,
};
