import { useFeedState } from '../feed/useFeed';
import { Card, Page } from '../ui/Page';
import { Failure, Loading } from '../ui/states';

/** What stands in the place of a page that is on its way. */
export function Pending() {
  const gone = useFeedState() === 'reconnecting';
  if (!gone)
    return (
      <Card>
        <Loading rows={6} />
      </Card>
    );
  return (
    <Page title="Waiting for Heed" lede="This page comes by itself when Heed is back.">
      <Card>
        <Failure error={new TypeError('the page has not been loaded yet')} />
      </Card>
    </Page>
  );
}
