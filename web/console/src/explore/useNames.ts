import { useMemo } from 'react';
import { useEventNames } from '../api/queries';
import { plural } from '../format/number';
import { eventLabel } from '../format/words';
import type { Option } from '../trigger/Chip';
import { audienceOf } from './state';
import { useExplore } from './useExplore';
import { useMeasure } from './useMeasure';

/** The events that people did, with how many of those explored did them, the most common first. */
export function useEvents(): { options: Option[]; loading: boolean } {
  const { zone, s } = useExplore();
  const audience = audienceOf(s);
  const did = useMeasure(
    {
      zone,
      ...(audience ? { audience } : {}),
      breakdown: { of: {}, count: 'users', by: [{ field: 'event.event' }], top: 200 },
    },
    { as: 'events' },
  );
  const seen = useEventNames();
  return useMemo(() => {
    const rows = did.data?.breakdown?.rows ?? [];
    const known = rows.flatMap((r) =>
      r.values[0] ? [{ value: r.values[0], hint: plural(r.count, 'user') }] : [],
    );
    const others = (seen.data?.names ?? [])
      .filter((n) => !known.some((k) => k.value === n.name))
      .map((n) => ({ value: n.name, hint: 'nobody here' }));
    return {
      options: [...known, ...others].map((o) => ({ ...o, label: eventLabel(o.value) })),
      loading: did.isPending,
    };
  }, [did.data, did.isPending, seen.data]);
}
