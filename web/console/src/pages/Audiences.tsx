import { Link } from '@tanstack/react-router';
import { useAudiences, useCampaigns } from '../api/queries';
import { conditionWords } from '../format/pattern';
import { sentence } from '../format/words';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import rows from '../ui/rows.module.css';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import css from '../ui/ui.module.css';

export default function Audiences() {
  const audiences = useAudiences();
  const campaigns = useCampaigns();
  const list = audiences.data?.definitions ?? [];
  return (
    <Page
      title="Audiences"
      lede="Who campaigns are for: everybody whose profile meets the conditions at that moment."
      actions={<AsOf at={audiences.dataUpdatedAt || undefined} />}
    >
      <Card flush label="Audiences">
        {audiences.error && !audiences.data ? (
          <Failure error={audiences.error} retry={audiences.refetch} />
        ) : !audiences.data ? (
          <Loading />
        ) : list.length === 0 ? (
          <Empty
            icon="audience"
            title="No audiences"
            cause={
              <>
                None has been defined yet, so campaigns go to everybody: write one as YAML and run{' '}
                <code className={css.mono}>heed apply -f audience.yaml</code>.
              </>
            }
            action={
              <LinkButton to="/settings" search={{ tab: 'tokens' }}>
                Make a token for heed apply
              </LinkButton>
            }
          />
        ) : (
          <ul className={rows.rows} data-testid="audiences">
            {list.map((audience) => {
              const users =
                campaigns.data?.definitions.filter((c) => c.spec.who?.includes(audience.name)) ??
                [];
              return (
                <li key={audience.name} className={rows.row}>
                  <div className={rows.item} style={{ flexWrap: 'wrap' }}>
                    <span className={rows.itemText} style={{ flexBasis: 260 }}>
                      <span className={rows.itemTitle}>{audience.name}</span>
                      <span className={rows.itemHint} style={{ display: 'block' }}>
                        {audience.spec.description && `${audience.spec.description}: `}
                        {audience.spec.description
                          ? conditionWords(audience.spec.where)
                          : sentence(conditionWords(audience.spec.where))}
                      </span>
                    </span>
                    <span className={css.titleLine}>
                      {users.length === 0 ? (
                        <span className={css.statHint}>used by no campaign</span>
                      ) : (
                        users.map((campaign) => (
                          <Link
                            key={campaign.name}
                            to="/campaigns/$name"
                            params={{ name: campaign.name }}
                            className={css.link}
                          >
                            {campaign.name}
                          </Link>
                        ))
                      )}
                    </span>
                  </div>
                </li>
              );
            })}
          </ul>
        )}
      </Card>
    </Page>
  );
}
