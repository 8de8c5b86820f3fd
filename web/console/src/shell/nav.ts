import type { IconName } from '../ui/Icon';

interface Entry {
  to: string;
  label: string;
  icon: IconName;
  about: string;
  /** Other paths that belong to it. */
  within?: readonly string[];
}

/** The pages that exist, in the order of the navigation. */
export const pages = [
  { to: '/', label: 'Home', icon: 'home', about: 'What is going on, and what to do next' },
  {
    to: '/live',
    label: 'Live',
    icon: 'live',
    about: 'Events, triggers and deliveries as they happen',
  },
  {
    to: '/explore',
    label: 'Explore',
    icon: 'explore',
    about: 'Slice users, follow funnels, and get the people behind every number',
    within: ['/boards', '/new/board'],
  },
  {
    to: '/audiences',
    label: 'Audiences',
    icon: 'audience',
    about: 'Segments of users: who campaigns are for',
    within: ['/audiences/', '/new/audience'],
  },
  {
    to: '/users',
    label: 'Users',
    icon: 'users',
    about: 'Find a user; see what they did and what they got',
  },
  {
    to: '/campaigns',
    label: 'Campaigns',
    icon: 'campaign',
    about: 'What is sent to whom, when, and how it goes',
    within: ['/triggers', '/new/trigger'],
  },
  {
    to: '/templates',
    label: 'Templates',
    icon: 'template',
    about: 'The content that campaigns send',
    within: ['/new/template'],
  },
  {
    to: '/data/events',
    label: 'Data',
    icon: 'events',
    about: 'The events that arrive, and those that were refused',
    within: ['/data/traits', '/data/streams', '/new/stream', '/dimensions', '/new/dimension'],
  },
  {
    to: '/outbox',
    label: 'Outbox',
    icon: 'outbox',
    about: 'The local mailbox: the first send needs no provider',
  },
  { to: '/settings', label: 'Settings', icon: 'settings', about: 'Keys, members, health' },
] as const satisfies readonly Entry[];

/** Pages beside those of the navigation, which the search finds too. */
export const others = [
  {
    to: '/boards',
    label: 'Boards',
    icon: 'explore',
    about: 'Pages of charts that answer again by themselves',
  },
  {
    to: '/new/campaign',
    label: 'New campaign',
    icon: 'plus',
    about: 'When something happens, who gets what',
  },
  {
    to: '/new/trigger',
    label: 'New trigger',
    icon: 'plus',
    about: 'When a user does this, in a sentence',
  },
  {
    to: '/new/audience',
    label: 'New audience',
    icon: 'plus',
    about: 'Users by what they are and did, in sentences',
  },
  {
    to: '/data/traits',
    label: 'Traits & dimensions',
    icon: 'audience',
    about: 'What is known of users, and how they are grouped',
  },
  {
    to: '/data/streams',
    label: 'Streams',
    icon: 'events',
    about: 'Kafka topics of others as a source',
  },
  {
    to: '/new/template',
    label: 'New template',
    icon: 'plus',
    about: 'What a campaign says, from a design or from nothing',
  },
  {
    to: '/new/dimension',
    label: 'New dimension',
    icon: 'plus',
    about: 'Group users by what they are or do',
  },
  { to: '/triggers', label: 'Triggers', icon: 'bolt', about: 'What starts campaigns' },
] as const satisfies readonly Entry[];
