import { Button, FileButton, Progress, Select, Stack, Table, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { type Import, useCancelImport, useImports, useStartImport, useUpload } from '../api/reach';
import { count } from '../format/number';
import { CsvButton } from '../ui/CsvButton';
import { LinkButton } from '../ui/LinkButton';
import { failed } from '../ui/notice';
import { Card, Page } from '../ui/Page';
import { Pill } from '../ui/Status';
import { Empty, Failure, Loading } from '../ui/states';
import css from '../ui/ui.module.css';

type Plan = Schema['ImportPlan'];

const states: Record<Import['state'], { label: string; color: string }> = {
  uploaded: { label: 'Uploaded', color: 'gray' },
  checking: { label: 'Checking', color: 'gray' },
  checked: { label: 'Checked', color: 'teal' },
  importing: { label: 'Importing', color: 'brand' },
  done: { label: 'Done', color: 'teal' },
  failed: { label: 'Failed', color: 'red' },
  cancelled: { label: 'Cancelled', color: 'orange' },
};

/** What a column can be, by kind; traits carry the column's own name. */
const meanings: Record<Plan['kind'], { value: string; label: string }[]> = {
  users: [
    { value: 'userId', label: 'User id' },
    { value: 'email', label: 'E-mail address' },
    { value: 'phone', label: 'Phone number' },
    { value: 'trait', label: 'Trait of this name' },
    { value: 'consent:email', label: 'Consent to e-mail (yes or no)' },
    { value: 'consent:sms', label: 'Consent to text messages (yes or no)' },
    { value: 'consent:push', label: 'Consent to notifications (yes or no)' },
    { value: 'consentAt', label: 'When consent was given' },
  ],
  suppressions: [
    { value: 'email', label: 'E-mail address' },
    { value: 'sms', label: 'Phone number' },
    { value: 'reason', label: 'Reason' },
    { value: 'at', label: 'Since when' },
  ],
};

/** What a title most likely stands for, so that most files need no clicks. */
function guess(kind: Plan['kind'], title: string): string {
  const t = title.toLowerCase().replaceAll(/[^a-z]/g, '');
  if (kind === 'suppressions') {
    if (/^(email|emailaddress|mail|address)$/.test(t)) return 'email';
    if (/^(phone|mobile|number|sms)/.test(t)) return 'sms';
    if (t === 'reason') return 'reason';
    return '';
  }
  if (/^(userid|id|customerid)$/.test(t)) return 'userId';
  if (/^(email|emailaddress|mail)$/.test(t)) return 'email';
  if (/^(phone|mobile|phonenumber)$/.test(t)) return 'phone';
  return '';
}

const works = (i: Import) => i.state === 'checking' || i.state === 'importing';

export default function Imports() {
  const imports = useImports();
  const upload = useUpload();
  const [open, setOpen] = useState<string>();
  const list = imports.data?.imports ?? [];
  const button = (
    <FileButton
      accept=".csv,text/csv,text/plain"
      inputProps={{ 'aria-label': 'CSV file' }}
      onChange={(file) =>
        file &&
        upload.mutate(file, {
          onSuccess: (got) => setOpen(got.id),
          onError: (error) => failed('The file was not taken', error),
        })
      }
    >
      {(props) => (
        <Button {...props} loading={upload.isPending}>
          Choose a CSV file
        </Button>
      )}
    </FileButton>
  );
  return (
    <Page
      title="Import"
      lede="Users with their consent, or addresses that must not be written to, as CSV. Nothing is imported before a dry run."
      actions={
        <>
          <CsvButton
            name="imports"
            head={['file', 'holds', 'state', 'uploaded', 'ended', 'rows', 'imported', 'left out']}
            disabled={list.length === 0}
            rows={() =>
              list.map((i) => [
                i.name,
                i.plan?.kind,
                i.state,
                i.uploadedAt,
                i.endedAt,
                i.rows,
                i.imported,
                i.wrong,
              ])
            }
          />
          <LinkButton to="/users" variant="default" size="xs">
            All users
          </LinkButton>
        </>
      }
    >
      {imports.error && !imports.data ? (
        <Card>
          <Failure error={imports.error} retry={imports.refetch} />
        </Card>
      ) : !imports.data ? (
        <Card>
          <Loading rows={4} />
        </Card>
      ) : list.length === 0 ? (
        <Card>
          <Empty
            icon="users"
            title="No file yet"
            cause="Nobody has uploaded one. The first row of the file holds the titles of its columns."
            action={button}
          />
        </Card>
      ) : (
        <div className={css.stack}>
          <div>{button}</div>
          {list.map((i) => (
            <One key={i.id} of={i} open={i.id === open || list.length === 1} />
          ))}
        </div>
      )}
    </Page>
  );
}

function One({ of, open }: { of: Import; open: boolean }) {
  const cancel = useCancelImport();
  const [shown, setShown] = useState(false);
  const { label, color } = states[of.state];
  return (
    <Card
      label={`Import of ${of.name}`}
      title={
        <>
          {of.name} <Pill color={color}>{label}</Pill>
        </>
      }
      aside={
        <Button
          size="xs"
          variant="default"
          loading={cancel.isPending}
          onClick={() => cancel.mutate(of.id, { onError: (error) => failed('It goes on', error) })}
        >
          {works(of) ? 'Cancel' : 'Forget'}
        </Button>
      }
    >
      <Stack>
        <Result of={of} />
        {!works(of) && of.state !== 'done' && (open || shown) && <Mapping of={of} />}
        {!works(of) && of.state !== 'done' && !open && !shown && (
          <Button variant="default" w="fit-content" onClick={() => setShown(true)}>
            Say what its columns are
          </Button>
        )}
        {of.state === 'done' && (
          <Text size="sm">
            The file is not kept. Uploading it again and importing it changes nothing.
          </Text>
        )}
      </Stack>
    </Card>
  );
}

/** How far it came, and the rows that were left out. */
function Result({ of }: { of: Import }) {
  if (of.state === 'uploaded')
    return (
      <Text size="sm">
        {count(of.columns.length)} columns, {Math.max(1, Math.round(of.bytes / 1024))} KB.
      </Text>
    );
  const dry = of.state === 'checking' || of.state === 'checked';
  return (
    <Stack gap="xs" data-testid="result" aria-live="polite">
      {works(of) && (
        <Progress
          value={(100 * (of.doneBytes ?? 0)) / Math.max(1, of.bytes)}
          aria-label="How far it has come"
        />
      )}
      <Text size="sm">
        {count(of.rows)} rows: {count(of.imported)} {dry ? 'would be imported' : 'imported'},{' '}
        {count(of.wrong)} left out.
      </Text>
      {of.error && (
        <Text size="sm" c="var(--mantine-color-error)" role="alert">
          {of.error}
        </Text>
      )}
      {of.errors.length > 0 && (
        <>
          <ul className={css.muted} style={{ margin: 0, paddingInlineStart: '1.25rem' }}>
            {of.errors.slice(0, 5).map((e) => (
              <li key={e.row}>
                Row {e.row}
                {e.column && `, ${e.column}`}: {e.message}
              </li>
            ))}
          </ul>
          <Button
            component="a"
            variant="default"
            size="xs"
            w="fit-content"
            href={`/api/v1/imports/${encodeURIComponent(of.id)}/errors`}
            download={`errors-${of.name}`}
          >
            Download {of.wrong === 1 ? 'the row' : `all ${count(of.wrong)} rows`} with the reasons
          </Button>
        </>
      )}
    </Stack>
  );
}

/** What the columns are; then the dry run, then the import by the same plan. */
function Mapping({ of }: { of: Import }) {
  const start = useStartImport();
  const [asked, setAsked] = useState(false);
  const [kind, setKind] = useState<Plan['kind']>(of.plan?.kind ?? 'users');
  const [chosen, setChosen] = useState<Record<string, string>>(() =>
    Object.fromEntries(
      of.columns.map((c) => {
        const was = of.plan?.columns?.[c];
        return [c, was?.startsWith('trait:') ? 'trait' : (was ?? guess(kind, c))];
      }),
    ),
  );
  const [source, setSource] = useState(of.plan?.consentSource ?? '');
  const [wording, setWording] = useState(of.plan?.consentWording ?? '');
  const consents = Object.values(chosen).some((v) => v.startsWith('consent:'));
  const columns: Record<string, string> = {};
  for (const [title, as] of Object.entries(chosen))
    if (as !== '') columns[title] = as === 'trait' ? `trait:${title}` : as;
  const plan: Plan = {
    kind,
    columns,
    ...(consents ? { consentSource: source.trim(), consentWording: wording.trim() } : {}),
  };
  const sorted = (c: Record<string, string>) => JSON.stringify(Object.entries(c).sort());
  const checked =
    of.state === 'checked' &&
    of.plan?.kind === kind &&
    sorted(of.plan.columns ?? {}) === sorted(columns) &&
    (of.plan.consentSource ?? '') === (plan.consentSource ?? '') &&
    (of.plan.consentWording ?? '') === (plan.consentWording ?? '');
  return (
    <Stack>
      <Select
        label="It holds"
        maw={360}
        allowDeselect={false}
        data={[
          { value: 'users', label: 'Users' },
          { value: 'suppressions', label: 'Addresses that must not be written to' },
        ]}
        value={kind}
        onChange={(next) => {
          const k = (next as Plan['kind']) ?? 'users';
          setKind(k);
          setChosen(Object.fromEntries(of.columns.map((c) => [c, guess(k, c)])));
        }}
      />
      <Table.ScrollContainer minWidth={0}>
        <Table verticalSpacing="xs" withRowBorders={false}>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Column</Table.Th>
              <Table.Th>Is</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {of.columns.map((title, n) => (
              <Table.Tr key={title}>
                <Table.Td style={{ overflowWrap: 'anywhere' }}>
                  <strong>{title}</strong>
                  <div className={css.muted}>{of.sample[0]?.[n] ?? ''}</div>
                </Table.Td>
                <Table.Td>
                  <Select
                    aria-label={`What ${title} is`}
                    placeholder="Left out"
                    clearable
                    clearButtonProps={{ 'aria-label': `Leave ${title} out` }}
                    data={meanings[kind]}
                    value={chosen[title] || null}
                    onChange={(next) => setChosen({ ...chosen, [title]: next ?? '' })}
                  />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {consents && (
        <div className={css.formRow}>
          <TextInput
            label="Where consent was given"
            placeholder="newsletter form"
            maxLength={128}
            error={asked && !source.trim() ? 'Say where' : undefined}
            value={source}
            onChange={(e) => setSource(e.currentTarget.value)}
          />
          <TextInput
            label="What was agreed to, word by word"
            placeholder="Yes, send me offers by e-mail."
            maxLength={300}
            error={asked && !wording.trim() ? 'Say what' : undefined}
            value={wording}
            onChange={(e) => setWording(e.currentTarget.value)}
          />
        </div>
      )}
      {start.error && (
        <Text size="sm" c="var(--mantine-color-error)" role="alert">
          {messageOf(start.error)}
        </Text>
      )}
      <div style={{ display: 'flex', gap: '0.5rem', flexWrap: 'wrap' }}>
        <Button
          variant={checked ? 'default' : 'filled'}
          loading={start.isPending}
          onClick={() => {
            setAsked(true);
            if (!consents || (source.trim() && wording.trim()))
              start.mutate({ id: of.id, plan: { ...plan, dryRun: true } });
          }}
        >
          Dry run
        </Button>
        {checked && (
          <Button loading={start.isPending} onClick={() => start.mutate({ id: of.id, plan })}>
            Import {count(of.imported)} rows
          </Button>
        )}
      </div>
    </Stack>
  );
}
