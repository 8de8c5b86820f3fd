import { Button, Modal } from '@mantine/core';
import type { ReactNode } from 'react';
import { diff } from './diff';
import css from './trigger.module.css';

const signs = { both: ' ', old: '−', new: '+' };

/** Two versions of a trigger, line by line. */
export function Difference(props: {
  opened: boolean;
  onClose: () => void;
  title: string;
  explain: ReactNode;
  before: string;
  after: string;
  legend: [before: string, after: string];
  children: ReactNode;
}) {
  const all = props.opened ? diff(props.before, props.after) : [];
  return (
    <Modal
      opened={props.opened}
      onClose={props.onClose}
      title={props.title}
      size="lg"
      closeButtonProps={{ 'aria-label': 'Close' }}
    >
      <p className={css.plain}>{props.explain}</p>
      <p className={css.legend}>
        <span data-side="old">− {props.legend[0]}</span>
        <span data-side="new">+ {props.legend[1]}</span>
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <pre className={css.diff} tabIndex={0} data-testid="difference">
        {all.map((line, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: a line is its place
          <span key={i} data-side={line.side}>
            {signs[line.side]} {line.text}
            {'\n'}
          </span>
        ))}
      </pre>
      <div className={css.foot}>
        {props.children}
        <Button variant="default" onClick={props.onClose}>
          Go on editing
        </Button>
      </div>
    </Modal>
  );
}
