import { useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { type Campaign, reportOf, useDefinitions, useReport, useTriggers } from '../api/queries';
import { useSchedules } from '../api/sending';
import { useMay } from '../api/session';
import starting from '../audience/audience.module.css';
import { recipes, standing } from '../campaign/spec';
import { compact } from '../format/number';
import { startWords } from '../format/pattern';
import { dateTime } from '../format/time';
import { statusWords } from '../format/words';
import { CampaignTabs } from '../shell/CampaignTabs';
import { CsvButton } from '../ui/CsvButton';
import { Filter, Rest, useFound } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Status } from '../ui/Status';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import css from '../ui/ui.module.css';

export default function Campaigns() {
  const campaigns = useDefinitions<Campaign['spec']>('campaign');
  const triggers = useTriggers();
  const may = useMay('marketer');
  const queries = useQueryClient();
  const list = campaigns.data?.definitions ?? [];
  const schedules = useSchedules(list.some((c) => c.spec.when.schedule));
  const order = ['live', 'paused', 'draft', 'sent_once', 'ended'];
  const sorted = [...list].sort(
    (a, b) =>
      order.indexOf(standing(a.spec)) - order.indexOf(standing(b.spec)) ||
      a.name.localeCompare(b.name),
  );
  const found = useFound(sorted, (c) => [
    c.name,
    c.spec.description,
    statusWords(standing(c.spec)).label,
    c.spec.when.trigger,
    ...(c.spec.who ?? []),
    ...c.spec.what.flatMap((v) => [v.channel, v.template]),
  ]);
  return (
    <Page
      title="Campaigns"
      lede="What is sent to whom, and when. Counts cover everything since each campaign’s first outcome."
      actions={
        <>
          <AsOf at={campaigns.dataUpdatedAt || undefined} />
          <CsvButton
            name="campaigns"
            head={['campaign', 'status', 'description', 'fired', 'sent', 'shown', 'clicked']}
            disabled={list.length === 0}
            rows={() =>
              Promise.all(
                found.all.map(async (c) => {
                  const r = await queries.ensureQueryData(reportOf(c.name));
                  return [
                    c.name,
                    c.spec.status,
                    c.spec.description,
                    r.activations,
                    r.sent,
                    r.shown,
                    r.clicked,
                  ];
                }),
              )
            }
          />
          {may && (
            <LinkButton to="/new/campaign" size="xs" leftSection={<Icon name="plus" size={14} />}>
              New campaign
            </LinkButton>
          )}
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
            cause="None has been made yet: when something happens, who gets what. Begin with one of these, or with nothing."
            action={<LinkButton to="/new/campaign">New campaign</LinkButton>}
          >
            <ul className={starting.starters} data-testid="recipes">
              {recipes.map((r) => (
                <li key={r.name}>
                  <Link to="/new/campaign" search={{ recipe: r.name }} className={starting.starter}>
                    <b>{r.title}</b>
                    <span className={starting.small}>{r.about}</span>
                  </Link>
                </li>
              ))}
            </ul>
          </Empty>
        ) : (
          <>
            <Filter found={found} many="campaigns" />
            <ul className={rows.rows} data-testid="campaigns">
              {found.shown.map((campaign) => {
                const trigger = triggers.data?.definitions.find(
                  (t) => t.name === campaign.spec.when.trigger,
                );
                const next = schedules.data?.schedules.find(
                  (s) => s.campaign === campaign.name,
                )?.next;
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
                          <Status status={standing(campaign.spec)} />
                        </span>
                        <span className={rows.itemHint} style={{ display: 'block' }}>
                          {campaign.spec.description ?? startWords(campaign.spec.when, trigger)}
                        </span>
                        {next && (
                          <span
                            className={rows.itemHint}
                            style={{ display: 'block' }}
                            data-testid="next-run"
                          >
                            Next run {dateTime(new Date(next))}
                          </span>
                        )}
                      </span>
                      <Counts campaign={campaign} />
                      <Icon name="chevron" size={16} />
                    </Link>
                  </li>
                );
              })}
            </ul>
            <Rest found={found} one="campaign" />
          </>
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
