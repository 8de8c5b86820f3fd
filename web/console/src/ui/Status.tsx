import { Badge } from '@mantine/core';
import { statusWords } from '../format/words';

/** A status as a badge: word first, colour second. */
export function Status({ status }: { status: string }) {
  const { label, color } = statusWords(status);
  return (
    <Badge
      variant="light"
      color={color}
      radius="sm"
      size="md"
      tt="none"
      fw={600}
      data-status={color}
    >
      {label}
    </Badge>
  );
}
