import type { Schema } from '../api/client';

/** The words for what Heed did and why: no raw key reaches the page. */

const reasons: Record<string, string> = {
  cap_all: 'Already got as many messages as the cap over all campaigns allows',
  cap_channel: 'Already got as many messages by this channel as its cap allows',
  global_holdout: 'Held back from all marketing',
  cap: 'Already got this campaign as often as its cap allows',
  audience: 'Not in the campaign’s audience',
  holdout: 'Held back to measure lift',
  no_consent: 'Has not agreed to marketing by this channel',
  declined: 'Wants no marketing by this channel',
  pending: 'Has not confirmed the address yet',
  suppressed: 'On the suppression list',
  quiet_hours: 'Quiet hours',
  converted: 'Reached the goal before it could be sent',
  expired: 'Not seen before it expired',
  paused: 'The campaign is paused',
  ended: 'The campaign has ended',
  render: 'The template failed to render',
  template: 'The template failed to render',
  no_template: 'The template no longer exists',
  no_address: 'No address for this channel',
  unverified: 'The address is only claimed',
  unreachable: 'No way to reach this user on this channel',
  stale: 'Too late: the moment had passed',
  limit: 'The trigger’s own limit was reached',
  depth: 'Too many steps away from what the user did',
  channel: 'The channel refused it',
  unknown_channel: 'The channel does not exist',
  test: 'A test: never counted',
  duplicate: 'Already sent',
  late: 'Arrived too late to count',
  cooldown: 'Resting after the last firing',
  once: 'Once per user: already had it',
  max_age: 'Arrived too late to count',
  max_stale: 'The timer was overdue for too long',
  unknown: 'Unknown whether it arrived, and not repeated',
  stopped: 'All sending is stopped',
  delay: 'Waits a while before it sends',
  retry: 'An attempt failed; there will be another one',
  under_way: 'Under way',
};

/** What a delivery waits for, in words. */
export function waitWords(reason: string): string {
  return reason === 'channel' ? 'The channel takes nothing just now' : reasonWords(reason);
}

/** A reason in words. Unknown ones are made readable, never hidden. */
export function reasonWords(reason: string | undefined): string {
  if (!reason) return '';
  const [head = '', ...rest] = reason.split(/:\s*/);
  const known = reasons[head.trim().replaceAll('-', '_').replaceAll(' ', '_')];
  if (known) return rest.length > 0 ? `${known}: ${rest.join(': ')}` : known;
  return sentence(reason.replaceAll('_', ' '));
}

/** First letter upper case. */
export function sentence(text: string): string {
  return text === '' ? '' : text[0]?.toUpperCase() + text.slice(1);
}

const statuses: Record<string, { label: string; color: string }> = {
  sent: { label: 'Sent', color: 'teal' },
  shown: { label: 'Shown', color: 'teal' },
  clicked: { label: 'Clicked', color: 'brand' },
  dismissed: { label: 'Dismissed', color: 'gray' },
  delivered: { label: 'Delivered', color: 'teal' },
  opened: { label: 'Opened', color: 'brand' },
  bounced: { label: 'Bounced', color: 'red' },
  complained: { label: 'Called spam', color: 'red' },
  unsubscribed: { label: 'Unsubscribed', color: 'orange' },
  resubscribed: { label: 'Subscribed again', color: 'teal' },
  confirmed: { label: 'Confirmed', color: 'teal' },
  converted: { label: 'Converted', color: 'brand' },
  failed: { label: 'Failed', color: 'red' },
  held: { label: 'Held back', color: 'gray' },
  refused: { label: 'Not sent', color: 'orange' },
  waiting: { label: 'Waiting', color: 'gray' },
  live: { label: 'Live', color: 'teal' },
  sent_once: { label: 'Sent once', color: 'gray' },
  paused: { label: 'Paused', color: 'orange' },
  draft: { label: 'Draft', color: 'gray' },
  ended: { label: 'Ended', color: 'gray' },
};

/** The label and colour of a status. */
export function statusWords(status: string): { label: string; color: string } {
  return statuses[status] ?? { label: sentence(status.replaceAll('_', ' ')), color: 'gray' };
}

const outcomes: Record<Schema['TriggerOutcome'], string> = {
  fired: 'Fired',
  limit: 'Not fired: the trigger’s limit was reached',
  audience: 'Not fired: not in the audience at that moment',
  stale: 'Not fired: the wait was found overdue, after an outage',
  cancelled: 'Not fired: cancelled before the answer was due',
  too_old: 'Not fired: the event arrived too late after it happened',
  historical: 'Not fired: the event is imported, which never fires live',
  too_deep: 'Not fired: the event was derived from other firings too deeply',
  expired: 'Not fired: the time was up before the last step',
};

/** What became of a chance to fire. */
export function outcomeWords(outcome: Schema['TriggerOutcome']): string {
  return outcomes[outcome] ?? sentence(String(outcome).replaceAll('_', ' '));
}

const events: Record<string, string> = {
  'heed.delivery': 'Delivery',
  'heed.shown': 'Message shown',
  'heed.clicked': 'Message clicked',
  'heed.dismissed': 'Message dismissed',
  'heed.delivered': 'Message delivered',
  'heed.opened': 'Message opened',
  'heed.bounced': 'Message bounced',
  'heed.complained': 'Message called spam',
  'heed.unsubscribed': 'Unsubscribed',
  'heed.resubscribed': 'Subscribed again',
  'heed.confirmed': 'Confirmed to want messages',
};

/** The name of an event as people read it: Heed's own in words, others as sent. */
export function eventLabel(name: string): string {
  return events[name] ?? name;
}

const channelTypes: Record<string, { address: string; example: string; label: string }> = {
  email: { label: 'E-mail', address: 'e-mail address', example: 'ann@shop.example' },
  sms: { label: 'Text message', address: 'phone number', example: '+49 151 2345678' },
  push: { label: 'Notification', address: 'device', example: 'https://…' },
};

/** A type of channel that writes to addresses, in words. */
export function channelType(type: string): { address: string; example: string; label: string } {
  return channelTypes[type] ?? { label: sentence(type), address: 'address', example: '' };
}

const suppressions: Record<Schema['Suppression']['reason'], string> = {
  unsubscribed: 'Unsubscribed',
  stop: 'Answered STOP',
  hard_bounce: 'Does not work',
  complaint: 'Called spam',
  manual: 'Taken out by hand',
};

/** Why an address must not be written to, in short. */
export function suppressionWords(reason: string): string {
  return (
    suppressions[reason as Schema['Suppression']['reason']] ?? sentence(reason.replaceAll('_', ' '))
  );
}

/** How many people a channel reaches. */
export const reachWords = (r: Schema['AudienceReach'], number: (n: number) => string): string =>
  `${r.atLeast ? 'at least ' : ''}${number(r.users)}`;
