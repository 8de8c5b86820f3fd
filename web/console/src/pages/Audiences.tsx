import { Link } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { type Definition, useDefinitions, usePreview, useSizes } from '../api/queries';
import { useMay } from '../api/session';
import css from '../audience/audience.module.css';
import { History, State, Use } from '../audience/Rail';
import { type Spec, split, starters, words } from '../audience/tree';
import { compact, count, plural } from '../format/number';
import { reachWords, sentence } from '../format/words';
import { CsvButton } from '../ui/CsvButton';
import { Filter, Rest, useFound } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import ui from '../ui/ui.module.css';

type Size = Schema['Audience'];

const kinds: Record<Size['kind'], string> = {
  profile: 'by what they are',
  behavior: 'by what they did',
  frozen: 'frozen',
};

export default function Audiences() {
  const sizes = useSizes();
  const definitions = useDefinitions<Spec>('audience');
  const may = useMay('marketer');
  const list = sizes.data?.audiences ?? [];
  const found = useFound(list, (a) => [a.name, a.description, ...a.usedBy.map((u) => u.name)]);
  return (
    <Page
      title="Audiences"
      lede="Segments: named sets of users, by what they are and what they did."
      actions={
        <>
          <AsOf at={sizes.dataUpdatedAt || undefined} />
          <CsvButton
            name="audiences"
            head={[
              'audience',
              'kind',
              'users',
              'entered 24 h',
              'left 24 h',
              'reachable',
              'used by',
            ]}
            disabled={list.length === 0}
            rows={() =>
              found.all.map((a) => [
                a.name,
                a.kind,
                a.size,
                a.entered24h,
                a.left24h,
                a.reachable.map((r) => `${r.channel} ${reachWords(r, String)}`).join('; '),
                a.usedBy.map((u) => `${u.kind} ${u.name}`).join('; '),
              ])
            }
          />
          {may && (
            <LinkButton to="/new/audience" size="xs" leftSection={<Icon name="plus" size={14} />}>
              New audience
            </LinkButton>
          )}
        </>
      }
    >
      <Card flush label="Audiences">
        {sizes.error && !sizes.data ? (
          <Failure error={sizes.error} retry={sizes.refetch} />
        ) : !sizes.data ? (
          <Loading />
        ) : list.length === 0 ? (
          <Starters may={may} />
        ) : (
          <>
            <Filter found={found} many="audiences" />
            <div className={css.rowHead} aria-hidden="true">
              <span>Audience</span>
              <span className={css.number}>Users</span>
              <span>7 days</span>
              <span>Reachable</span>
              <span>Used by</span>
            </div>
            <ul className={rows.rows} data-testid="audiences">
              {found.shown.map((a) => (
                <Row
                  key={a.name}
                  size={a}
                  definition={definitions.data?.definitions.find((d) => d.name === a.name)}
                />
              ))}
            </ul>
            <Rest found={found} one="audience" />
          </>
        )}
      </Card>
    </Page>
  );
}

function Row({ size: a, definition }: { size: Size; definition: Definition<Spec> | undefined }) {
  const said = definition && words(split(definition.spec).tree);
  return (
    <li className={rows.row}>
      <div className={css.row}>
        <span>
          <Link to="/audiences/$name" params={{ name: a.name }} className={ui.link}>
            <b>{a.name}</b>
          </Link>{' '}
          <State size={a} />
          <span className={css.small} style={{ display: 'block' }}>
            {a.error ? sentence(a.error) : a.description || (said && sentence(said))}
          </span>
          <span className={css.small} style={{ display: 'block' }}>
            segment {kinds[a.kind]}
            {a.kind === 'behavior' &&
              (a.entered24h > 0 || a.left24h > 0) &&
              `, +${count(a.entered24h)} −${count(a.left24h)} in 24 h`}
          </span>
        </span>
        <span className={css.number} title={`${count(a.size)} users`}>
          <b>{a.asOf ? compact(a.size) : '…'}</b>
          <span className={css.small} style={{ display: 'block' }}>
            {!a.asOf ? 'not counted yet' : a.size === 0 ? 'nobody fits' : 'users'}
          </span>
        </span>
        <span>
          <History size={a} />
        </span>
        <span className={css.small}>
          {a.reachable.length === 0
            ? 'no channel says whom it reaches'
            : a.reachable.map((r) => `${r.channel} ${reachWords(r, compact)}`).join(' · ')}
        </span>
        <span className={ui.titleLine}>
          {a.usedBy.length === 0 ? (
            <span className={css.small}>used by nothing yet</span>
          ) : (
            a.usedBy.map((u) => <Use key={`${u.kind} ${u.name}`} use={u} />)
          )}
        </span>
      </div>
    </li>
  );
}

function Starters({ may }: { may: boolean }) {
  return (
    <Empty
      icon="audience"
      title="No audiences"
      cause="None has been defined yet, so campaigns go to everybody: begin with one of these, or with a condition of your own."
      action={
        may ? (
          <LinkButton to="/new/audience">New audience</LinkButton>
        ) : (
          <LinkButton to="/explore">Find people in Explore</LinkButton>
        )
      }
    >
      {may && (
        <ul className={css.starters} data-testid="starters">
          {starters.map((s) => (
            <li key={s.name}>
              <Starter starter={s} />
            </li>
          ))}
        </ul>
      )}
    </Empty>
  );
}

function Starter({ starter: s }: { starter: (typeof starters)[number] }) {
  const preview = usePreview(s.tree as Schema['AudiencePreviewRequest'], true);
  return (
    <Link to="/new/audience" search={{ starter: s.name }} className={css.starter}>
      <b>{s.title}</b>
      <span className={css.small}>{s.about}</span>
      <span>
        {preview.data
          ? `${plural(preview.data.size, 'user')}${preview.data.size === 0 ? ': nobody fits yet' : ''}`
          : preview.error
            ? 'not counted: analysis does not answer'
            : 'counting …'}
      </span>
    </Link>
  );
}
