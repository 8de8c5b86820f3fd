import { Link } from '@tanstack/react-router';
import { useDefinitions } from '../api/queries';
import { useMay } from '../api/session';
import type { BoardSpec } from '../board/spec';
import { plural } from '../format/number';
import { Filter, Rest, useFound } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf, At } from '../ui/time';
import ui from '../ui/ui.module.css';

export default function Boards() {
  const boards = useDefinitions<BoardSpec>('board');
  const may = useMay('marketer');
  const list = boards.data?.definitions ?? [];
  const found = useFound(list, (b) => [
    b.name,
    b.spec.title,
    b.spec.description,
    ...(b.spec.charts ?? []).map((c) => c.title),
  ]);
  return (
    <Page
      title="Boards"
      lede="Pages of charts that answer again by themselves; every mark leads to its people."
      actions={
        <>
          <AsOf at={boards.dataUpdatedAt || undefined} />
          <LinkButton to="/explore" size="xs" variant="default">
            Explore
          </LinkButton>
          {may && (
            <LinkButton to="/new/board" size="xs" leftSection={<Icon name="plus" size={14} />}>
              New board
            </LinkButton>
          )}
        </>
      }
    >
      <Card flush label="Boards">
        {boards.error && !boards.data ? (
          <Failure error={boards.error} retry={boards.refetch} />
        ) : !boards.data ? (
          <Loading />
        ) : list.length === 0 ? (
          <Empty
            icon="explore"
            title="No boards"
            cause="None has been made yet: look for something in Explore that you want to keep an eye on, and add it to a board there."
            action={<LinkButton to="/explore">Open Explore</LinkButton>}
          />
        ) : (
          <>
            <Filter found={found} many="boards" />
            <ul className={rows.rows} data-testid="boards">
              {found.shown.map((b) => (
                <li key={b.name} className={rows.row}>
                  <Link to="/boards/$name" params={{ name: b.name }} className={rows.itemLink}>
                    <span className={rows.itemText}>
                      <span className={rows.itemTitle}>{b.spec.title || b.name}</span>
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {b.spec.description ||
                          (b.spec.charts ?? []).map((c) => c.title).join(' · ') ||
                          'nothing on it yet'}
                      </span>
                    </span>
                    <span className={ui.asOf}>
                      {plural(b.spec.charts?.length ?? 0, 'chart')} · <At at={b.at} /> by {b.author}
                    </span>
                  </Link>
                </li>
              ))}
            </ul>
            <Rest found={found} one="board" />
          </>
        )}
      </Card>
    </Page>
  );
}
