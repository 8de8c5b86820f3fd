import { Button, Menu } from '@mantine/core';
import { Link, useNavigate } from '@tanstack/react-router';
import { useCampaigns, useHealth, useKind } from '../../api/queries';
import { useMay } from '../../api/session';
import { type Channel, channelTypes } from '../../campaign/channels';
import { plural } from '../../format/number';
import { sentence } from '../../format/words';
import { Icon } from '../../ui/Icon';
import { Card } from '../../ui/Page';
import rows from '../../ui/rows.module.css';
import { Failure, Loading } from '../../ui/states';
import css from '../../ui/ui.module.css';
import { SessionPill } from './Health';

const builtIn = [
  { name: 'web', about: 'Pop-ups, banners and slots in your pages. Nothing to set up.' },
  { name: 'outbox', about: 'A mailbox in this console: the first send needs no provider.' },
];

/** The ways out, and what uses them. */
export function Channels() {
  const all = useKind<Channel>('channel');
  const campaigns = useCampaigns();
  const sessions = useHealth().data?.sessions ?? [];
  const navigate = useNavigate();
  const may = useMay('admin');
  if (all.error && !all.data) {
    return (
      <Card>
        <Failure error={all.error} retry={all.refetch} />
      </Card>
    );
  }
  if (!all.data) {
    return (
      <Card>
        <Loading />
      </Card>
    );
  }
  const use = (name: string) => {
    const n = (campaigns.data?.definitions ?? []).filter((c) =>
      c.spec.what.some((v) => v.channel === name),
    ).length;
    return n === 0 ? 'no campaign' : plural(n, 'campaign');
  };
  /** The worst of its sessions: several processes keep one each. */
  const sessionOf = (name: string) => {
    const own = sessions.filter((s) => s.channel === name);
    return own.find((s) => !s.bound) ?? own[0];
  };
  return (
    <Card
      title="Channels"
      flush
      aside={
        may && (
          <Menu position="bottom-end" shadow="md" withInitialFocusPlaceholder={false}>
            <Menu.Target>
              <Button size="xs" leftSection={<Icon name="plus" size={14} />}>
                New channel
              </Button>
            </Menu.Target>
            <Menu.Dropdown>
              {channelTypes.map((t) => (
                <Menu.Item
                  key={t.type}
                  onClick={() => void navigate({ to: '/new/channel', search: { type: t.type } })}
                >
                  {t.label}
                </Menu.Item>
              ))}
            </Menu.Dropdown>
          </Menu>
        )
      }
    >
      <ul className={rows.rows} data-testid="channels">
        {all.data.definitions
          .filter((c) => !builtIn.some((b) => b.name === c.name))
          .map((c) => {
            const session = sessionOf(c.name);
            return (
              <li key={c.name} className={rows.row}>
                <Link to="/channels/$name" params={{ name: c.name }} className={rows.itemLink}>
                  <span className={rows.itemText}>
                    <span className={rows.itemTitle}>{c.name}</span>
                    <span className={rows.itemHint} style={{ display: 'block' }}>
                      {channelTypes.find((t) => t.type === c.spec.type)?.label ?? c.spec.type}
                      {c.spec.local === true ? ', local: goes to the Outbox and nowhere else' : ''}{' '}
                      · {use(c.name)}
                    </span>
                    {session?.reason && (
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {sentence(session.reason)}
                      </span>
                    )}
                  </span>
                  {session && <SessionPill session={session} />}
                  <Icon name="chevron" size={16} />
                </Link>
              </li>
            );
          })}
        {builtIn.map((b) => (
          <li key={b.name} className={rows.row}>
            <div className={rows.item}>
              <span className={rows.itemText}>
                <span className={rows.itemTitle}>{b.name}</span>
                <span className={rows.itemHint} style={{ display: 'block' }}>
                  {b.about} {sentence(use(b.name))}.
                </span>
              </span>
            </div>
          </li>
        ))}
      </ul>
      <p className={css.foot}>
        Which addresses they may write to stands under Consent & suppression.
      </p>
    </Card>
  );
}
