import { ActionIcon, Button, Menu, Modal, TextInput } from '@mantine/core';
import { useNavigate } from '@tanstack/react-router';
import { useState } from 'react';
import { ChartCard } from '../chart/ChartCard';
import { BreakdownFigure } from '../explore/Breakdown';
import css from '../explore/explore.module.css';
import { Foot } from '../explore/Foot';
import { empty } from '../explore/Frame';
import { FunnelFigure } from '../explore/FunnelView';
import { type Query, stamp } from '../explore/measure';
import { PathsFigure } from '../explore/PathsView';
import { People } from '../explore/People';
import { RetentionFigure } from '../explore/RetentionView';
import { isLive, type Opened, readSearch } from '../explore/state';
import { TrendFigure } from '../explore/TrendView';
import {
  ExploreProvider,
  localZone,
  opened,
  saveTable,
  useReturnFocus,
} from '../explore/useExplore';
import { useMeasure } from '../explore/useMeasure';
import { suggest } from '../explore/words';
import { QuietMenu } from '../trigger/Chip';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Empty, Failure, Loading } from '../ui/states';
import { NumberFigure } from './NumberFigure';
import { type ChartSpec, isWhole, lookOf, looks, looksOf, searchOf } from './spec';

const figures = {
  funnel: FunnelFigure,
  trend: TrendFigure,
  retention: RetentionFigure,
  paths: PathsFigure,
} as const;

/** A chart of a board: it answers again by itself, and its marks lead to their people. */
export function BoardChart(props: {
  chart: ChartSpec;
  /** What is asked, with the steps of a saved funnel. */
  query: Query;
  at: number;
  of: number;
  opened: Opened | undefined;
  setOpened: (open: Opened | undefined) => void;
  readOnly: boolean;
  /** Changes the chart; undefined takes it away. */
  change: (next: ChartSpec | undefined) => void;
  move: (by: number) => void;
}) {
  const { chart, readOnly, change } = props;
  const navigate = useNavigate();
  const [renaming, setRenaming] = useState(false);
  const asked = searchOf(props.query, chart.query.funnel?.funnel);
  const s = { ...asked, table: lookOf(chart) === 'table' || undefined, open: props.opened };
  // What is open belongs to a time: the chart behind it is of that time too.
  const query = s.open ? { ...chart.query, asOf: stamp(s.open.at) } : chart.query;
  const main = useMeasure(query, { live: isLive(s) && !s.open, as: 'board' });
  useReturnFocus(s.open !== undefined);
  const { data: answer, isPlaceholderData: old } = main;
  const look = lookOf(chart);
  const Figure = look === 'number' ? NumberFigure : s.view ? figures[s.view] : BreakdownFigure;
  const whole = isWhole(props.query, asked);
  return (
    <ExploreProvider
      value={{
        s,
        set: (patch) => {
          if (Object.keys(patch).every((key) => key === 'open')) props.setOpened(patch.open);
          else
            void navigate({
              to: '/explore',
              search: readSearch({ ...asked, ...patch }),
            });
        },
        zone: query.zone ?? answer?.zone ?? localZone(),
        query,
        answer,
        old,
        pending: main.isPending || old,
        error: main.error,
        retry: () => void main.refetch(),
        open: (mark, n) => !old && props.setOpened(opened(answer, mark, n)),
        save: undefined,
        fixed: chart.title,
      }}
    >
      <div data-testid="board-chart" data-width={chart.width ?? 'half'} className={css.boardChart}>
        <ChartCard
          title={chart.title}
          table={s.table ?? false}
          onSave={
            answer && !old
              ? (format) => saveTable(query, stamp(answer.asOf), suggest(chart.title, []), format)
              : undefined
          }
          pending={main.isPending || old}
          old={old}
          foot={answer && <Foot />}
          tools={
            <QuietMenu
              width={230}
              target={
                <ActionIcon variant="default" size={30} aria-label={`Chart: ${chart.title}`}>
                  <Icon name="more" size={16} />
                </ActionIcon>
              }
            >
              {whole && (
                <Menu.Item
                  leftSection={<Icon name="explore" size={15} />}
                  onClick={() => navigate({ to: '/explore', search: readSearch({ ...asked }) })}
                >
                  Open in Explore
                </Menu.Item>
              )}
              {!readOnly && (
                <>
                  <Menu.Item onClick={() => setRenaming(true)}>Rename …</Menu.Item>
                  <Menu.Item disabled={props.at === 0} onClick={() => props.move(-1)}>
                    Move up
                  </Menu.Item>
                  <Menu.Item disabled={props.at === props.of - 1} onClick={() => props.move(1)}>
                    Move down
                  </Menu.Item>
                  <Menu.Item
                    onClick={() =>
                      change({ ...chart, width: chart.width === 'full' ? 'half' : 'full' })
                    }
                  >
                    {chart.width === 'full' ? 'Half the width' : 'The whole width'}
                  </Menu.Item>
                  {looksOf(chart.query)
                    .filter((l) => l !== look)
                    .map((l) => (
                      <Menu.Item key={l} onClick={() => change({ ...chart, as: l })}>
                        Show as {looks[l].toLowerCase()}
                      </Menu.Item>
                    ))}
                  <Menu.Item
                    leftSection={<Icon name="trash" size={15} />}
                    onClick={() => change(undefined)}
                  >
                    Remove
                  </Menu.Item>
                </>
              )}
            </QuietMenu>
          }
        >
          {main.error && (!answer || old) ? (
            <Failure error={main.error} retry={main.refetch} />
          ) : !answer ? (
            <Loading rows={4} />
          ) : look !== 'number' && empty(answer) ? (
            <Empty
              icon="explore"
              title="0 users"
              cause="Nobody did this in the time that is shown: it fills by itself as they do."
              action={
                whole ? (
                  <LinkButton to="/explore" search={readSearch({ ...asked })} size="xs">
                    Look into it in Explore
                  </LinkButton>
                ) : (
                  <Button size="xs" onClick={() => void main.refetch()}>
                    Ask again
                  </Button>
                )
              }
            />
          ) : (
            <Figure />
          )}
        </ChartCard>
      </div>
      <People />
      {renaming && (
        <Rename
          title={chart.title}
          onDone={(title) => {
            if (title) change({ ...chart, title });
            setRenaming(false);
          }}
        />
      )}
    </ExploreProvider>
  );
}

function Rename({ title, onDone }: { title: string; onDone: (title?: string) => void }) {
  const [text, setText] = useState(title);
  return (
    <Modal
      opened
      onClose={() => onDone()}
      title="Rename the chart"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <form
        className={css.dialog}
        onSubmit={(e) => {
          e.preventDefault();
          if (text.trim() !== '') onDone(text.trim());
        }}
      >
        <TextInput
          label="Title"
          value={text}
          maxLength={120}
          error={text.trim() === '' && 'It needs a title'}
          onChange={(e) => setText(e.currentTarget.value)}
          data-autofocus
        />
        <Button type="submit">Rename</Button>
      </form>
    </Modal>
  );
}
