import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
} from '@tanstack/react-router';
import { App } from './App';
import type { Schema } from './api/client';
import { type Opened, readSearch } from './explore/state';
import { NotFound } from './shell/NotFound';
import { Pending } from './shell/Pending';
import { patient } from './shell/patient';

/** The page of a route, which is loaded when it is turned to. */
const page = <T extends Record<string, unknown>, K extends keyof T = 'default'>(
  load: () => Promise<T>,
  name?: K,
) => lazyRouteComponent(() => patient(load), name as K);

/** A search parameter as text, undefined when absent or empty. */
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== ''
    ? value
    : typeof value === 'number'
      ? `${value}`
      : undefined;

/** What a list is narrowed down to. */
const searched = (search: Record<string, unknown>): { q?: string | undefined } => ({
  q: text(search.q),
});

/** And what of it is open. */
const opening = (
  search: Record<string, unknown>,
): { q?: string | undefined; open?: string | undefined } => ({
  ...searched(search),
  open: text(search.open),
});

const oneOf =
  <T extends string>(...all: readonly T[]) =>
  (value: unknown): T | undefined =>
    all.find((each) => each === value);

const root = createRootRoute({ component: App, notFoundComponent: NotFound });

const home = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: page(() => import('./pages/Home')),
});
const setup = createRoute({
  getParentRoute: () => root,
  path: '/setup',
  component: page(() => import('./pages/Home')),
});
const live = createRoute({
  getParentRoute: () => root,
  path: '/live',
  validateSearch: (
    search: Record<string, unknown>,
  ): { q?: string | undefined; name?: string | undefined; open?: string | undefined } => ({
    q: text(search.q),
    name: text(search.name),
    open: text(search.open),
  }),
  component: page(() => import('./pages/Live')),
});
const explore = createRoute({
  getParentRoute: () => root,
  path: '/explore',
  validateSearch: readSearch,
  component: page(() => import('./pages/Explore')),
});
const boards = createRoute({
  getParentRoute: () => root,
  path: '/boards',
  validateSearch: searched,
  component: page(() => import('./pages/Boards')),
});
const board = createRoute({
  getParentRoute: () => root,
  path: '/boards/$name',
  validateSearch: (
    search: Record<string, unknown>,
  ): { as?: 'yaml' | undefined; open?: (Opened & { chart: number }) | undefined } => {
    const open = readSearch({ open: search.open }).open;
    const chart = (search.open as { chart?: unknown } | undefined)?.chart;
    return {
      ...editAs(search),
      open: open && typeof chart === 'number' ? { ...open, chart } : undefined,
    };
  },
  component: page(() => import('./pages/Board')),
});
const newBoard = createRoute({
  getParentRoute: () => root,
  path: '/new/board',
  validateSearch: (search: Record<string, unknown>): { as?: 'yaml' | undefined } => editAs(search),
  component: page(() => import('./pages/Board'), 'NewBoard'),
});
const users = createRoute({
  getParentRoute: () => root,
  path: '/users',
  validateSearch: searched,
  component: page(() => import('./pages/Users')),
});
const user = createRoute({
  getParentRoute: () => root,
  path: '/users/$id',
  validateSearch: (
    search: Record<string, unknown>,
  ): { show?: 'events' | 'deliveries' | undefined } => ({
    show: oneOf('events', 'deliveries')(search.show),
  }),
  component: page(() => import('./pages/User')),
});
const imports = createRoute({
  getParentRoute: () => root,
  path: '/imports',
  component: page(() => import('./pages/Imports')),
});
const audiences = createRoute({
  getParentRoute: () => root,
  path: '/audiences',
  validateSearch: searched,
  component: page(() => import('./pages/Audiences')),
});
const audience = createRoute({
  getParentRoute: () => root,
  path: '/audiences/$name',
  validateSearch: (search: Record<string, unknown>): { as?: 'yaml' | undefined } => editAs(search),
  component: page(() => import('./pages/Audience')),
});
const newAudience = createRoute({
  getParentRoute: () => root,
  path: '/new/audience',
  validateSearch: (
    search: Record<string, unknown>,
  ): { as?: 'yaml' | undefined; starter?: string | undefined } => ({
    ...editAs(search),
    starter: text(search.starter),
  }),
  component: page(() => import('./pages/Audience'), 'NewAudience'),
});
const campaigns = createRoute({
  getParentRoute: () => root,
  path: '/campaigns',
  validateSearch: searched,
  component: page(() => import('./pages/Campaigns')),
});
const campaign = createRoute({
  getParentRoute: () => root,
  path: '/campaigns/$name',
  validateSearch: (
    search: Record<string, unknown>,
  ): { status?: Schema['DeliveryStatus'] | undefined } => ({
    status: oneOf(
      'sent',
      'failed',
      'held',
      'refused',
      'shown',
      'clicked',
      'dismissed',
      'delivered',
      'opened',
      'bounced',
      'complained',
      'unsubscribed',
      'resubscribed',
      'confirmed',
    )(search.status),
  }),
  component: page(() => import('./pages/Campaign')),
});
const campaignEditor = createRoute({
  getParentRoute: () => root,
  path: '/campaigns/$name/edit',
  validateSearch: (search: Record<string, unknown>): { as?: 'yaml' | undefined } => editAs(search),
  component: page(() => import('./pages/CampaignEditor')),
});
const newCampaign = createRoute({
  getParentRoute: () => root,
  path: '/new/campaign',
  validateSearch: (
    search: Record<string, unknown>,
  ): {
    as?: 'yaml' | undefined;
    trigger?: string | undefined;
    copy?: string | undefined;
    recipe?: string | undefined;
  } => ({
    ...editAs(search),
    trigger: text(search.trigger),
    copy: text(search.copy),
    recipe: text(search.recipe),
  }),
  component: page(() => import('./pages/CampaignEditor'), 'NewCampaign'),
});
const triggers = createRoute({
  getParentRoute: () => root,
  path: '/triggers',
  validateSearch: searched,
  component: page(() => import('./pages/Triggers')),
});
const editAs = (search: Record<string, unknown>): { as?: 'yaml' | undefined } => ({
  as: oneOf('yaml')(search.as),
});
const trigger = createRoute({
  getParentRoute: () => root,
  path: '/triggers/$name',
  validateSearch: editAs,
  component: page(() => import('./pages/Trigger')),
});
const newTrigger = createRoute({
  getParentRoute: () => root,
  path: '/new/trigger',
  validateSearch: (
    search: Record<string, unknown>,
  ): { as?: 'yaml' | undefined; event?: string | undefined } => ({
    ...editAs(search),
    event: text(search.event),
  }),
  component: page(() => import('./pages/Trigger'), 'NewTrigger'),
});
const channel = createRoute({
  getParentRoute: () => root,
  path: '/channels/$name',
  component: page(() => import('./pages/Channel')),
});
const newChannel = createRoute({
  getParentRoute: () => root,
  path: '/new/channel',
  validateSearch: (search: Record<string, unknown>): { type?: string | undefined } => ({
    type: text(search.type),
  }),
  component: page(() => import('./pages/Channel'), 'NewChannel'),
});
const templates = createRoute({
  getParentRoute: () => root,
  path: '/templates',
  validateSearch: opening,
  component: page(() => import('./pages/Templates')),
});
const template = createRoute({
  getParentRoute: () => root,
  path: '/templates/$name',
  validateSearch: editAs,
  component: page(() => import('./pages/Template')),
});
const newTemplate = createRoute({
  getParentRoute: () => root,
  path: '/new/template',
  validateSearch: (
    search: Record<string, unknown>,
  ): {
    as?: 'yaml' | undefined;
    starter?: string | undefined;
    channel?: string | undefined;
    copy?: string | undefined;
  } => ({
    ...editAs(search),
    starter: text(search.starter),
    channel: text(search.channel),
    copy: text(search.copy),
  }),
  component: page(() => import('./pages/Template'), 'NewTemplate'),
});
const data = createRoute({
  getParentRoute: () => root,
  path: '/data',
  beforeLoad: () => {
    throw redirect({ to: '/data/events', replace: true });
  },
});
const events = createRoute({
  getParentRoute: () => root,
  path: '/data/events',
  validateSearch: opening,
  component: page(() => import('./pages/Events')),
});
const streams = createRoute({
  getParentRoute: () => root,
  path: '/data/streams',
  component: page(() => import('./pages/Streams')),
});
const stream = createRoute({
  getParentRoute: () => root,
  path: '/data/streams/$name',
  validateSearch: editAs,
  component: page(() => import('./pages/Stream')),
});
const newStream = createRoute({
  getParentRoute: () => root,
  path: '/new/stream',
  validateSearch: editAs,
  component: page(() => import('./pages/Stream'), 'NewStream'),
});
const traits = createRoute({
  getParentRoute: () => root,
  path: '/data/traits',
  validateSearch: opening,
  component: page(() => import('./pages/Traits')),
});
const dimension = createRoute({
  getParentRoute: () => root,
  path: '/dimensions/$name',
  validateSearch: editAs,
  component: page(() => import('./pages/Dimension')),
});
const newDimension = createRoute({
  getParentRoute: () => root,
  path: '/new/dimension',
  validateSearch: (
    search: Record<string, unknown>,
  ): { as?: 'yaml' | undefined; field?: string | undefined } => ({
    ...editAs(search),
    field: text(search.field),
  }),
  component: page(() => import('./pages/Dimension'), 'NewDimension'),
});
const outbox = createRoute({
  getParentRoute: () => root,
  path: '/outbox',
  validateSearch: (search: Record<string, unknown>): { open?: string | undefined } => ({
    open: text(search.open),
  }),
  component: page(() => import('./pages/Outbox')),
});
const settings = createRoute({
  getParentRoute: () => root,
  path: '/settings',
  validateSearch: (
    search: Record<string, unknown>,
  ): {
    tab?:
      | 'health'
      | 'channels'
      | 'suppression'
      | 'keys'
      | 'tokens'
      | 'members'
      | 'audit'
      | undefined;
  } => ({
    tab: oneOf(
      'health',
      'channels',
      'suppression',
      'keys',
      'tokens',
      'members',
      'audit',
    )(search.tab),
  }),
  component: page(() => import('./pages/Settings')),
});

const sending = createRoute({
  getParentRoute: () => root,
  path: '/settings/sending',
  validateSearch: editAs,
  component: page(() => import('./pages/Sending')),
});

export const router = createRouter({
  routeTree: root.addChildren([
    home,
    setup,
    live,
    explore,
    boards,
    board,
    newBoard,
    audiences,
    audience,
    newAudience,
    users,
    user,
    imports,
    campaigns,
    campaign,
    campaignEditor,
    newCampaign,
    triggers,
    trigger,
    newTrigger,
    channel,
    newChannel,
    templates,
    template,
    newTemplate,
    data,
    events,
    streams,
    stream,
    newStream,
    traits,
    dimension,
    newDimension,
    outbox,
    settings,
    sending,
  ]),
  defaultPreload: 'intent',
  defaultPendingComponent: Pending,
  scrollRestoration: true,
});

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router;
  }
}
