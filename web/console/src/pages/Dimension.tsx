import { Button } from '@mantine/core';
import { useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { useMemo } from 'react';
import { type Definition, useDefinitions, useDimensions, useTraits } from '../api/queries';
import { Bars } from '../chart/Bars';
import { Absent } from '../definition/Absent';
import { Frame } from '../definition/Frame';
import { useEditor } from '../definition/useEditor';
import { Buckets } from '../dimension/Buckets';
import css from '../dimension/dimension.module.css';
import { Histogram } from '../dimension/Histogram';
import { Source } from '../dimension/Source';
import {
  behaviorOf,
  bins,
  blank,
  complete,
  edges,
  oddities,
  ordered,
  type Spec,
  words,
} from '../dimension/spec';
import type { Answer, Dimension as By } from '../explore/measure';
import { localZone } from '../explore/useExplore';
import { download, useMeasure } from '../explore/useMeasure';
import { dimensionTitle, suggest, valueWords } from '../explore/words';
import { plural } from '../format/number';
import { Mistakes, wordsOf } from '../trigger/Mistakes';
import { put } from '../trigger/spec';
import trigger from '../trigger/trigger.module.css';
import { textOf } from '../trigger/yaml';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { failed } from '../ui/notice';
import { Card } from '../ui/Page';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import ui from '../ui/ui.module.css';

type Saved = Definition<Spec>;

/** A dimension that exists: defined, or built in. */
export default function Dimension() {
  const { name } = useParams({ from: '/dimensions/$name' });
  const defined = useDefinitions<Spec & { name?: string; kind?: string }>('dimension');
  const all = useDimensions();
  const found = defined.data?.definitions.find((d) => d.name === name);
  const saved = useMemo((): Saved | undefined => {
    if (!found) return undefined;
    const { name: _, kind: __, ...spec } = found.spec;
    return { ...found, spec };
  }, [found]);
  const known = all.data?.dimensions.find((d) => d.name === name);
  const builtIn = known?.builtIn === true;
  const error = defined.error ?? all.error;
  if (defined.data && all.data && (saved || builtIn)) {
    const start = saved?.spec ?? {
      ...(known?.description ? { description: known.description } : {}),
      ...(known?.spec as Spec),
    };
    return <Editor key={name} saved={saved} fixed={name} builtIn={builtIn} start={start} />;
  }
  return (
    <Absent
      kind="dimension"
      name={name}
      title={dimensionTitle(name)}
      answer={{
        data: defined.data && all.data,
        error,
        refetch: () => {
          void defined.refetch();
          void all.refetch();
        },
      }}
    />
  );
}

/** A dimension that does not exist yet. */
export function NewDimension() {
  const { field = '' } = useSearch({ from: '/new/dimension' });
  return (
    <Editor
      key={field}
      saved={undefined}
      fixed={undefined}
      builtIn={false}
      start={field ? { field } : blank}
    />
  );
}

const short = ['days', 'events', 'recency', 'sum', 'during', 'in'];

function Editor(props: {
  saved: Saved | undefined;
  /** Its name, if it has one. */
  fixed: string | undefined;
  builtIn: boolean;
  start: Spec;
}) {
  const { saved, fixed } = props;
  const navigate = useNavigate();
  const editor = useEditor<Spec>({
    kind: 'dimension',
    saved,
    fixed,
    blank: fixed ? props.start : blank,
    start: props.start,
    suggest: (spec) => suggest(words(spec), []),
    toText: (name, spec) => textOf('dimension', name, ordered(spec), short),
    shape: { description: 'text', buckets: [{}] },
    complete,
    lacks: (spec) => (complete(spec) ? undefined : 'It does not say of what yet'),
    // what is built in and is saved stays on its page
    onMade: fixed
      ? undefined
      : (name) => void navigate({ to: '/dimensions/$name', params: { name }, replace: true }),
  });
  const { spec, asked, askable, problems, change, readOnly } = editor;
  return (
    <Frame
      editor={editor}
      title={fixed ? dimensionTitle(fixed) : 'New dimension'}
      lede={complete(spec) ? `${words(spec)}.` : 'By what should users be grouped?'}
      {...(props.builtIn ? { remove: 'Go back to what is built in' } : {})}
      cost={
        props.builtIn
          ? 'What was edited is dropped, and the dimension that comes with Heed takes its place.'
          : 'Charts that use it will say that it does not exist. Its versions stay and it can be written again.'
      }
      form={
        <div className={trigger.body}>
          <Source spec={spec} set={change} readOnly={readOnly} />
          <Mistakes all={problems.map((p) => ({ where: p.path ?? '', message: wordsOf(p) }))} />
        </div>
      }
    >
      <Counts
        name={editor.name}
        spec={askable && problems.length === 0 ? asked : undefined}
        edited={spec}
        set={change}
        readOnly={readOnly}
      />
    </Frame>
  );
}

const one = (spec: Spec): By => {
  const { description: _, ...rest } = spec;
  return rest as unknown as By;
};

/** The values as numbers, if all of them are. */
function pointsOf(answer: Answer | undefined) {
  const rows = (answer?.breakdown?.rows ?? []).filter((r) => r.values[0] !== null);
  const points = rows.map((r) => ({ at: Number(r.values[0]), users: r.count }));
  const numbers =
    points.length > 0 &&
    rows.every((r) => r.values[0] !== '' && Number.isFinite(Number(r.values[0])));
  return numbers ? points : undefined;
}

/** How users spread over the numbers and the buckets, counted again at every change. */
function Counts(props: {
  name: string;
  /** What can be asked about; undefined: nothing at the moment. */
  spec: Spec | undefined;
  edited: Spec;
  set: (spec: Spec) => void;
  readOnly: boolean;
}) {
  const { spec, edited } = props;
  const zone = useMemo(localZone, []);
  const traits = useTraits();
  const trait = traits.data?.traits.find((t) => t.field === spec?.field);
  const bare = useMemo(() => {
    if (!spec) return undefined;
    const { buckets: _, ...rest } = spec;
    return rest;
  }, [spec]);
  const ask = (of: Spec | undefined) => of && { zone, breakdown: { by: [one(of)], top: 1000 } };
  const raw = useMeasure(ask(bare), { as: 'raw', live: true });
  const inBuckets = useMeasure(ask(spec?.buckets?.length ? spec : undefined), {
    as: 'buckets',
    live: true,
  });
  const all = raw.data?.breakdown;
  const points = pointsOf(raw.data);
  const numeric =
    behaviorOf(edited) !== undefined ||
    points !== undefined ||
    (trait?.types.includes('number') ?? false) ||
    (edited.buckets ?? []).some((b) => !b.in);

  // More different numbers than an answer has rows: the bars are counted as buckets.
  const cuts = useMemo(() => {
    if (!points || !all?.other) return undefined;
    const at = points.map((p) => p.at);
    return edges(trait?.least ?? Math.min(...at), trait?.greatest ?? Math.max(...at));
  }, [points, all?.other, trait]);
  const coarse = useMeasure(
    cuts && bare
      ? ask({
          ...bare,
          buckets: cuts.slice(0, -1).map((from, i) => ({ name: `${i}`, from, below: cuts[i + 1] })),
        } as Spec)
      : undefined,
    { as: 'coarse' },
  );
  const bars = cuts
    ? cuts.slice(0, -1).map((from, i) => ({
        from,
        below: cuts[i + 1] as number,
        users: coarse.data?.breakdown?.rows.find((r) => r.values[0] === `${i}`)?.count ?? 0,
      }))
    : points && bins(points);

  const buckets = edited.buckets ?? [];
  const users = inBuckets.data?.breakdown
    ? new Map(inBuckets.data.breakdown.rows.map((r) => [r.values[0] ?? null, r.count]))
    : undefined;
  const pending =
    (raw.isFetching && raw.isPlaceholderData) ||
    (inBuckets.isFetching && inBuckets.isPlaceholderData) ||
    (spec !== undefined && spec !== edited);
  return (
    <Card
      title={numeric ? 'Numbers and buckets' : 'Values'}
      aside={
        <div className={ui.meta}>
          <AsOf at={raw.data && raw.data.asOf / 1000} />
          <Button
            size="xs"
            variant="default"
            leftSection={<Icon name="download" size={14} />}
            disabled={!spec}
            onClick={() =>
              download('/measures:query', ask(spec) as object, props.name).catch((error) =>
                failed('No file', error),
              )
            }
          >
            CSV
          </Button>
        </div>
      }
    >
      <div className={ui.stack} aria-busy={pending} data-testid="dimension-counts">
        {!spec ? (
          <p className={trigger.plain}>
            {complete(edited)
              ? 'Not while something is wrong with it.'
              : 'Pick what it is of: this shows how users spread over it.'}
          </p>
        ) : raw.error && !raw.data ? (
          <Failure error={raw.error} retry={() => void raw.refetch()} />
        ) : !all ? (
          <Loading rows={4} />
        ) : all.total === 0 ? (
          <Empty
            icon="users"
            title="Nobody to group"
            cause="No user has been seen yet, so every bucket is empty: send an event first."
            action={<LinkButton to="/">See how to send one</LinkButton>}
          />
        ) : numeric ? (
          <>
            {bars && bars.length > 0 ? (
              <div className={raw.isPlaceholderData ? css.old : undefined}>
                <Histogram bins={bars} buckets={buckets} />
              </div>
            ) : (
              <p className={trigger.plain}>
                Nobody has a number here: {plural(all.total, 'user')} without a value.
              </p>
            )}
            <Buckets
              buckets={buckets}
              users={buckets.length > 0 ? users : undefined}
              total={all.total}
              old={inBuckets.isPlaceholderData}
              set={(next) => props.set(put(edited, 'buckets', next))}
              readOnly={props.readOnly}
            />
            <Mistakes all={oddities(buckets).map((message) => ({ message }))} />
          </>
        ) : (
          <Bars
            label={`Users by ${dimensionTitle(props.name)}`}
            noun="users"
            total={all.total}
            bars={[
              ...(users && inBuckets.data?.breakdown ? inBuckets.data.breakdown : all).rows
                .slice(0, 30)
                .map((r) => ({
                  key: String(r.values[0]),
                  label: valueWords(spec.field ?? props.name, r.values[0] ?? null),
                  value: r.count,
                  soft: r.values[0] === null,
                })),
            ]}
          />
        )}
      </div>
    </Card>
  );
}
