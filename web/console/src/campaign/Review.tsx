import { Button, Checkbox, Modal } from '@mantine/core';
import { type ReactNode, useState } from 'react';
import { useSizes } from '../api/queries';
import { count } from '../format/number';
import { periodWords } from '../format/pattern';
import trigger from '../trigger/trigger.module.css';
import css from './campaign.module.css';
import { holdoutOf, isOnce, quietWords, type Spec, startsOnEntering } from './spec';

/** What is about to go live, in words, and the button that does it. */
export function Review(props: {
  opened: boolean;
  onClose: () => void;
  name: string;
  spec: Spec;
  starts: string;
  launching: boolean;
  /** With those, too, who are in the audience already. */
  onLaunch: (include: boolean) => void;
}) {
  const { spec } = props;
  const cap = spec.limits?.cap;
  const held = holdoutOf(spec);
  const [include, setInclude] = useState(false);
  const sizes = useSizes();
  const inIt = sizes.data?.audiences.find((a) => a.name === spec.when.audience)?.size;
  const facts: [string, ReactNode][] = [
    ['When', props.starts],
    ['Who', spec.who?.length ? spec.who.join(' or ') : 'Everybody'],
    [
      'What',
      spec.what.map((v, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: a content is its place
        <div key={i}>
          {v.template || 'Its usual document'} by {v.channel}
        </div>
      )),
    ],
    [
      'Cap',
      cap
        ? `${cap.count} per ${periodWords(cap.per)}`
        : isOnce(spec)
          ? 'Once, ever'
          : 'None: each time',
    ],
    ['Quiet hours', quietWords(spec.limits?.quiet)],
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
      {startsOnEntering(spec) && (
        <Checkbox
          mt="md"
          label={
            inIt === undefined
              ? `Include who is in ${spec.when.audience} already`
              : `Include the ${count(inIt)} already in ${spec.when.audience}`
          }
          description="Without it, only who enters from now on gets it"
          checked={include}
          onChange={(e) => setInclude(e.currentTarget.checked)}
        />
      )}
      <div className={trigger.foot}>
        <Button
          loading={props.launching}
          onClick={() => props.onLaunch(include && startsOnEntering(spec))}
          data-autofocus
        >
          Launch
        </Button>
        <Button variant="default" onClick={props.onClose}>
          Not yet
        </Button>
      </div>
    </Modal>
  );
}
