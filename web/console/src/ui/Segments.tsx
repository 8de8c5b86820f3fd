import { SegmentedControl, type SegmentedControlProps } from '@mantine/core';
import css from './ui.module.css';

/**
 * Choices beside each other of which there may be many: what a phone has no room for is scrolled to.
 * The control by itself cuts it off, and where it scrolls, its mark stays behind.
 */
export const Segments = (props: SegmentedControlProps) => (
  <div className={css.segments}>
    <SegmentedControl {...props} style={{ flexShrink: 0 }} />
  </div>
);
