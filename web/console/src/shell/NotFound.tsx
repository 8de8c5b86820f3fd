import { LinkButton } from '../ui/LinkButton';
import { Page } from '../ui/Page';
import { Empty } from '../ui/states';

export function NotFound() {
  return (
    <Page title="Not found">
      <Empty
        icon="search"
        title="There is no page here"
        cause="The address may be mistyped, or what it showed was deleted."
        action={<LinkButton to="/">Go to Home</LinkButton>}
      />
    </Page>
  );
}
