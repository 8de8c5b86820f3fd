import { Button, Drawer, UnstyledButton } from '@mantine/core';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import type { Schema } from '../api/client';
import { useDimensions, useTraits } from '../api/queries';
import { useMay } from '../api/session';
import { Bars } from '../chart/Bars';
import { share } from '../chart/share';
import css from '../dimension/dimension.module.css';
import { type Spec, words } from '../dimension/spec';
import { localZone } from '../explore/useExplore';
import { download, useMeasure } from '../explore/useMeasure';
import { dimensionTitle, valueWords } from '../explore/words';
import { compact, count, plural } from '../format/number';
import { list } from '../format/pattern';
import { fullTime } from '../format/time';
import { DataTabs } from '../shell/DataTabs';
import { CsvButton } from '../ui/CsvButton';
import { Filter, Rest, useFound } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { failed } from '../ui/notice';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Pill } from '../ui/Status';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import ui from '../ui/ui.module.css';

type Trait = Schema['KnownTrait'];

/** What is known of users, and how they are grouped. */
export default function Traits() {
  const traits = useTraits();
  const dimensions = useDimensions();
  const groups = useFound(dimensions.data?.dimensions ?? [], (d) => [
    d.name,
    dimensionTitle(d.name),
    d.description,
  ]);
  const found = useFound(traits.data?.traits ?? [], (t) => [t.name, ...t.values.map(valueText)]);
  const may = useMay('marketer');
  const { open } = useSearch({ from: '/data/traits' });
  const navigate = useNavigate({ from: '/data/traits' });
  const show = (name: string | undefined) =>
    navigate({ search: (old) => ({ ...old, open: name }) });
  const opened = traits.data?.traits.find((t) => t.name === open);
  return (
    <Page
      title="Data"
      lede="What users are, and the groups that it puts them into."
      actions={
        <>
          <AsOf at={traits.data && new Date(traits.data.asOf)} />
          {may && (
            <LinkButton to="/new/dimension" size="xs" leftSection={<Icon name="plus" size={14} />}>
              New dimension
            </LinkButton>
          )}
        </>
      }
    >
      <DataTabs />
      <div className={ui.stack}>
        <Card title="Dimensions" flush>
          {dimensions.error && !dimensions.data ? (
            <Failure error={dimensions.error} retry={dimensions.refetch} />
          ) : !dimensions.data ? (
            <Loading />
          ) : (
            <>
              <Filter
                found={{
                  ...found,
                  of: found.of + groups.of,
                  all: [...found.all, ...groups.all],
                }}
                many="dimensions and traits"
              />
              <ul className={rows.rows} data-testid="dimensions">
                {groups.shown.map((d) => (
                  <DimensionRow key={d.name} dimension={d} />
                ))}
              </ul>
              <Rest found={groups} one="dimension" />
            </>
          )}
        </Card>
        <Card
          title="Traits"
          flush
          aside={
            traits.data?.users !== undefined && (
              <span className={ui.meta}>
                <span className={ui.asOf}>of {plural(traits.data.users, 'user')}</span>
                <CsvButton
                  name="traits"
                  head={['trait', 'types', 'users']}
                  disabled={traits.data.traits.length === 0}
                  rows={() =>
                    (traits.data?.traits ?? []).map((t) => [t.name, t.types.join('; '), t.users])
                  }
                />
              </span>
            )
          }
        >
          {traits.error && !traits.data ? (
            <Failure error={traits.error} retry={traits.refetch} />
          ) : !traits.data ? (
            <Loading />
          ) : traits.data.traits.length === 0 ? (
            <Empty
              icon="users"
              title="No traits yet"
              cause="No identify call has carried any: traits are what an identify call says of a user, such as a plan or a first name."
              action={<LinkButton to="/users">See how to send one</LinkButton>}
            />
          ) : (
            <>
              <ul className={rows.rows} data-testid="traits">
                {found.shown.map((t) => (
                  <li key={t.name} className={rows.row}>
                    <UnstyledButton
                      className={rows.itemLink}
                      style={{ flexWrap: 'wrap' }}
                      onClick={() => show(t.name)}
                    >
                      <span className={rows.itemText} style={{ flexBasis: 220 }}>
                        <span className={rows.itemTitle}>{t.name}</span>{' '}
                        <span className={ui.statHint}>{typeWords(t)}</span>
                        <span className={rows.itemHint} style={{ display: 'block' }}>
                          {glimpse(t)}
                        </span>
                      </span>
                      <Coverage trait={t} all={traits.data.users} />
                      <Chevron />
                    </UnstyledButton>
                  </li>
                ))}
              </ul>
              <Rest found={found} one="trait" />
              {(traits.data.users === undefined || !traits.data.complete) && (
                <p className={ui.foot}>
                  {traits.data.users === undefined
                    ? 'Only what was seen since the start: the behavioral index is not there yet, so nobody has been counted.'
                    : 'There are more traits than the behavioral index keeps; those seen since the start are listed too.'}
                </p>
              )}
            </>
          )}
        </Card>
      </div>
      <Drawer
        opened={opened !== undefined}
        onClose={() => show(undefined)}
        position="right"
        size={520}
        title={<b>{opened?.name}</b>}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {opened && <Details trait={opened} all={traits.data?.users} may={may} />}
      </Drawer>
    </Page>
  );
}

/** That a row leads somewhere, where there is room to say so. */
const Chevron = () => (
  <span className={ui.wide}>
    <Icon name="chevron" size={16} />
  </span>
);

const typeWords = (t: Trait): string => list([...t.types], 'or') || 'type not known';

const valueText = ({ value }: { value?: unknown }): string => {
  // what is in it has traits' worth of its own: here only what it holds
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return list(Object.keys(value), 'and') || '{}';
  if (typeof value !== 'string') return JSON.stringify(value);
  if (/^\d{4}-\d\d-\d\dT/.test(value)) return fullTime(new Date(value));
  return value || '(empty)';
};

/** Some of its values. */
function glimpse(t: Trait): string {
  const some = [...new Set(t.values.slice(0, 5).map(valueText))].join(', ');
  if (some === '') return 'values not shown';
  // objects that hold the same are not the same
  if (t.types.includes('object')) return `holds ${some}`;
  return (t.distinct ?? 0) > 5 ? `${some} and ${count((t.distinct ?? 0) - 5)} more` : some;
}

/** How many users have the trait; what the index cannot know is asked of the facts. */
function useCoverage(t: Trait): number | undefined {
  const asked = useMeasure(
    t.users === undefined
      ? { users: { limit: 0 }, audience: { where: { field: t.field, op: 'exists' } } }
      : undefined,
    { as: `trait ${t.name}` },
  );
  return t.users ?? asked.data?.users?.total;
}

function Coverage({ trait, all }: { trait: Trait; all: number | undefined }) {
  const users = useCoverage(trait);
  return (
    <span className={css.coverage}>
      <svg viewBox="0 0 100 8" preserveAspectRatio="none" className={css.strip} aria-hidden="true">
        <rect width="100" height="8" fill="var(--heed-track)" />
        {users !== undefined && all !== undefined && all > 0 && (
          <rect width={Math.min(100, (users / all) * 100)} height="8" fill="var(--heed-bar)" />
        )}
      </svg>
      <span className={ui.muted}>
        {users === undefined
          ? 'not counted yet'
          : `${plural(users, 'user')}${all ? `, ${share(users, all)}` : ''}`}
      </span>
    </span>
  );
}

/** A trait, its values, and what can be made of it. */
function Details({ trait, all, may }: { trait: Trait; all: number | undefined; may: boolean }) {
  const users = useCoverage(trait);
  // objects that hold the same are not the same: there is no telling them apart in a word
  const counted = trait.types.includes('object')
    ? []
    : trait.values.filter((v) => v.users !== undefined);
  return (
    <div className={ui.stack} data-testid="trait">
      <dl className={ui.facts}>
        <dt>Type</dt>
        <dd>{typeWords(trait)}</dd>
        <dt>Users with it</dt>
        <dd>
          {users === undefined
            ? 'Not counted: the behavioral index is not there yet'
            : `${count(users)}${all ? ` of ${count(all)}, ${share(users, all)}` : ''}`}
        </dd>
        {trait.distinct !== undefined && (
          <>
            <dt>Different values</dt>
            <dd>{count(trait.distinct)}</dd>
          </>
        )}
        {trait.least !== undefined && trait.greatest !== undefined && (
          <>
            <dt>Numbers</dt>
            <dd>
              from {trait.least} to {trait.greatest}
            </dd>
          </>
        )}
      </dl>
      <div className={ui.titleLine}>
        {may && (
          <LinkButton to="/new/dimension" search={{ field: trait.field }} size="xs">
            Make a dimension of it
          </LinkButton>
        )}
        <Csv by={{ field: trait.field }} name={`trait-${trait.name}`} />
      </div>
      <section aria-label="Values">
        <h3 className={ui.small}>
          {counted.length > 0 ? 'Most frequent values' : 'Values that were seen'}
        </h3>
        {counted.length > 0 ? (
          <Bars
            label={`Users by ${trait.name}`}
            narrow
            noun="users"
            total={users ?? 0}
            bars={counted.map((v) => ({
              key: JSON.stringify(v.value),
              label: valueText(v),
              value: v.users ?? 0,
            }))}
          />
        ) : (
          <p className={ui.muted}>
            {trait.types.includes('object')
              ? glimpse(trait)
              : trait.values.map(valueText).join(', ') || 'None since the start.'}
          </p>
        )}
      </section>
    </div>
  );
}

/** All values with their users, as a file. */
function Csv({ by, name }: { by: object; name: string }) {
  return (
    <Button
      size="xs"
      variant="default"
      leftSection={<Icon name="download" size={14} />}
      onClick={() =>
        download('/measures:query', { breakdown: { by: [by], top: 1000 } }, name).catch((error) =>
          failed('No file', error),
        )
      }
    >
      CSV
    </Button>
  );
}

/** A dimension with how many users are in each of its buckets. */
function DimensionRow({ dimension: d }: { dimension: Schema['Dimension'] }) {
  const zone = useMemo(localZone, []);
  const spec = d.spec as Spec;
  const counts = useMeasure(
    { zone, breakdown: { by: [{ dimension: d.name }], top: 100 } },
    { live: true, as: `dimension ${d.name}` },
  );
  const found = counts.data?.breakdown;
  const order = spec.buckets?.map((b) => b.name);
  const timed = /^(?:acquisition|lastTouch)\.(day|week|month)$/.test(spec.field ?? '');
  const all = (found?.rows ?? []).toSorted((a, b) =>
    order
      ? place(order, a.values[0]) - place(order, b.values[0])
      : timed
        ? (b.values[0] ?? '').localeCompare(a.values[0] ?? '')
        : 0,
  );
  const shown = all.slice(0, 5);
  const rest = (found?.total ?? 0) - shown.reduce((n, r) => n + r.count, 0);
  return (
    <li className={rows.row}>
      <Link
        to="/dimensions/$name"
        params={{ name: d.name }}
        className={rows.itemLink}
        style={{ flexWrap: 'wrap' }}
      >
        <span className={rows.itemText} style={{ flexBasis: 220 }}>
          <span className={rows.itemTitle}>{dimensionTitle(d.name)}</span>{' '}
          <Pill color={d.defined ? 'brand' : 'gray'}>
            {d.defined ? (d.builtIn ? 'Edited' : 'Defined') : 'Built in'}
          </Pill>
          <span className={rows.itemHint} style={{ display: 'block' }}>
            {d.description || words(spec)}
          </span>
        </span>
        <span className={css.split} style={{ flex: '1 1 320px' }}>
          {counts.error && !counts.data ? (
            <span>could not be counted: it is asked again</span>
          ) : !found ? (
            <span>counting …</span>
          ) : found.total === 0 ? (
            <span>nobody: no user has been seen yet</span>
          ) : (
            <>
              {shown.map((r) => (
                <span key={String(r.values[0])}>
                  {valueWords(d.name, r.values[0] ?? null)} <b>{compact(r.count)}</b>
                </span>
              ))}
              {rest > 0 && (
                <span>
                  others <b>{compact(rest)}</b>
                </span>
              )}
            </>
          )}
        </span>
        <Chevron />
      </Link>
    </li>
  );
}

const place = (order: readonly string[], value: string | null | undefined): number =>
  (order.indexOf(value ?? '') + order.length + 1) % (order.length + 1);
