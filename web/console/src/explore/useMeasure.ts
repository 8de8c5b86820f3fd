import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { client, type Schema, take } from '../api/client';
import { Problem } from '../api/problem';
import { saveFile } from '../ui/file';
import { type Answer, alike, type Mark, type Query, readAnswer, stamp } from './measure';

/** Between two answers to a question about now. */
const refresh = 5000;

/**
 * The answer to a question. Answers belong to their question: one that comes late is not shown in
 * the place of a newer one. While a new question waits, the old answer stays
 * and is marked, if it is the same question about others or another time.
 */
export function useMeasure(
  query: Query | undefined,
  options: { live?: boolean | ((answer: Answer | undefined) => boolean); as?: string } = {},
) {
  const { live = false } = options;
  return useQuery<Answer>({
    queryKey: ['measure', options.as ?? '', query],
    enabled: query !== undefined,
    placeholderData: (previous, of) =>
      query && alike(of?.queryKey[2] as Query | undefined, query) ? previous : undefined,
    refetchInterval: (q) =>
      q.state.error || (typeof live === 'function' ? live(q.state.data) : live) ? refresh : false,
    gcTime: 60_000,
    queryFn: async ({ signal }) =>
      readAnswer(
        await take(client.POST('/measures:query', { body: query as object as Body, signal })),
      ),
  });
}

type Body = Record<string, unknown>;
const page = 50;

/** The users behind a mark, a page at a time, as of the time of the answer. */
export function useMarkUsers(query: Query, mark: Mark, asOf: number) {
  const asked = { query: { ...query, asOf: stamp(asOf) } as object as Body, mark: mark as Body };
  return useInfiniteQuery({
    queryKey: ['mark-users', asked],
    staleTime: Number.POSITIVE_INFINITY,
    gcTime: 60_000,
    initialPageParam: '',
    // without ?format=csv it is no text
    queryFn: ({ pageParam, signal }) =>
      take<Schema['MeasureUsers'] | string>(
        client.POST('/measures:users', {
          body: { ...asked, limit: page, ...(pageParam ? { after: pageParam } : {}) },
          signal,
        }),
      ) as Promise<Schema['MeasureUsers']>,
    getNextPageParam: (last) => (last.more ? last.users.at(-1)?.id : undefined),
  });
}

export type Format = 'csv' | 'parquet';

/** A file with the answer as a table, or with the ids of all users of a mark. */
export async function download(
  path: '/measures:query' | '/measures:users',
  body: object,
  name: string,
  format: Format = 'csv',
): Promise<void> {
  const answer = await client.POST(path, {
    params: { query: { format: format as 'csv' } },
    body: body as never,
    parseAs: 'blob',
  });
  if (!answer.response.ok || !answer.data) {
    throw Problem.from(answer.response.status, answer.error);
  }
  saveFile(answer.data as unknown as Blob, `${name}.${format}`);
}
