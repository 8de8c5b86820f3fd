import { linkOptions } from '@tanstack/react-router';

/** Where the definitions of each kind are listed, and what that is called. */
export const homes = {
  audience: { label: 'Audiences', icon: 'audience', link: linkOptions({ to: '/audiences' }) },
  board: { label: 'Boards', icon: 'explore', link: linkOptions({ to: '/boards' }) },
  campaign: { label: 'Campaigns', icon: 'campaign', link: linkOptions({ to: '/campaigns' }) },
  channel: {
    label: 'Channels',
    icon: 'settings',
    link: linkOptions({ to: '/settings', search: { tab: 'channels' } }),
  },
  dimension: { label: 'Dimensions', icon: 'audience', link: linkOptions({ to: '/data/traits' }) },
  settings: { label: 'Settings', icon: 'settings', link: linkOptions({ to: '/settings' }) },
  stream: { label: 'Streams', icon: 'events', link: linkOptions({ to: '/data/streams' }) },
  template: { label: 'Templates', icon: 'template', link: linkOptions({ to: '/templates' }) },
  trigger: { label: 'Triggers', icon: 'bolt', link: linkOptions({ to: '/triggers' }) },
} as const;

/** A kind of definition that has an editor. */
export type Kind = keyof typeof homes;
