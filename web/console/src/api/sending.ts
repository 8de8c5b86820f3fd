import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query';
import { plural } from '../format/number';
import { done, failed } from '../ui/notice';
import { client, take } from './client';

// Steering what is sent as a whole. A process that does not send has no answers.

const key = ['sending'];

/** Whether all sending is stopped; every console learns of it within seconds. */
export function useSending() {
  return useQuery({
    queryKey: key,
    refetchInterval: 3000,
    retry: false,
    queryFn: () => take(client.GET('/sending')),
  });
}

export function useSetSending() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (stopped: boolean) => take(client.PUT('/sending', { body: { stopped } })),
    onSuccess: (now) => queries.setQueryData(key, now),
  });
}

/** When campaigns on a schedule run. */
export function useSchedules(enabled: boolean) {
  return useQuery({
    queryKey: ['schedules'],
    enabled,
    refetchInterval: 10_000,
    retry: false,
    queryFn: () => take(client.GET('/schedules')),
  });
}

/** How many users are in the audience that starts a campaign already. */
export function useIncluded(name: string, enabled: boolean) {
  return useQuery({
    queryKey: ['included', name],
    enabled,
    retry: false,
    queryFn: () => take(client.GET('/campaigns/{name}/include', { params: { path: { name } } })),
  });
}

/** Starts a live campaign also for those; the same id does so once. */
export const include = (name: string, id: string) =>
  take(client.POST('/campaigns/{name}/include', { params: { path: { name } }, body: { id } })).then(
    (sent) => done(`It is started for ${plural(sent.users, 'user')}, too.`),
    (error) => failed('Not started for those who are in it already', error),
  );
