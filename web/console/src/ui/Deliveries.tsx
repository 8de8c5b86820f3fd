import { Link } from '@tanstack/react-router';
import type { LiveDelivery } from '../feed/store';
import { reasonWords } from '../format/words';
import css from './rows.module.css';
import { Status } from './Status';
import { At } from './time';

/** What a delivery was about, besides its status: the reason, or how it went out. */
export function why(delivery: LiveDelivery): string {
  if (delivery.reason) return reasonWords(delivery.reason);
  return [
    delivery.template,
    delivery.locale && `in ${delivery.locale}`,
    delivery.channel && `by ${delivery.channel}`,
  ]
    .filter(Boolean)
    .join(' ');
}

/** Deliveries, newest first, each with its reason. */
export function Deliveries(props: {
  deliveries: readonly LiveDelivery[];
  withUser?: boolean;
  withCampaign?: boolean;
}) {
  const { withUser = true, withCampaign = true } = props;
  return (
    <ul className={css.rows} data-testid="deliveries">
      {props.deliveries.map((delivery) => (
        <li key={delivery.id} className={css.row}>
          <div className={css.delivery}>
            <span>
              <Status status={delivery.status} />
            </span>
            <span className={css.deliveryText}>
              {withCampaign && (
                <Link
                  to="/campaigns/$name"
                  params={{ name: delivery.campaign }}
                  className={css.deliveryLink}
                >
                  {delivery.campaign}
                </Link>
              )}
              {withUser && (
                <>
                  {withCampaign && ' to '}
                  <Link to="/users/$id" params={{ id: delivery.user }} className={css.deliveryLink}>
                    {delivery.user}
                  </Link>
                </>
              )}
              {delivery.test && (
                <>
                  {' '}
                  <span className={css.tag}>test</span>
                </>
              )}
              <span className={css.deliveryWhy} style={{ display: 'block' }}>
                {why(delivery)}
              </span>
            </span>
            <span className={css.when}>
              <At at={delivery.at} />
            </span>
          </div>
        </li>
      ))}
    </ul>
  );
}
