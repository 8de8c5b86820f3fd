import { Button, Drawer, Radio, Stack } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useState } from 'react';
import { count, plural } from '../format/number';
import { Icon } from '../ui/Icon';
import { failed } from '../ui/notice';
import rows from '../ui/rows.module.css';
import { Failure, Loading } from '../ui/states';
import { Ago, At } from '../ui/time';
import ui from '../ui/ui.module.css';
import { Composer } from './Composer';
import css from './explore.module.css';
import {
  type Answer,
  added,
  type FunnelStep,
  type Mark,
  type Node,
  type Query,
  stamp,
} from './measure';
import { SaveAudience } from './SaveAudience';
import { type Opened, openQuery } from './state';
import { useExplore } from './useExplore';
import { download, useMarkUsers } from './useMeasure';
import { markWords, stepWords, suggest } from './words';

/** Who is behind a mark: the drawer, while one is open. */
export function People() {
  const { s, set, zone, query, answer } = useExplore();
  const { open } = s;
  const asked = open && openQuery(s, zone, open, query);
  return (
    <Drawer
      opened={asked !== undefined}
      onClose={() => set({})}
      position="right"
      size={560}
      title="The people behind the number"
      closeButtonProps={{ 'aria-label': 'Close' }}
      returnFocus={false}
      data-testid="people"
    >
      {open && asked && <Body open={open} {...asked} answer={answer} />}
    </Drawer>
  );
}

function Body({
  open,
  query,
  mark,
  answer,
}: {
  open: Opened;
  query: Query;
  mark: Mark;
  answer: Answer | undefined;
}) {
  const { s, set, fixed } = useExplore();
  const users = useMarkUsers(query, mark, open.at);
  const [saving, setSaving] = useState(false);
  const chips = s.chips ?? [];
  const upTo = open.chips ?? chips.length;
  const words =
    open.chips === undefined
      ? query.users && fixed
        ? fixed
        : markWords(s, mark, answer)
      : (chips[open.chips - 1]?.words ?? 'All users');
  const within = open.chips === undefined ? upTo : Math.max(0, upTo - 1);
  const context = ['All users', ...chips.slice(0, within).map((c) => c.words)];
  const first = users.data?.pages[0];
  const list = users.data?.pages.flatMap((p) => p.users) ?? [];
  const tree = first?.audience as Node | undefined;
  const everybody = tree !== undefined && Object.keys(tree).length === 0;
  const named = [...context.slice(1), words].join(' and ');
  return (
    <div className={css.people}>
      <div>
        {(open.chips === undefined || open.chips > 0) && (
          <div className={css.context}>{context.join(' › ')}</div>
        )}
        <h3 className={css.peopleTitle}>{words}</h3>
      </div>
      {s.view === 'funnel' && mark.state === 'stuck' && (
        <Readings
          steps={s.funnel?.steps ?? []}
          mark={mark}
          choose={(step) => set({ open: { at: open.at, mark: { ...mark, step } } })}
        />
      )}
      {users.error && !first ? (
        <Failure error={users.error} retry={users.refetch} />
      ) : !first ? (
        <Loading rows={6} label="Loading the users" />
      ) : (
        <>
          <div>
            <div className={css.total}>
              <b className={css.totalNumber} data-testid="total">
                {count(first.total)}
              </b>{' '}
              {first.total === 1 ? 'user' : 'users'}
              <span className={css.hint}>
                as of <At at={new Date(open.at / 1000)} />
              </span>
            </div>
            {open.n !== undefined && open.n !== first.total && (
              <p className={css.drift} role="status">
                The chart said {count(open.n)} when you clicked. What happened before then and came
                in since has changed it: this is the number now.
              </p>
            )}
          </div>
          <div className={css.line}>
            <Button
              size="xs"
              variant="default"
              leftSection={<Icon name="download" size={14} />}
              onClick={() =>
                download(
                  '/measures:users',
                  { query: { ...query, asOf: stamp(open.at) }, mark },
                  suggest(words, []),
                ).catch((error: unknown) => failed('The file was not saved', error))
              }
            >
              CSV
            </Button>
            {open.chips === undefined && tree && (
              <Button
                size="xs"
                variant="default"
                leftSection={<Icon name="explore" size={14} />}
                onClick={() =>
                  set({
                    chips: [...chips, { words, node: added(tree, chips.length > 0) }],
                    view: undefined,
                  })
                }
              >
                Narrow to them
              </Button>
            )}
            {s.view === 'retention' && Boolean(mark.period) && (
              <Button
                size="xs"
                variant="default"
                onClick={() =>
                  set({ open: { at: open.at, mark: { ...mark, lost: !mark.lost || undefined } } })
                }
              >
                {mark.lost ? 'Those who came back' : 'Those who did not'}
              </Button>
            )}
            <Button
              size="xs"
              variant="default"
              leftSection={<Icon name="audience" size={14} />}
              disabled={everybody}
              aria-expanded={saving}
              onClick={() => setSaving((now) => !now)}
            >
              Save as audience
            </Button>
          </div>
          {saving && tree && (
            <SaveAudience
              tree={tree}
              words={words}
              described={named}
              at={open.at}
              total={first.total}
              onDone={() => setSaving(false)}
            />
          )}
          {tree && first.total > 0 && (
            <Composer
              tree={tree}
              words={words}
              described={named}
              total={first.total}
              newcomers={mark.state === 'stuck' ? 'new drop-outs' : 'new ones'}
            />
          )}
          {list.length === 0 ? (
            <p className={ui.none}>Nobody is here, so there is nobody to list.</p>
          ) : (
            <section className={ui.card} aria-label="Users">
              <ul className={rows.rows} data-testid="people-list">
                {list.map((user) => (
                  <li key={user.id} className={rows.row}>
                    <Link to="/users/$id" params={{ id: user.id }} className={rows.itemLink}>
                      <span className={rows.itemText}>
                        <span className={rows.itemTitle}>{user.name || user.id}</span>
                        <span className={rows.itemHint} style={{ display: 'block' }}>
                          {[
                            user.name && user.id,
                            user.email,
                            user.country,
                            !user.known && 'anonymous',
                          ]
                            .filter(Boolean)
                            .join(' · ') || 'known'}
                        </span>
                      </span>
                      {user.lastSeen && (
                        <span className={ui.asOf}>
                          <Ago at={user.lastSeen} />
                        </span>
                      )}
                    </Link>
                  </li>
                ))}
              </ul>
              <p className={ui.foot}>
                {users.hasNextPage ? (
                  <Button
                    size="xs"
                    variant="default"
                    loading={users.isFetchingNextPage}
                    onClick={() => users.fetchNextPage()}
                  >
                    Show more
                  </Button>
                ) : null}{' '}
                {list.length === first.total
                  ? `All ${plural(first.total, 'user')}`
                  : `${count(list.length)} of ${plural(first.total, 'user')}, by id`}
              </p>
            </section>
          )}
        </>
      )}
    </div>
  );
}

/** "Dropped at level 2" is said of two groups: those who got there and no further, and those who did not get there. */
function Readings(props: {
  steps: readonly FunnelStep[];
  mark: Mark;
  choose: (step: number) => void;
}) {
  const { steps, mark } = props;
  const [level] = useState(Math.max(2, mark.step ?? 2));
  const [before, here, after] = [steps[level - 2], steps[level - 1], steps[level]];
  if (!before || !here || !after) return null;
  return (
    <Radio.Group
      label={`“Dropped at level ${level}” can mean`}
      value={`${mark.step}`}
      onChange={(step) => props.choose(Number(step))}
      data-testid="readings"
    >
      <Stack gap={6} mt={6}>
        <Radio
          value={`${level}`}
          label={`got to level ${level} and no further: did ${stepWords(here)}, not ${stepWords(after)}`}
        />
        <Radio
          value={`${level - 1}`}
          label={`did not get to level ${level}: did ${stepWords(before)}, not ${stepWords(here)}`}
        />
      </Stack>
    </Radio.Group>
  );
}
