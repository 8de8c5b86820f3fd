import { useSources } from '../../api/queries';
import { LinkButton } from '../../ui/LinkButton';
import { Card } from '../../ui/Page';
import { Snippet } from '../../ui/Snippet';
import { Empty, Failure, Loading } from '../../ui/states';
import css from '../../ui/ui.module.css';

/** The sources and their write keys. */
export function Keys() {
  const sources = useSources();
  if (sources.error && !sources.data) {
    return (
      <Card>
        <Failure error={sources.error} retry={sources.refetch} />
      </Card>
    );
  }
  if (!sources.data) {
    return (
      <Card>
        <Loading />
      </Card>
    );
  }
  if (sources.data.definitions.length === 0) {
    return (
      <Card>
        <Empty
          icon="key"
          title="No sources"
          cause="No definition of kind source exists, so nothing may send events."
          action={
            <LinkButton to="/settings" search={{ tab: 'tokens' }}>
              Make a token for heed apply
            </LinkButton>
          }
        />
      </Card>
    );
  }
  return (
    <div className={css.stack}>
      {sources.data.definitions.map((source) => (
        <Card
          key={source.name}
          title={source.name}
          aside={<span className={css.asOf}>source</span>}
        >
          <div className={css.stack}>
            <Snippet label="Write key (public)" text={source.spec.writeKey ?? ''} />
            <dl className={css.facts}>
              <dt>Pages that may send</dt>
              <dd>{source.spec.origins?.length ? source.spec.origins.join(', ') : 'Any'}</dd>
              <dt>Unsigned user ids</dt>
              <dd>{source.spec.trustUserIds ? 'Trusted' : 'Get nothing personal'}</dd>
              <dt>Server key</dt>
              <dd>{source.spec.serverKey ? 'Set; shown to nobody' : 'None'}</dd>
            </dl>
          </div>
        </Card>
      ))}
    </div>
  );
}
