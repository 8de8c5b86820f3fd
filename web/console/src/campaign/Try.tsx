import { Button, Modal, TextInput } from '@mantine/core';
import { useState } from 'react';
import type { Schema } from '../api/client';
import { messageOf } from '../api/problem';
import { useTrial, useTry } from '../api/queries';
import { reasonWords } from '../format/words';
import { Card } from '../ui/Page';
import { Sandbox } from '../ui/Sandbox';
import ui from '../ui/ui.module.css';
import css from './campaign.module.css';

const remembered = 'heed-tester';
const rememberedTo = 'heed-tester-address';

/** Who tries: whoever tried last, or the visitor that this browser is on a site of the same origin. */
const me = (): string =>
  localStorage.getItem(remembered) ?? localStorage.getItem('heed_id') ?? 'me';

/** Tries what is drafted on one user, and shows what came of it. */
export function Try(props: {
  documents: () => Schema['AnyJSON'];
  /** What it is sent to, where that is an address: "E-mail address". */
  address?: string | undefined;
  /** The event that completes the trigger. */
  event: string | undefined;
  why: string | undefined;
}) {
  const [user, setUser] = useState(me);
  const [to, setTo] = useState(() => localStorage.getItem(rememberedTo) ?? '');
  const begin = useTry();
  const trial = useTrial(begin.data?.id);
  const [closed, setClosed] = useState<string>();
  const { data } = trial;
  const web = data?.done && data.status === 'sent' && data.as !== undefined;
  const error = begin.error ?? trial.error;
  return (
    <Card title="Try it">
      <div className={css.try} data-testid="try">
        <TextInput
          size="xs"
          label="On"
          description="A user id, or the anonymous id of a browser"
          value={user}
          onChange={(e) => setUser(e.currentTarget.value)}
        />
        {props.address && (
          <TextInput
            size="xs"
            label={props.address}
            placeholder="the user’s own"
            value={to}
            onChange={(e) => setTo(e.currentTarget.value)}
          />
        )}
        <Button
          size="xs"
          variant="default"
          loading={begin.isPending || (begin.data !== undefined && !data?.done && !error)}
          disabled={props.why !== undefined || user.trim() === ''}
          title={props.why}
          onClick={() => {
            localStorage.setItem(remembered, user.trim());
            if (props.address) localStorage.setItem(rememberedTo, to.trim());
            begin.mutate({
              user: user.trim(),
              documents: props.documents(),
              ...(props.event ? { event: props.event } : {}),
              ...(props.address && to.trim() ? { to: to.trim() } : {}),
            });
          }}
        >
          Test on me
        </Button>
        {props.why && <p className={ui.statHint}>{props.why}.</p>}
        {error ? (
          <p className={css.outcome} role="alert">
            {messageOf(error)}
          </p>
        ) : (
          data?.done && (
            <p className={css.outcome} role="status" data-testid="tried">
              {data.status === 'sent' ? (
                <>
                  Sent to <b>{data.user}</b> by {data.channel}. It counts nowhere.
                </>
              ) : (
                <>
                  Not sent: {data.sentence || reasonWords(data.reason)}
                  {data.detail && ` ${data.detail}`}
                </>
              )}
            </p>
          )
        )}
        {data?.done && (data.missing?.length ?? 0) > 0 && (
          <p className={ui.statHint}>Without a value for this user: {data.missing?.join(', ')}</p>
        )}
        {data?.done && data.body && !web && (
          <Sandbox
            html={`${data.subject ? `<b>${plain(data.subject)}</b>` : ''}${data.body}`}
            title="What was sent"
            height={180}
          />
        )}
      </div>
      <Modal
        opened={web === true && closed !== data?.id}
        onClose={() => setClosed(data?.id)}
        title={`What is shown to ${data?.user ?? ''}`}
        size="md"
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        {data?.body && <Sandbox html={data.body} title="The message" height={440} />}
      </Modal>
    </Card>
  );
}

const plain = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
