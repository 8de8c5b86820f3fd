import { Button, TextInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { type ReactNode, useState } from 'react';
import { useEventFields, useKind } from '../api/queries';
import { FormChip } from '../trigger/Chip';
import css from './explore.module.css';
import { RangeChooser } from './RangeChooser';
import { byOf, readSearch, type Search, type View } from './state';
import { useExplore } from './useExplore';
import { dimensionTitle } from './words';

const events = 'event.event';

/** Dimensions that exist without a definition. */
const builtIn = [
  'engagement',
  'acquisition-month',
  'acquisition-source',
  'last-touch-source',
  'country',
  'device',
];
const more = [
  'user.os',
  'user.browser',
  'user.locale',
  'user.timezone',
  'acquisition.week',
  'acquisition.day',
  'acquisition.medium',
  'acquisition.campaign',
  'lastTouch.month',
  'lastTouch.week',
  'lastTouch.day',
  'lastTouch.medium',
  'lastTouch.campaign',
];
const views: [View, string][] = [
  ['funnel', 'Funnel'],
  ['trend', 'Trend'],
  ['retention', 'Retention'],
  ['paths', 'Paths'],
];

export interface DimensionSpec {
  description?: string;
  buckets?: { name: string }[];
}

export const useDimensions = () => useKind<DimensionSpec>('dimension');

/** Who they are, by dimension, and what they do. */
export function Views() {
  const { s } = useExplore();
  const defined = useDimensions();
  const names = (defined.data?.definitions ?? []).map((d) => d.name);
  const by = byOf(s);
  const shown = [...builtIn, ...names.filter((n) => !builtIn.includes(n))];
  if (!shown.includes(by) && by !== events) shown.push(by);
  return (
    <div className={css.views}>
      <nav aria-label="Who they are" className={css.viewRow}>
        <span className={css.viewLabel} aria-hidden="true">
          Who they are
        </span>
        <div className={css.tabs}>
          {shown.map((name) => (
            <Tab key={name} on={!s.view && by === name} to={{ view: undefined, by: name }}>
              {dimensionTitle(name)}
            </Tab>
          ))}
          <MoreDimensions />
        </div>
      </nav>
      <nav aria-label="What they do" className={css.viewRow}>
        <span className={css.viewLabel} aria-hidden="true">
          What they do
        </span>
        <div className={css.tabs}>
          <Tab on={!s.view && by === events} to={{ view: undefined, by: events }}>
            Events
          </Tab>
          {views.map(([view, title]) => (
            <Tab key={view} on={s.view === view} to={{ view }}>
              {title}
            </Tab>
          ))}
        </div>
        <div className={css.range}>
          <RangeChooser />
        </div>
      </nav>
    </div>
  );
}

function Tab(props: { on: boolean; to: Partial<Search>; children: ReactNode }) {
  return (
    <Link
      from="/explore"
      to="/explore"
      search={(old) => readSearch({ ...old, open: undefined, ...props.to })}
      resetScroll={false}
      className={css.tab}
      data-on={props.on || undefined}
      activeOptions={{ exact: true, includeSearch: true }}
      aria-current={props.on ? 'page' : false}
    >
      {props.children}
    </Link>
  );
}

/** Any trait, and the fields that are rarely asked for. */
function MoreDimensions() {
  const { set } = useExplore();
  const [field, setField] = useState('');
  const traits = useEventFields(['identify'])
    .map((f) => f.field.replace(/^event\./, ''))
    .filter((f) => f.startsWith('traits.') && !/email|phone|name/i.test(f));
  return (
    <FormChip what="Dimension" label="More" width={280}>
      {(close) => {
        const take = (by: string) => {
          close();
          set({ view: undefined, by });
        };
        return (
          <div className={css.moreForm}>
            {[...traits, ...more].map((each) => (
              <Button
                key={each}
                size="compact-sm"
                variant="subtle"
                justify="flex-start"
                onClick={() => take(each)}
              >
                {each.startsWith('traits.') ? `Trait: ${each.slice(7)}` : dimensionTitle(each)}
              </Button>
            ))}
            <form
              onSubmit={(e) => {
                e.preventDefault();
                const text = field.trim();
                if (text) take(text.includes('.') ? text : `traits.${text}`);
              }}
            >
              <TextInput
                size="xs"
                label="Any trait or property"
                placeholder="plan, or properties.category"
                value={field}
                onChange={(e) => setField(e.currentTarget.value)}
              />
            </form>
          </div>
        );
      }}
    </FormChip>
  );
}
