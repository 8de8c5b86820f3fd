import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { closeFeed } from '../feed/theFeed';
import { client, type Schema, take } from './client';
import { Problem } from './problem';

export type Me = Schema['Me'];

/** The state of the installation, which anybody may ask. */
export function useSetup() {
  return useQuery({
    queryKey: ['setup'],
    queryFn: () => take(client.GET('/setup')),
    staleTime: Number.POSITIVE_INFINITY,
  });
}

/** Who is signed in; null if nobody. */
export function useMe(enabled = true) {
  return useQuery({
    queryKey: ['me'],
    enabled,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async (): Promise<Me | null> => {
      try {
        return await take(client.GET('/me'));
      } catch (error) {
        if (error instanceof Problem && error.status === 401) return null;
        throw error;
      }
    },
  });
}

/** Whether the caller's role is at least the one given. */
export function useMay(role: Schema['Role']): boolean {
  const order = ['analyst', 'marketer', 'admin'];
  const me = useMe();
  return order.indexOf(me.data?.role ?? '') >= order.indexOf(role);
}

export function useLogin() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Schema['LoginRequest']) => take(client.POST('/login', { body })),
    onSuccess: (me) => queries.setQueryData(['me'], me),
  });
}

export function useMakeFirst() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (body: Schema['SetupRequest']) => take(client.POST('/setup', { body })),
    onSuccess: (me) => {
      queries.setQueryData<Schema['SetupState']>(
        ['setup'],
        (state) => state && { ...state, needed: false },
      );
      queries.setQueryData(['me'], me);
    },
  });
}

export function useLogout() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => take(client.POST('/logout')),
    onSettled: () => {
      closeFeed();
      queries.setQueryData(['me'], null);
      // Nothing that was read stays behind for who signs in next.
      queries.removeQueries({
        predicate: (query) => !['setup', 'me'].includes(String(query.queryKey[0])),
      });
    },
  });
}
