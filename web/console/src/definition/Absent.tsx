import type { ReactNode } from 'react';
import type { Icon } from '../ui/Icon';
import { Card, Page } from '../ui/Page';
import { Empty, Failure, Loading } from '../ui/states';

/** A page in the place of a definition's: it is loading, could not be read, or is not there. */
export function Absent(props: {
  kind: string;
  name: string;
  title?: string;
  icon: Parameters<typeof Icon>[0]['name'];
  answer: { data: unknown; error: Error | null; refetch: () => unknown };
  /** Where the others are. */
  others: ReactNode;
}) {
  const { kind, name, answer } = props;
  return (
    <Page title={props.title ?? name}>
      <Card>
        {answer.data ? (
          <Empty
            icon={props.icon}
            title={`No such ${kind}`}
            cause={`No ${kind} is called “${name}”; it may have been deleted.`}
            action={props.others}
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
