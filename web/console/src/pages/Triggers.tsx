import { Link } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { type Trigger, useCampaigns, useTriggers } from '../api/queries';
import { useMay } from '../api/session';
import { useLive } from '../feed/useFeed';
import { compact } from '../format/number';
import { some, triggerWords } from '../format/pattern';
import { CampaignTabs } from '../shell/CampaignTabs';
import { Filter, Rest, useFound } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Pill } from '../ui/Status';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import css from '../ui/ui.module.css';

export default function Triggers() {
  const triggers = useTriggers();
  const may = useMay('marketer');
  const campaigns = useCampaigns();
  const { progress } = useLive();
  const list = [...(triggers.data?.definitions ?? [])].sort((a, b) => a.name.localeCompare(b.name));
  const found = useFound(list, (t) => [t.name, t.spec.description, triggerWords(t.spec)]);
  return (
    <Page
      title="Triggers"
      lede="What a user has to do for Heed to answer. Figures count since Heed started."
      actions={
        <>
          <AsOf at={triggers.dataUpdatedAt || undefined} />
          {may && (
            <LinkButton to="/new/trigger" size="xs" leftSection={<Icon name="plus" size={14} />}>
              New trigger
            </LinkButton>
          )}
        </>
      }
    >
      <CampaignTabs />
      <Card flush label="Triggers">
        {triggers.error && !triggers.data ? (
          <Failure error={triggers.error} retry={triggers.refetch} />
        ) : !triggers.data ? (
          <Loading />
        ) : list.length === 0 ? (
          <Empty
            icon="bolt"
            title="No triggers"
            cause="None has been defined yet. A trigger is a sentence: when a user does this, three times in a row, within ten minutes."
            action={<LinkButton to="/new/trigger">Write the first one</LinkButton>}
          />
        ) : (
          <>
            <Filter found={found} many="triggers" />
            <ul className={rows.rows} data-testid="triggers">
              {found.shown.map((trigger) => (
                <Row
                  key={trigger.name}
                  trigger={trigger}
                  progress={progress?.triggers.find((t) => t.trigger === trigger.name)}
                  campaigns={campaigns.data?.definitions.filter(
                    (c) => c.spec.when.trigger === trigger.name,
                  )}
                />
              ))}
            </ul>
            <Rest found={found} one="trigger" />
          </>
        )}
      </Card>
    </Page>
  );
}

function Row(props: {
  trigger: Trigger;
  progress: Schema['TriggerProgress'] | undefined;
  campaigns: readonly { name: string; spec: Schema['CampaignSpec'] }[] | undefined;
}) {
  const { trigger, progress, campaigns } = props;
  const furthest = progress?.steps.filter((s) => s.users > 0).at(-1);
  const live = campaigns?.filter((c) => c.spec.status === 'live') ?? [];
  const figures: [string, string, string][] = [
    ['fired', progress ? compact(progress.firings) : '–', 'since Heed started'],
    [
      furthest ? `at ${furthest.step} of ${progress?.steps.length}` : 'under way',
      furthest ? compact(furthest.users) : progress ? '0' : '–',
      'users, at the furthest step that anybody has reached',
    ],
  ];
  return (
    <li className={rows.row}>
      <Link to="/triggers/$name" params={{ name: trigger.name }} className={rows.itemLink}>
        <span className={rows.itemText}>
          <span className={css.titleLine}>
            <span className={rows.itemTitle}>{trigger.name}</span>
            {live.length > 0 ? (
              <Pill color="teal">Live</Pill>
            ) : (
              <Pill color="gray">{campaigns?.length ? 'Not live' : 'Not used'}</Pill>
            )}
          </span>
          <span className={rows.itemHint} style={{ display: 'block' }}>
            When a user does {triggerWords(trigger.spec)}
          </span>
          <span className={rows.itemHint} style={{ display: 'block' }}>
            {campaigns?.length
              ? `Used by ${some(campaigns.map((c) => c.name))}`
              : 'Used by no campaign'}
          </span>
        </span>
        <span className={css.counts}>
          {figures.map(([label, value, title]) => (
            <span key={title} className={css.countCell} title={title}>
              <b className={css.nums}>{value}</b>
              <span className={css.statHint}>{label}</span>
            </span>
          ))}
        </span>
        <Icon name="chevron" size={16} />
      </Link>
    </li>
  );
}
