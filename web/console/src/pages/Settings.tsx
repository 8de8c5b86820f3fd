import { Tabs } from '@mantine/core';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { useMay } from '../api/session';
import { Page } from '../ui/Page';
import { Audit } from './settings/Audit';
import { Channels } from './settings/Channels';
import { Health } from './settings/Health';
import { Keys } from './settings/Keys';
import { Members } from './settings/Members';
import { Suppression } from './settings/Suppression';
import { Tokens } from './settings/Tokens';

/** What is edited on a page of its own, which asks before something typed is lost. */
const sending = 'sending';

const tabs = [
  { value: 'health', label: 'Health', admin: false, body: Health },
  { value: 'channels', label: 'Channels', admin: false, body: Channels },
  { value: 'suppression', label: 'Consent & suppression', admin: false, body: Suppression },
  { value: 'keys', label: 'Write keys', admin: false, body: Keys },
  { value: 'tokens', label: 'API tokens', admin: true, body: Tokens },
  { value: 'members', label: 'Members', admin: true, body: Members },
  { value: 'audit', label: 'Audit log', admin: true, body: Audit },
] as const;

export default function Settings() {
  const { tab = 'health' } = useSearch({ from: '/settings' });
  const navigate = useNavigate({ from: '/settings' });
  const admin = useMay('admin');
  const mine = tabs.filter((t) => admin || !t.admin);
  const open = mine.find((t) => t.value === tab) ?? tabs[0];
  const Body = open.body;
  return (
    <Page title="Settings" lede="Health, channels, consent, keys, and who may do what.">
      <Tabs
        value={open.value}
        onChange={(next) =>
          next === sending
            ? navigate({ to: '/settings/sending' })
            : navigate({ search: { tab: tabs.find((t) => t.value === next)?.value } })
        }
        keepMounted={false}
      >
        <Tabs.List mb="lg" style={{ flexWrap: 'wrap' }}>
          {mine.flatMap((t) => [
            <Tabs.Tab key={t.value} value={t.value}>
              {t.label}
            </Tabs.Tab>,
            t.value === 'channels' && (
              <Tabs.Tab key={sending} value={sending}>
                Sending
              </Tabs.Tab>
            ),
          ])}
        </Tabs.List>
        {mine.map((t) => (
          <Tabs.Panel key={t.value} value={t.value}>
            {t.value === open.value && <Body />}
          </Tabs.Panel>
        ))}
      </Tabs>
    </Page>
  );
}
