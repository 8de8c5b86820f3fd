import { Button, Modal } from '@mantine/core';
import { useState } from 'react';
import { useSending, useSetSending } from '../api/sending';
import { useMay } from '../api/session';
import { Icon } from '../ui/Icon';
import { done, failed } from '../ui/notice';
import { At } from '../ui/time';
import css from './shell.module.css';

/** The switch that stops everything that is sent, and what it says while it does. */
export function StopSending() {
  const { data } = useSending();
  const may = useMay('marketer');
  const set = useSetSending();
  const [asking, setAsking] = useState(false);
  if (!data) return null; // this process does not send
  const { stopped } = data;
  const turn = () =>
    set.mutate(!stopped, {
      onSuccess: () => {
        setAsking(false);
        done(stopped ? 'Sending goes on.' : 'All sending is stopped.');
      },
      onError: (error) => failed('Not changed', error),
    });
  return (
    <>
      <Button
        size="xs"
        className={css.make}
        color="red.8"
        variant={stopped ? 'filled' : 'default'}
        leftSection={<Icon name={stopped ? 'alert' : 'pause'} size={14} />}
        aria-label={stopped ? 'Sending is stopped: go on' : 'Stop all sending'}
        title={may ? undefined : 'Your role cannot stop sending'}
        disabled={!may}
        onClick={() => setAsking(true)}
      >
        <span>{stopped ? 'Sending is stopped' : 'Stop all sending'}</span>
      </Button>
      <Modal
        opened={asking}
        onClose={() => setAsking(false)}
        title={stopped ? 'Go on sending?' : 'Stop all sending?'}
        closeButtonProps={{ 'aria-label': 'Close' }}
      >
        <p>
          {stopped ? (
            <>
              {data.by} stopped it
              {data.at && (
                <>
                  {' '}
                  (<At at={data.at} />)
                </>
              )}
              . What waited since then leaves at the rate of the settings, if it is still worth
              sending by then.
            </>
          ) : (
            'Within a second nothing leaves any more: no campaign, no receipt, no test. What would have been sent waits until somebody lifts the stop.'
          )}
        </p>
        <div className={css.choices}>
          <Button color={stopped ? undefined : 'red.8'} loading={set.isPending} onClick={turn}>
            {stopped ? 'Go on sending' : 'Stop all sending'}
          </Button>
          <Button variant="default" onClick={() => setAsking(false)} data-autofocus>
            {stopped ? 'Keep it stopped' : 'Keep sending'}
          </Button>
        </div>
      </Modal>
    </>
  );
}
