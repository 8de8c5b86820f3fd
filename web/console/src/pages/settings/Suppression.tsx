import { Button, Select, Stack, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Schema } from '../../api/client';
import { messageOf } from '../../api/problem';
import { useLookUp, useSuppress, useSuppressionCounts, useUnsuppress } from '../../api/reach';
import { useMay } from '../../api/session';
import { count } from '../../format/number';
import { channelType, suppressionWords } from '../../format/words';
import { CsvButton } from '../../ui/CsvButton';
import { LinkButton } from '../../ui/LinkButton';
import { failed } from '../../ui/notice';
import { Card } from '../../ui/Page';
import { Suppressions } from '../../ui/Suppressions';
import { Empty, Failure, Loading } from '../../ui/states';
import css from '../../ui/ui.module.css';

const types: Schema['AddressType'][] = ['email', 'sms'];

/** Consent & suppression: which addresses must not be written to. */
export function Suppression() {
  const may = useMay('marketer');
  return (
    <div className={css.stack}>
      {may && <Address />}
      <Counts />
      <Card title="Consent">
        <Text size="sm">
          E-mail, text messages and notifications with marketing go only to people who agreed to
          that channel; nothing said means no. Pop-ups and other content in pages go to everybody
          who did not refuse, and whose browser does not send Global Privacy Control. Receipts and
          other transactional messages need no consent, but no address gets them that does not work,
          answered STOP, or was taken out by hand. What one person said is on that user’s page.
        </Text>
      </Card>
    </div>
  );
}

/** One address: look it up, take it out, take it back. */
function Address() {
  const [type, setType] = useState<Schema['AddressType']>('email');
  const [address, setAddress] = useState('');
  const [note, setNote] = useState('');
  const lookUp = useLookUp();
  const suppress = useSuppress();
  const unsuppress = useUnsuppress();
  const [found, setFound] = useState<Schema['SuppressionList']>();
  const words = channelType(type);
  const likely =
    type === 'email'
      ? /^[^@\s]+@[^@\s]+$/.test(address.trim())
      : /^(\+|00)[\d -]+$/.test(address.trim());
  const [asked, setAsked] = useState(false);
  const changed = () => {
    setFound(undefined);
    setAsked(false);
    lookUp.reset();
  };
  return (
    <Card title="Look up an address">
      <form
        onSubmit={(e) => {
          e.preventDefault();
          if (!likely) return setAsked(true);
          lookUp.mutate({ type, address }, { onSuccess: setFound });
        }}
      >
        <Stack>
          <div className={css.formRow}>
            <Select
              label="Channel"
              allowDeselect={false}
              data={types.map((value) => ({ value, label: channelType(value).label }))}
              value={type}
              onChange={(next) => {
                setType((next as Schema['AddressType']) ?? 'email');
                changed();
              }}
            />
            <TextInput
              label={`The ${words.address}`}
              placeholder={words.example}
              required
              withAsterisk={false}
              error={asked && !likely ? `Like ${words.example}` : undefined}
              value={address}
              onChange={(e) => {
                setAddress(e.currentTarget.value);
                changed();
              }}
            />
            <Button type="submit" loading={lookUp.isPending}>
              Look up
            </Button>
          </div>
          {lookUp.error && (
            <Text size="sm" c="var(--mantine-color-error)" role="alert">
              {messageOf(lookUp.error)}
            </Text>
          )}
        </Stack>
      </form>
      {found && (
        <Stack mt="md" data-testid="suppression" aria-live="polite">
          {found.suppressions.length === 0 ? (
            <Text size="sm">
              Nothing keeps messages from <strong>{found.address}</strong>. Whether its owner agreed
              is on the user’s page.
            </Text>
          ) : (
            <>
              <Text size="sm">
                What keeps messages from <strong>{found.address}</strong>:
              </Text>
              <Suppressions list={found.suppressions} />
            </>
          )}
          {found.suppressions.some((s) => s.removable) ? (
            <Button
              variant="default"
              w="fit-content"
              loading={unsuppress.isPending}
              onClick={() =>
                unsuppress.mutate(
                  { type, address },
                  {
                    onSuccess: setFound,
                    onError: (error) => failed('It was not taken back', error),
                  },
                )
              }
            >
              Take back what was done by hand
            </Button>
          ) : (
            <div className={css.formRow}>
              <TextInput
                label="Why (for the record)"
                placeholder="asked by phone"
                maxLength={300}
                value={note}
                onChange={(e) => setNote(e.currentTarget.value)}
              />
              <Button
                variant="default"
                loading={suppress.isPending}
                onClick={() =>
                  suppress.mutate(
                    { type, address, ...(note.trim() ? { note: note.trim() } : {}) },
                    {
                      onSuccess: (list) => {
                        setFound(list);
                        setNote('');
                      },
                      onError: (error) => failed('It was not suppressed', error),
                    },
                  )
                }
              >
                Suppress by hand
              </Button>
            </div>
          )}
        </Stack>
      )}
    </Card>
  );
}

function Counts() {
  const counts = useSuppressionCounts();
  const list = counts.data?.counts ?? [];
  return (
    <Card
      title="Suppressed addresses"
      flush
      aside={
        <CsvButton
          name="suppressed"
          head={['channel', 'reason', 'what it means', 'addresses']}
          disabled={list.length === 0}
          rows={() => list.map((c) => [c.type, c.reason, c.sentence, c.addresses])}
        />
      }
    >
      {counts.error && !counts.data ? (
        <Failure error={counts.error} retry={counts.refetch} />
      ) : !counts.data ? (
        <Loading rows={3} />
      ) : list.length === 0 ? (
        <Empty
          icon="check"
          title="None"
          cause="Nobody has unsubscribed, no address has bounced, and no list was imported."
          action={<LinkButton to="/imports">Import a list</LinkButton>}
        />
      ) : (
        <dl className={css.facts} style={{ padding: '1.25rem' }} data-testid="counts">
          {list.map((c) => (
            <div key={`${c.type} ${c.reason}`} style={{ display: 'contents' }}>
              <dt>
                {channelType(c.type).label}: {suppressionWords(c.reason)}
              </dt>
              <dd>{count(c.addresses)}</dd>
            </div>
          ))}
        </dl>
      )}
    </Card>
  );
}
