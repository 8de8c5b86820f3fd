import { Button } from '@mantine/core';
import { useClipboard } from '@mantine/hooks';
import { Icon } from './Icon';
import css from './ui.module.css';

/** Text to paste somewhere, with a button that copies it. */
export function Snippet({ label, text }: { label: string; text: string }) {
  const clipboard = useClipboard({ timeout: 1500 });
  return (
    <div className={css.snippet}>
      <div className={css.snippetHead}>
        <span>{label}</span>
        <Button
          size="compact-xs"
          variant="subtle"
          leftSection={<Icon name={clipboard.copied ? 'check' : 'copy'} size={14} />}
          onClick={() => clipboard.copy(text)}
          aria-label={`Copy: ${label}`}
        >
          {clipboard.copied ? 'Copied' : 'Copy'}
        </Button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard */}
      <pre tabIndex={0}>{text}</pre>
    </div>
  );
}
