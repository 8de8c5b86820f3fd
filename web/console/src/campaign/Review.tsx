import { Button, Modal } from '@mantine/core';
import type { ReactNode } from 'react';
import { periodWords } from '../format/pattern';
import trigger from '../trigger/trigger.module.css';
import css from './campaign.module.css';
import { holdoutOf, type Spec } from './spec';

/** What is about to go live, in words, and the button that does it. */
export function Review(props: {
  opened: boolean;
  onClose: () => void;
  name: string;
  spec: Spec;
  starts: string;
  launching: boolean;
  onLaunch: () => void;
}) {
  const { spec } = props;
  const cap = spec.limits?.cap;
  const held = holdoutOf(spec);
  const facts: [string, ReactNode][] = [
    ['When', props.starts],
    ['Who', spec.who?.length ? spec.who.join(' or ') : 'Everybody'],
    [
      'What',
      spec.what.map((v, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a content is its place
        <div key={i}>
          {v.template} by {v.channel}
        </div>
      )),
    ],
    ['Cap', cap ? `${cap.count} per ${periodWords(cap.per)}` : 'None: each time'],
    ['Held back', held > 0 ? `${held} % of the users` : 'Nobody: its lift will not be known'],
    ['Goal', spec.goal ? `${spec.goal.event} within ${periodWords(spec.goal.within)}` : 'None'],
  ];
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={`Launch ${props.name}?`}
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <dl className={css.review} data-testid="review">
        {facts.map(([label, value]) => (
          <div key={label} style={{ display: 'contents' }}>
            <dt>{label}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <div className={trigger.foot}>
        <Button loading={props.launching} onClick={props.onLaunch} data-autofocus>
          Launch
        </Button>
        <Button variant="default" onClick={props.onClose}>
          Not yet
        </Button>
      </div>
    </Modal>
  );
}
