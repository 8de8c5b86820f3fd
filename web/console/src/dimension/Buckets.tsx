import { ActionIcon, Button, NumberInput, TextInput } from '@mantine/core';
import { share } from '../chart/share';
import { count } from '../format/number';
import { Icon } from '../ui/Icon';
import css from './dimension.module.css';
import { addBucket, type Bucket, boundsWords } from './spec';

/** The buckets with how many users are in each, changing while they are edited. */
export function Buckets(props: {
  buckets: readonly Bucket[];
  /** Users by the name of a bucket; null: in none. Undefined while they are counted. */
  users: ReadonlyMap<string | null, number> | undefined;
  total: number;
  old: boolean;
  set: (buckets: Bucket[]) => void;
  readOnly: boolean;
}) {
  const { buckets, users, total, set, readOnly } = props;
  const top = Math.max(1, ...(users?.values() ?? []));
  const put = (i: number, patch: Partial<Bucket>) =>
    set(
      buckets.map((b, n) => {
        if (n !== i) return b;
        const next = { ...b, ...patch };
        for (const key of ['from', 'below'] as const) if (next[key] === undefined) delete next[key];
        return next;
      }),
    );
  const bound = (i: number, key: 'from' | 'below', b: Bucket) => (
    <NumberInput
      size="xs"
      aria-label={`${b.name}: ${key === 'from' ? 'from' : 'to under'}`}
      placeholder={key === 'from' ? 'no least' : 'no greatest'}
      value={b[key] ?? ''}
      onChange={(n) => put(i, { [key]: typeof n === 'number' ? n : undefined })}
      readOnly={readOnly}
      hideControls
    />
  );
  const bar = (n: number | undefined) => (
    <>
      <svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
        <rect width="100" height="10" rx="2" fill="var(--heed-track)" />
        <rect width={((n ?? 0) / top) * 100} height="10" rx="2" fill="var(--heed-bar)" />
      </svg>
      <span className={css.number} title={n === undefined ? '' : share(n, total)}>
        {n === undefined ? '…' : count(n)}
      </span>
    </>
  );
  const rest = users?.get(null) ?? 0;
  return (
    <div className={props.old ? css.old : undefined} data-testid="buckets">
      <div className={css.bucketHead} aria-hidden="true">
        <span />
        <span>Bucket</span>
        <span>From</span>
        <span>To under</span>
        <span />
        <span className={css.number}>Users</span>
        <span />
      </div>
      <ul className={css.buckets}>
        {buckets.map((b, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a bucket is its place
          <li key={i} className={css.bucket} data-testid="bucket">
            <span className={css.swatch} data-bucket={i} aria-hidden="true" />
            <TextInput
              size="xs"
              aria-label={`Name of bucket ${i + 1}`}
              value={b.name}
              onChange={(e) => put(i, { name: e.currentTarget.value })}
              readOnly={readOnly}
            />
            {b.in ? (
              <span style={{ gridColumn: 'span 2' }}>{boundsWords(b)}</span>
            ) : (
              <>
                {bound(i, 'from', b)}
                {bound(i, 'below', b)}
              </>
            )}
            {bar(users && (users.get(b.name) ?? 0))}
            {readOnly ? (
              <span />
            ) : (
              <ActionIcon
                variant="subtle"
                size="sm"
                aria-label={`Remove: ${b.name}`}
                onClick={() => set(buckets.filter((_, n) => n !== i))}
                c="var(--heed-muted)"
              >
                <Icon name="close" size={14} />
              </ActionIcon>
            )}
          </li>
        ))}
        {users && (
          <li className={css.bucket}>
            <span className={css.swatch} data-bucket="none" aria-hidden="true" />
            <span className={css.none}>In none, or without a value</span>
            <span />
            <span />
            {bar(rest)}
            <span />
          </li>
        )}
      </ul>
      {!readOnly && (
        <Button
          size="xs"
          variant="default"
          leftSection={<Icon name="plus" size={14} />}
          onClick={() => set(addBucket(buckets))}
        >
          Add a bucket
        </Button>
      )}
    </div>
  );
}
