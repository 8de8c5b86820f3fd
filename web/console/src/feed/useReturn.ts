import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { useFeedState } from './useFeed';

/** When the server is back, what it did not answer is asked again. */
export function useReturn(): void {
  const queries = useQueryClient();
  const state = useFeedState();
  const gone = useRef(false);
  useEffect(() => {
    if (state === 'live' && gone.current)
      void queries.refetchQueries({ predicate: (q) => q.state.status === 'error' });
    gone.current = state === 'reconnecting';
  }, [state, queries]);
}
