import { useMutation, useQuery } from '@tanstack/react-query';
import { client, type Schema, take } from './client';

/** Other people's topics. */

export type Stream = Schema['StreamSpec'];

/** How they fare. */
export function useStreams() {
  return useQuery({
    queryKey: ['streams'],
    refetchInterval: 2000,
    queryFn: () => take(client.GET('/streams')),
  });
}

/** Reads some messages by a draft; nothing is stored. */
export function useSample() {
  return useMutation({
    mutationFn: (draft: { name: string | undefined; spec: Stream }) =>
      take(
        client.POST('/streams:sample', {
          body: {
            spec: draft.spec as unknown as Schema['Spec'],
            messages: 10,
            ...(draft.name === undefined ? {} : { name: draft.name }),
          },
        }),
      ),
  });
}
