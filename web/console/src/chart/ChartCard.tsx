import { Button, SegmentedControl, Title } from '@mantine/core';
import type { ReactNode } from 'react';
import { Icon } from '../ui/Icon';
import ui from '../ui/ui.module.css';
import css from './chart.module.css';

/**
 * The frame of a chart: what it shows, its twin as a table, its numbers as a file, and whether a
 * newer answer is on its way.
 */
export function ChartCard(props: {
  title: string;
  about?: ReactNode;
  /** Between the heading and the chart: what is asked. */
  asked?: ReactNode;
  table: boolean;
  /** Absent: it is shown in one way. */
  onTable?: (table: boolean) => void;
  onSave?: ((format: 'csv' | 'parquet') => void) | undefined;
  /** What else can be done. */
  tools?: ReactNode;
  /** An answer is awaited. */
  pending: boolean;
  /** What is shown answers the question before. */
  old: boolean;
  foot?: ReactNode;
  children: ReactNode;
}) {
  return (
    <section className={`${ui.card} ${css.card}`} aria-label={props.title} data-testid="chart">
      {props.pending && <div className={css.pending} data-testid="pending" />}
      <div className={ui.cardHead}>
        <div style={{ flex: '1 1 120px', minWidth: 0 }}>
          <Title order={2}>{props.title}</Title>
          {props.about && <div className={ui.statHint}>{props.about}</div>}
        </div>
        <div className={css.tools}>
          {props.onTable && (
            <SegmentedControl
              size="xs"
              aria-label="Show as"
              value={props.table ? 'table' : 'chart'}
              data={[
                { value: 'chart', label: 'Chart' },
                { value: 'table', label: 'Table' },
              ]}
              onChange={(v) => props.onTable?.(v === 'table')}
            />
          )}
          {(['csv', 'parquet'] as const).map((format) => (
            <Button
              key={format}
              size="xs"
              variant="default"
              leftSection={<Icon name="download" size={14} />}
              disabled={!props.onSave}
              onClick={() => props.onSave?.(format)}
            >
              {format === 'csv' ? 'CSV' : 'Parquet'}
            </Button>
          ))}
          {props.tools}
        </div>
      </div>
      {props.asked}
      <div className={props.old ? css.old : undefined} aria-busy={props.pending}>
        {props.children}
      </div>
      {props.foot && <div className={ui.foot}>{props.foot}</div>}
    </section>
  );
}
