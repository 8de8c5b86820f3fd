import type { LiveEvent } from '../feed/store';
import { CsvButton } from './CsvButton';

/** Saves the events that are listed. */
export function EventsCsv({ events }: { events: readonly LiveEvent[] }) {
  return (
    <CsvButton
      name="events"
      head={['received', 'timestamp', 'type', 'event', 'user', 'source', 'url', 'properties']}
      disabled={events.length === 0}
      rows={() =>
        events.map((e) => [
          e.receivedAt,
          e.timestamp,
          e.type,
          e.event,
          e.user,
          e.source,
          e.url,
          JSON.stringify(e.properties ?? e.traits ?? {}),
        ])
      }
    />
  );
}
