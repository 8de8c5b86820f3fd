import type { Schema } from '../api/client';
import { CsvButton } from './CsvButton';

/** Saves the deliveries that are listed. */
export function DeliveriesCsv({ deliveries }: { deliveries: readonly Schema['Delivery'][] }) {
  return (
    <CsvButton
      name="deliveries"
      head={['at', 'user', 'campaign', 'channel', 'template', 'status', 'reason', 'test']}
      disabled={deliveries.length === 0}
      rows={() =>
        deliveries.map((d) => [
          d.at,
          d.user,
          d.campaign,
          d.channel,
          d.template,
          d.status,
          d.reason,
          d.test,
        ])
      }
    />
  );
}
