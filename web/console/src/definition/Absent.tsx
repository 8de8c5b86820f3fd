import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { Empty, Failure, Loading } from '../ui/states';
import { homes, type Kind } from './homes';

/** A page in the place of a definition's: it is loading, could not be read, or is not there. */
export function Absent(props: {
  kind: Kind;
  name: string;
  title?: string;
  answer: { data: unknown; error: Error | null; refetch: () => unknown };
}) {
  const { kind, name, answer } = props;
  const home = homes[kind];
  return (
    <Page title={props.title ?? name} home={home}>
      <Card>
        {answer.data ? (
          <Empty
            icon={home.icon}
            title={`No such ${kind}`}
            cause={`No ${kind} is called “${name}”; it may have been deleted.`}
            action={<LinkButton {...home.link}>{`See all ${home.label.toLowerCase()}`}</LinkButton>}
          />
        ) : answer.error ? (
          <Failure error={answer.error} retry={answer.refetch} />
        ) : (
          <Loading rows={8} />
        )}
      </Card>
    </Page>
  );
}
