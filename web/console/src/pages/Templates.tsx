import { Drawer, Stack, UnstyledButton } from '@mantine/core';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { useCampaigns, useTemplates } from '../api/queries';
import { useMay } from '../api/session';
import { sampleOf } from '../format/liquid';
import { TemplatePreview } from '../template/TemplatePreview';
import { Filter, Rest, useFound } from '../ui/Found';
import { Icon } from '../ui/Icon';
import { LinkButton } from '../ui/LinkButton';
import { Card, Page } from '../ui/Page';
import { Sandbox } from '../ui/Sandbox';
import { Snippet } from '../ui/Snippet';
import { Empty, Failure, Loading } from '../ui/states';
import { AsOf, At } from '../ui/time';
import css from '../ui/ui.module.css';

export default function Templates() {
  const templates = useTemplates();
  const may = useMay('marketer');
  const campaigns = useCampaigns();
  const { open } = useSearch({ from: '/templates' });
  const navigate = useNavigate({ from: '/templates' });
  const list = templates.data?.definitions ?? [];
  const found = useFound(list, (t) => [t.name, t.spec.description, t.spec.channel, t.spec.subject]);
  const picked = list.find((t) => t.name === open);
  const users = (name: string) =>
    campaigns.data?.definitions.filter((c) => c.spec.what.some((v) => v.template === name)) ?? [];
  return (
    <Page
      title="Templates"
      lede="The content that campaigns send, written in Liquid. Previews show each field’s default or its name."
      actions={
        <>
          <AsOf at={templates.dataUpdatedAt || undefined} />
          {may && (
            <LinkButton to="/new/template" size="xs" leftSection={<Icon name="plus" size={14} />}>
              New template
            </LinkButton>
          )}
        </>
      }
    >
      {templates.error && !templates.data ? (
        <Card>
          <Failure error={templates.error} retry={templates.refetch} />
        </Card>
      ) : !templates.data ? (
        <Card>
          <Loading />
        </Card>
      ) : list.length === 0 ? (
        <Card>
          <Empty
            icon="template"
            title="No templates"
            cause="None has been defined yet. A template is what a campaign says: a pop-up, an e-mail, a text message."
            action={<LinkButton to="/new/template">Write the first one</LinkButton>}
          />
        </Card>
      ) : (
        <>
          <Filter found={found} many="templates" />
          <div className={css.tiles} data-testid="templates">
            {found.shown.map((template) => (
              <UnstyledButton
                key={template.name}
                className={`${css.card} ${css.tile}`}
                onClick={() => navigate({ search: (old) => ({ ...old, open: template.name }) })}
              >
                <div className={css.thumb} aria-hidden="true">
                  <Sandbox
                    html={sampleOf(template.spec.body ?? '')}
                    title={`Preview of ${template.name}`}
                    height={168}
                    lazy
                  />
                </div>
                <div className={css.tileText}>
                  <b>{template.name}</b>
                  <span className={css.statHint}>
                    {template.spec.channel}
                    {template.spec.as ? `, ${template.spec.as}` : ''} ·{' '}
                    {users(template.name).length || 'no'}{' '}
                    {users(template.name).length === 1 ? 'campaign' : 'campaigns'}
                  </span>
                </div>
              </UnstyledButton>
            ))}
          </div>
          <Rest found={found} one="template" />
        </>
      )}
      <Drawer
        opened={picked !== undefined}
        onClose={() => navigate({ search: ({ open: _, ...old }) => old })}
        position="right"
        size="lg"
        title={picked?.name ?? ''}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {picked && (
          <Stack>
            <LinkButton
              to="/templates/$name"
              params={{ name: picked.name }}
              size="xs"
              style={{ alignSelf: 'flex-start' }}
            >
              Edit
            </LinkButton>
            <TemplatePreview key={picked.name} name={picked.name} spec={picked.spec} />
            <Snippet label="Source (Liquid)" text={picked.spec.body ?? ''} />
            <dl className={css.facts}>
              <dt>Channel</dt>
              <dd>{picked.spec.channel}</dd>
              {picked.spec.as && (
                <>
                  <dt>Shown as</dt>
                  <dd>{picked.spec.as}</dd>
                </>
              )}
              {picked.spec.subject && (
                <>
                  <dt>Subject</dt>
                  <dd>{picked.spec.subject}</dd>
                </>
              )}
              <dt>Used by</dt>
              <dd>
                {users(picked.name).length === 0
                  ? 'No campaign'
                  : users(picked.name).map((c) => (
                      <Link
                        key={c.name}
                        to="/campaigns/$name"
                        params={{ name: c.name }}
                        className={css.link}
                        style={{ display: 'block', lineHeight: '28px' }}
                      >
                        {c.name}
                      </Link>
                    ))}
              </dd>
              <dt>Changed</dt>
              <dd>
                <At at={picked.at} /> by {picked.author}, version {picked.version}
              </dd>
            </dl>
          </Stack>
        )}
      </Drawer>
    </Page>
  );
}
