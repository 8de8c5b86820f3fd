import { Link } from '@tanstack/react-router';
import { type Campaign, useCampaigns, useReport, useTriggers } from '../api/queries';
import { compact } from '../format/number';
import { startWords } from '../format/pattern';
import { CampaignTabs } from '../shell/CampaignTabs';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Status } from '../ui/Status';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import css from '../ui/ui.module.css';

export default function Campaigns() {
  const campaigns = useCampaigns();
  const triggers = useTriggers();
  const list = campaigns.data?.definitions ?? [];
  const order = ['live', 'paused', 'draft', 'ended'];
  const sorted = [...list].sort(
    (a, b) =>
      order.indexOf(a.spec.status) - order.indexOf(b.spec.status) || a.name.localeCompare(b.name),
  );
  return (
    <Page
      title="Campaigns"
      lede="What is sent to whom, and when. Counts cover everything since each campaign’s first outcome."
      actions={
        <>
          <AsOf at={campaigns.dataUpdatedAt || undefined} />
          <LinkButton to="/new/campaign" size="xs" leftSection={<Icon name="plus" size={14} />}>
            New campaign
          </LinkButton>
        </>
      }
    >
      <CampaignTabs />
      <Card flush label="Campaigns">
        {campaigns.error && !campaigns.data ? (
          <Failure error={campaigns.error} retry={campaigns.refetch} />
        ) : !campaigns.data ? (
          <Loading />
        ) : list.length === 0 ? (
          <Empty
            icon="campaign"
            title="No campaigns"
            cause="None has been made yet: when something happens, who gets what."
            action={<LinkButton to="/new/campaign">Make the first one</LinkButton>}
          />
        ) : (
          <ul className={rows.rows} data-testid="campaigns">
            {sorted.map((campaign) => {
              const trigger = triggers.data?.definitions.find(
                (t) => t.name === campaign.spec.when.trigger,
              );
              return (
                <li key={campaign.name} className={rows.row}>
                  <Link
                    to="/campaigns/$name"
                    params={{ name: campaign.name }}
                    className={rows.itemLink}
                  >
                    <span className={rows.itemText}>
                      <span className={css.titleLine}>
                        <span className={rows.itemTitle}>{campaign.name}</span>
                        <Status status={campaign.spec.status} />
                      </span>
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {campaign.spec.description ?? startWords(campaign.spec.when, trigger)}
                      </span>
                    </span>
                    <Counts campaign={campaign} />
                    <Icon name="chevron" size={16} />
                  </Link>
                </li>
              );
            })}
          </ul>
        )}
      </Card>
    </Page>
  );
}

function Counts({ campaign }: { campaign: Campaign }) {
  const report = useReport(campaign.name);
  const { data } = report;
  const figures: [string, number | undefined][] = [
    ['fired', data?.activations],
    ['sent', data?.sent],
    ['shown', data?.shown],
    ['clicked', data?.clicked],
  ];
  return (
    <span className={css.counts}>
      {figures.map(([label, value]) => (
        <span key={label} className={css.countCell}>
          <b className={css.nums}>{value === undefined ? '–' : compact(value)}</b>
          <span className={css.statHint}>{label}</span>
        </span>
      ))}
    </span>
  );
}
