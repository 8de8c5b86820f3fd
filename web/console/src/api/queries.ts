import {
  keepPreviousData,
  useInfiniteQuery,
  useMutation,
  useQueries,
  useQuery,
  useQueryClient,
} from '@tanstack/react-query';
import { useMemo } from 'react';
import { client, type Schema, take } from './client';

export type Definition<S> = Omit<Schema['Definition'], 'spec'> & { spec: S };
export type Campaign = Definition<Schema['CampaignSpec']>;
export type Template = Definition<Schema['TemplateSpec']>;
export type Trigger = Definition<Schema['TriggerSpec']>;
export type Source = Definition<Schema['SourceSpec']>;

export function useHome() {
  return useQuery({
    queryKey: ['home'],
    queryFn: () => take(client.GET('/home')),
    // Who waits for the first event looks at nothing else.
    refetchInterval: (query) =>
      query.state.data?.checklist.some((s) => s.id === 'send_event' && !s.done) ? 400 : 1500,
  });
}

export function useDemo(enabled: boolean) {
  return useQuery({ queryKey: ['demo'], enabled, queryFn: () => take(client.GET('/demo')) });
}

/** How far the sample shop's history is loaded; asks again while that goes on. */
export function useSample() {
  return useQuery({
    queryKey: ['demo'],
    queryFn: () => take(client.GET('/demo')),
    select: (demo) => demo.sample,
    refetchInterval: (query) => (query.state.data?.sample?.status === 'loading' ? 500 : false),
  });
}

export function useLoadSample() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => take(client.POST('/demo/sample')),
    onSuccess: (demo) => queries.setQueryData(['demo'], demo),
  });
}

export function useCrowd() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (running: boolean) => take(client.POST('/demo/crowd', { body: { running } })),
    onSuccess: (demo) => queries.setQueryData(['demo'], demo),
  });
}

export function useUsers(q: string, options: { enabled?: boolean; limit?: number } = {}) {
  const { enabled = true, limit = 50 } = options;
  return useQuery({
    queryKey: ['users', q, limit],
    enabled,
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) =>
      take(
        client.GET('/users', { params: { query: q === '' ? { limit } : { q, limit } }, signal }),
      ),
  });
}

/** As many users as one answer may hold. */
export const allUsers = (q: string) =>
  take(
    client.GET('/users', { params: { query: q === '' ? { limit: 1000 } : { q, limit: 1000 } } }),
  );

export function useUser(id: string) {
  return useQuery({
    queryKey: ['user', id],
    queryFn: () => take(client.GET('/users/{id}', { params: { path: { id } } })),
    refetchInterval: 5000,
  });
}

export function useTimeline(id: string) {
  return useInfiniteQuery({
    queryKey: ['timeline', id],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      take(
        client.GET('/users/{id}/timeline', {
          params: {
            path: { id },
            query: { limit: 100, ...(pageParam ? { before: pageParam } : {}) },
          },
        }),
      ),
    getNextPageParam: (page) => page.next,
  });
}

/** All definitions of a kind, with the shape of their specs. */
export function useKind<S>(kind: string, refetchInterval: number | false = false) {
  return useQuery({
    queryKey: ['definitions', kind],
    refetchInterval,
    queryFn: async () => {
      const list = await take(client.GET('/definitions/{kind}', { params: { path: { kind } } }));
      return { ...list, definitions: list.definitions as unknown as Definition<S>[] };
    },
  });
}

/** The newest version of everything that is defined. */
export function useEverything() {
  return useQuery({
    queryKey: ['definitions'],
    queryFn: () => take(client.GET('/definitions')),
  });
}

export const useCampaigns = () => useKind<Schema['CampaignSpec']>('campaign');
export const useTemplates = () => useKind<Schema['TemplateSpec']>('template');
export const useChannels = () => useKind<Schema['ChannelSpec']>('channel');
export const useAudiences = () => useKind<Schema['AudienceSpec']>('audience');
export const useTriggers = () => useKind<Schema['TriggerSpec']>('trigger');
export const useEventDefinitions = () => useKind<Schema['EventSpec']>('event');
export const useSources = () => useKind<Schema['SourceSpec']>('source');

/**
 * What a template says as its channel sends it, to a user or to somebody of whom nothing is known;
 * reader is the language it is read in, '' for the user's.
 */
export function useTemplatePreview(template: Schema['TemplateSpec'], user: string, reader: string) {
  const { description: _, expires: __, body = '', ...said } = template;
  const draft: Schema['TemplateDraft'] = {
    ...said,
    body,
    ...(user === '' ? {} : { user }),
    ...(reader === '' ? {} : { reader }),
  };
  return useQuery({
    queryKey: ['templatePreview', draft],
    placeholderData: keepPreviousData,
    queryFn: ({ signal }) => take(client.POST('/templates:preview', { body: draft, signal })),
  });
}

/** Designs that a new template may begin with. */
export function useStarters() {
  return useQuery({
    queryKey: ['starters'],
    queryFn: () => take(client.GET('/templates:starters')),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** The question for what became of a campaign. */
export const reportOf = (name: string) => ({
  queryKey: ['report', name],
  queryFn: () => take(client.GET('/campaigns/{name}/report', { params: { path: { name } } })),
});

export const useReport = (name: string) => useQuery({ ...reportOf(name), refetchInterval: 3000 });

/** Sets a campaign's status, unless somebody changed the campaign meanwhile. */
export function useSetStatus() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({
      campaign,
      status,
    }: {
      campaign: Campaign;
      status: Schema['CampaignSpec']['status'];
    }) =>
      take(
        client.PUT('/definitions/{kind}/{name}', {
          params: {
            path: { kind: 'campaign', name: campaign.name },
            header: { 'If-Match': `"${campaign.version}"` },
          },
          body: { ...campaign.spec, status },
        }),
      ),
    onSettled: () => queries.invalidateQueries({ queryKey: ['definitions', 'campaign'] }),
  });
}

export function useDeliveries(query: { campaign?: string; status?: Schema['DeliveryStatus'] }) {
  return useQuery({
    queryKey: ['deliveries', query],
    placeholderData: keepPreviousData,
    refetchInterval: 5000,
    queryFn: () => take(client.GET('/deliveries', { params: { query: { ...query, limit: 50 } } })),
  });
}

export function useEventNames() {
  return useQuery({
    queryKey: ['event-names'],
    queryFn: () => take(client.GET('/event-names')),
    refetchInterval: 2000,
  });
}

/** What is out of the ordinary now. */
export function useAlerts() {
  return useQuery({
    queryKey: ['alerts'],
    queryFn: () => take(client.GET('/alerts')),
    refetchInterval: 10_000,
    retry: false,
  });
}

/** As many refused events as one answer may hold. */
export const allBadEvents = async () =>
  (await take(client.GET('/bad-events', { params: { query: { limit: 1000 } } }))).events;

export function useBadEvents() {
  return useQuery({
    queryKey: ['bad-events'],
    queryFn: () => take(client.GET('/bad-events', { params: { query: { limit: 50 } } })),
    refetchInterval: 3000,
  });
}

export function useOutbox() {
  return useInfiniteQuery({
    queryKey: ['outbox'],
    initialPageParam: undefined as string | undefined,
    queryFn: ({ pageParam }) =>
      take(
        client.GET('/outbox', {
          params: { query: { limit: 50, ...(pageParam ? { before: pageParam } : {}) } },
        }),
      ),
    getNextPageParam: (page) => page.next,
    refetchInterval: 3000,
  });
}

export function useOutboxMessage(id: string | undefined) {
  return useQuery({
    queryKey: ['outbox-message', id],
    enabled: id !== undefined,
    queryFn: () => take(client.GET('/outbox/{id}', { params: { path: { id: id ?? '' } } })),
  });
}

export function useHealth() {
  return useQuery({
    queryKey: ['health'],
    queryFn: () => take(client.GET('/health')),
    refetchInterval: 3000,
  });
}

export function useMembers(enabled: boolean) {
  return useQuery({ queryKey: ['members'], enabled, queryFn: () => take(client.GET('/members')) });
}

export function useSaveMember() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Schema['MemberRequest']) => take(client.POST('/members', { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['members'] }),
  });
}

export function useRemoveMember() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (email: string) =>
      take(client.DELETE('/members/{email}', { params: { path: { email } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['members'] }),
  });
}

export function useTokens(enabled: boolean) {
  return useQuery({ queryKey: ['tokens'], enabled, queryFn: () => take(client.GET('/tokens')) });
}

export function useMakeToken() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Schema['TokenRequest']) => take(client.POST('/tokens', { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['tokens'] }),
  });
}

export function useRevokeToken() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => take(client.DELETE('/tokens/{id}', { params: { path: { id } } })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['tokens'] }),
  });
}

export function useAudit(enabled: boolean) {
  return useQuery({
    queryKey: ['audit'],
    enabled,
    queryFn: () => take(client.GET('/audit', { params: { query: { limit: 100 } } })),
  });
}

/** A definition by its name, undefined if there is none; somebody else's changes show within seconds. */
export function useDefinition<S>(kind: string, name: string) {
  const all = useKind<S>(kind, 4000);
  const found = all.data?.definitions.find((d) => d.name === name);
  const saved = useMemo((): Definition<S> | undefined => {
    if (!found) return undefined;
    // the path says both
    const { kind: _, name: __, ...spec } = found.spec as S & { kind?: string; name?: string };
    return { ...found, spec: spec as S };
  }, [found]);
  return { ...all, saved };
}

/** What else shows definitions of a kind. */
const derived: Record<string, string[]> = {
  event: ['event-names'],
  dimension: ['dimensions', 'measure'],
  audience: ['audiences'],
};

/** Stores a definition; version is the one that was edited, 0 for a new one. */
export function useSaveDefinition(kind: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({
      name,
      spec,
      version,
    }: {
      name: string;
      spec: Record<string, unknown>;
      version: number;
    }) =>
      take(
        client.PUT('/definitions/{kind}/{name}', {
          params: {
            path: { kind, name },
            header: version > 0 ? { 'If-Match': `"${version}"` } : { 'If-None-Match': '*' },
          },
          body: spec as Schema['Spec'],
        }),
      ),
    onSettled: () =>
      Promise.all(
        [['definitions', kind], ...(derived[kind] ?? []).map((key) => [key])].map((queryKey) =>
          queries.invalidateQueries({ queryKey }),
        ),
      ),
  });
}

export function useDeleteDefinition(kind: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ name, version }: { name: string; version: number }) =>
      take(
        client.DELETE('/definitions/{kind}/{name}', {
          params: { path: { kind, name }, header: { 'If-Match': `"${version}"` } },
        }),
      ),
    onSuccess: () =>
      Promise.all(
        ['definitions', ...(derived[kind] ?? [])].map((key) =>
          queries.invalidateQueries({ queryKey: [key] }),
        ),
      ),
  });
}

/** What is wrong with a definition; nothing is stored. */
export function useCheck(kind: string, name: string, spec: object, enabled: boolean) {
  return useQuery({
    queryKey: ['check', kind, name, spec],
    enabled,
    placeholderData: keepPreviousData,
    staleTime: 10_000,
    gcTime: 10_000,
    queryFn: ({ signal }) =>
      take(
        client.POST('/definitions:check', {
          body: { kind, name, spec: spec as Schema['Spec'] },
          signal,
        }),
      ),
  });
}

/** What events of these names carried. */
export function useEventFields(names: readonly string[]) {
  return useQueries({
    queries: names.map((name) => ({
      queryKey: ['event-fields', name],
      staleTime: 5000,
      queryFn: () => take(client.GET('/event-fields', { params: { query: { name } } })),
    })),
    combine: (answers) => answers.flatMap((a) => a.data?.fields ?? []),
  });
}

/** The traits that users have. */
export function useTraits() {
  return useQuery({
    queryKey: ['traits'],
    queryFn: () => take(client.GET('/traits')),
    refetchInterval: 10_000,
  });
}

/** All dimensions, those built in too. */
export function useDimensions() {
  return useQuery({
    queryKey: ['dimensions'],
    queryFn: () => take(client.GET('/dimensions')),
    refetchInterval: 4000,
  });
}

/** All audiences with their sizes. */
export function useSizes() {
  return useQuery({
    queryKey: ['audiences'],
    queryFn: () => take(client.GET('/audiences')),
    refetchInterval: 3000,
  });
}

/** An audience with its size. */
export function useSize(name: string) {
  return useQuery({
    queryKey: ['audiences', name],
    queryFn: () => take(client.GET('/audiences/{name}', { params: { path: { name } } })),
    refetchInterval: 2000,
  });
}

/** Who entered and left an audience lately. */
export function useChanges(name: string, enabled: boolean) {
  return useQuery({
    queryKey: ['audiences', name, 'changes'],
    enabled,
    queryFn: () =>
      take(
        client.GET('/audiences/{name}/changes', {
          params: { path: { name }, query: { limit: 50 } },
        }),
      ),
    refetchInterval: 2000,
  });
}

/** Size, reach and some members of an audience that is not saved; undefined: not asked. */
export function usePreview(tree: Schema['AudiencePreviewRequest'] | undefined, live = false) {
  return useQuery({
    queryKey: ['preview', tree],
    enabled: tree !== undefined,
    placeholderData: keepPreviousData,
    refetchInterval: live ? 5000 : false,
    gcTime: 30_000,
    queryFn: ({ signal }) => take(client.POST('/audiences:preview', { body: tree ?? {}, signal })),
  });
}

/** All definitions of a kind; somebody else's changes show within seconds. */
export const useDefinitions = <S>(kind: string) => useKind<S>(kind, 4000);

/** Where a user stands with a trigger, and why a chance came to nothing. */
export function useExplanation(id: string, name: string) {
  return useQuery({
    queryKey: ['explanation', id, name],
    refetchInterval: 5000,
    queryFn: () =>
      take(client.GET('/users/{id}/triggers/{name}', { params: { path: { id, name } } })),
  });
}

/** Why a user did, or did not, get each campaign. */
export function useUserCampaigns(id: string) {
  return useQuery({
    queryKey: ['userCampaigns', id],
    refetchInterval: 5000,
    queryFn: () => take(client.GET('/users/{id}/campaigns', { params: { path: { id } } })),
  });
}

/** Whom a message would reach that is sent once. */
export function useReviewSend() {
  return useMutation({
    mutationFn: (body: Schema['SendDraft']) => take(client.POST('/sends:review', { body })),
  });
}

/** Sends once. The same id sends nothing more. */
export function useSend() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Schema['SendOrder']) => take(client.POST('/sends', { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['definitions'] }),
  });
}

/** Tries a campaign on one user, as it is drafted. */
export function useTry() {
  return useMutation({
    mutationFn: (body: Schema['TrialDraft']) => take(client.POST('/trials', { body })),
  });
}

/** What became of a trial. */
export function useTrial(id: string | undefined) {
  return useQuery({
    queryKey: ['trial', id],
    enabled: id !== undefined,
    refetchInterval: (query) => (query.state.data?.done ? false : 300),
    queryFn: () => take(client.GET('/trials/{id}', { params: { path: { id: id ?? '' } } })),
  });
}
