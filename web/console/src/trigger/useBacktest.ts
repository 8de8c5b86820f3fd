import { useEffect, useState } from 'react';
import { client, type Schema } from '../api/client';
import { Problem } from '../api/problem';
import { lines } from './lines';

export type Result = Schema['BacktestResult'];

export interface Backtest {
  /** The newest answer: an estimate first, then the exact one. It may be about what was asked before. */
  result: Result | undefined;
  /** An answer to what is asked now is still to come. */
  pending: boolean;
  /** The result is about what is asked now. */
  current: boolean;
  /** 0 to 1 of the events that will be read. */
  share: number;
  error: unknown;
}

const nothing: Backtest = {
  result: undefined,
  pending: false,
  current: false,
  share: 0,
  error: undefined,
};

const tries = 5;

/**
 * Tries a draft on the past, whenever it changes; undefined: it cannot be asked about. A higher
 * `again` asks once more. A question
 * that is no longer the newest is cancelled, and an answer to it is never shown.
 */
export function useBacktest(ask: Schema['BacktestRequest'] | undefined, again: number): Backtest {
  const [state, setState] = useState(nothing);
  const key = ask && JSON.stringify(ask);
  // biome-ignore lint/correctness/useExhaustiveDependencies: again asks once more
  useEffect(() => {
    if (key === undefined) {
      setState((old) => ({ ...old, pending: false, current: false, error: undefined }));
      return;
    }
    const abort = new AbortController();
    const { signal } = abort;
    const set = (next: Partial<Backtest>) => {
      if (!signal.aborted) setState((old) => ({ ...old, ...next }));
    };
    set({ pending: true, current: false, share: 0, error: undefined });
    run(JSON.parse(key), signal, (line) => {
      if (line.progress) set({ share: line.progress.share });
      if (line.estimate) set({ result: line.estimate, current: true });
      if (line.result) set({ result: line.result, current: true, pending: false });
      if (line.error) throw new Problem(200, line.error.code, line.error.message, line.error.hint);
    }).catch((error: unknown) => set({ error, pending: false }));
    return () => abort.abort();
  }, [key, again]);
  return state;
}

/** One run; a server that is busy with others is asked again. */
async function run(
  body: Schema['BacktestRequest'],
  signal: AbortSignal,
  on: (line: Schema['BacktestLine']) => void,
): Promise<void> {
  for (let n = 1; ; n++) {
    const { data, error, response } = await client.POST('/triggers:backtest', {
      body,
      signal,
      parseAs: 'stream',
    });
    if (response.status === 429 && n < tries) {
      await new Promise((again) => setTimeout(again, 400 * n));
      if (signal.aborted) return;
      continue;
    }
    if (!response.ok || !data) throw Problem.from(response.status, error);
    for await (const line of lines(data)) on(JSON.parse(line));
    return;
  }
}
