import { Button, Progress } from '@mantine/core';
import { useMemo } from 'react';
import { useLoadSample, useSample } from '../api/queries';
import { useMay } from '../api/session';
import { AddToBoard } from '../board/AddToBoard';
import { Breakdown } from '../explore/Breakdown';
import { Crumbs } from '../explore/Crumbs';
import css from '../explore/explore.module.css';
import { FunnelView } from '../explore/FunnelView';
import { stamp } from '../explore/measure';
import { PathsView } from '../explore/PathsView';
import { People } from '../explore/People';
import { RetentionView } from '../explore/RetentionView';
import { isLive, mainQuery } from '../explore/state';
import { TrendView } from '../explore/TrendView';
import {
  ExploreProvider,
  localZone,
  opened,
  type Explore as Shared,
  saveTable,
  useReturnFocus,
  useSearchState,
} from '../explore/useExplore';
import { useMeasure } from '../explore/useMeasure';
import { Views } from '../explore/Views';
import { compact, plural } from '../format/number';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { Empty, Failure, Loading } from '../ui/states';

/** Everybody, by anything, down to the very people behind a number. */
export default function Explore() {
  const [s, set] = useSearchState();
  const zone = useMemo(localZone, []);
  const asked = mainQuery(s, zone);
  // What is open belongs to a time: the chart behind it is of that time too.
  const query = asked && s.open ? { ...asked, asOf: stamp(s.open.at) } : asked;
  const main = useMeasure(query, { live: isLive(s) && !s.open, as: 'main' });
  const everybody = useMeasure(
    { zone, users: { limit: 0 } },
    { as: 'everybody', live: (answer) => answer?.users?.total === 0 },
  );
  const shared: Shared = {
    s,
    set,
    zone,
    query,
    answer: query ? main.data : undefined,
    old: main.isPlaceholderData,
    pending: query !== undefined && (main.isPlaceholderData || main.isPending),
    error: main.error,
    retry: () => void main.refetch(),
    // marks of an old answer are of other users, or of another time
    open: (mark, n) => !main.isPlaceholderData && set({ open: opened(main.data, mark, n) }),
    save:
      query && main.data && !main.isPlaceholderData
        ? (format) => saveTable(query, stamp(main.data.asOf), s.view ?? 'users', format)
        : undefined,
  };
  useReturnFocus(s.open !== undefined);
  const View = s.view ? views[s.view] : Breakdown;
  const none = everybody.data?.users?.total === 0;
  return (
    <Page
      title="Explore"
      lede="Narrow all users down, follow what they do, and click any number for the people behind it."
      actions={
        <>
          <LinkButton to="/boards" size="xs" variant="default">
            Boards
          </LinkButton>
          {asked && <AddToBoard s={s} query={asked} />}
        </>
      }
    >
      <ExploreProvider value={shared}>
        {everybody.error && !everybody.data ? (
          <Card>
            <Failure error={everybody.error} retry={everybody.refetch} />
          </Card>
        ) : !everybody.data ? (
          <Card>
            <Loading rows={7} />
          </Card>
        ) : none ? (
          <Card>
            <Nobody />
          </Card>
        ) : (
          <div className={css.page} data-quiet>
            <Crumbs />
            <Views />
            <View />
            <People />
          </div>
        )}
      </ExploreProvider>
    </Page>
  );
}

const views = {
  funnel: FunnelView,
  trend: TrendView,
  retention: RetentionView,
  paths: PathsView,
} as const;

/** Nothing to explore yet. */
function Nobody() {
  const { data: sample } = useSample();
  const load = useLoadSample();
  const may = useMay('marketer');
  if (sample?.status === 'loading') {
    const share = sample.of ? (100 * sample.done) / sample.of : 0;
    return (
      <Empty
        icon="explore"
        title="The sample shop is being loaded"
        cause={
          sample.of
            ? `${compact(sample.done)} of ${plural(sample.of, 'event')} are in the log; what is there can be explored in a moment.`
            : 'Its events are being counted.'
        }
        action={<LinkButton to="/live">Watch it on Live</LinkButton>}
      >
        <Progress value={share} w="min(100%, 360px)" aria-label="Loading the sample shop" />
      </Empty>
    );
  }
  return (
    <Empty
      icon="explore"
      title="0 users"
      cause="No event has arrived yet, so there is nobody to explore: send events, or load 14 months of a shop whose people do not exist."
      action={
        sample && may ? (
          <Button loading={load.isPending} onClick={() => load.mutate()}>
            Load sample shop
          </Button>
        ) : (
          <LinkButton to="/">Send the first event</LinkButton>
        )
      }
    />
  );
}
