import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { client, type Schema, take } from './client';

/** Whom Heed may write to: consent, suppression and imports. */

export type Import = Schema['Import'];

/** By which channels a user may be written to. */
export function useUserReach(id: string) {
  return useQuery({
    queryKey: ['reach', id],
    refetchInterval: 10_000,
    queryFn: () => take(client.GET('/users/{id}/reach', { params: { path: { id } } })),
  });
}

export function useSuppressionCounts() {
  return useQuery({
    queryKey: ['suppressions'],
    queryFn: () => take(client.GET('/suppressions')),
  });
}

/** What keeps messages from an address. */
export function useLookUp() {
  return useMutation({
    mutationFn: (body: Schema['AddressQuestion']) =>
      take(client.POST('/suppressions:lookup', { body })),
  });
}

export function useSuppress() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Schema['SuppressionOrder']) => take(client.POST('/suppressions', { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['suppressions'] }),
  });
}

export function useUnsuppress() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Schema['AddressQuestion']) =>
      take(client.POST('/suppressions:remove', { body })),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['suppressions'] }),
  });
}

const works = (i: Import | undefined) => i?.state === 'checking' || i?.state === 'importing';

export function useImports() {
  return useQuery({
    queryKey: ['imports'],
    refetchInterval: (q) => (q.state.data?.imports.some(works) ? 500 : false),
    queryFn: () => take(client.GET('/imports')),
  });
}

/** Keeps a file on the server; nothing is imported by that. */
export function useUpload() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (file: File) =>
      take(
        client.POST('/imports', {
          params: { query: { name: file.name.slice(0, 128) } },
          body: file as unknown as string,
          bodySerializer: (body) => body as unknown as Blob,
          headers: { 'content-type': 'text/csv' },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['imports'] }),
  });
}

export function useStartImport() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ id, plan }: { id: string; plan: Schema['ImportPlan'] }) =>
      take(client.POST('/imports/{id}', { params: { path: { id } }, body: plan })),
    onSettled: () => queries.invalidateQueries({ queryKey: ['imports'] }),
  });
}

/** Stops an import that works, forgets one that does not. */
export function useCancelImport() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) => take(client.DELETE('/imports/{id}', { params: { path: { id } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: ['imports'] }),
  });
}
