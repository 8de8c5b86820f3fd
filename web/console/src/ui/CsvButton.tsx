import { Button } from '@mantine/core';
import { csvOf, type Field, saveFile } from './file';
import { Icon } from './Icon';
import { failed } from './notice';

/** Saves what a table shows; rows are asked for when it is clicked. */
export function CsvButton(props: {
  name: string;
  head: readonly string[];
  rows: () => readonly (readonly Field[])[] | Promise<readonly (readonly Field[])[]>;
  disabled?: boolean;
}) {
  const save = async () => {
    const text = csvOf(props.head, await props.rows());
    saveFile(new Blob([text], { type: 'text/csv' }), `${props.name}.csv`);
  };
  return (
    <Button
      size="xs"
      variant="default"
      leftSection={<Icon name="download" size={14} />}
      disabled={props.disabled}
      onClick={() => save().catch((error: unknown) => failed('The file was not saved', error))}
      title="Save the table as a file"
    >
      CSV
    </Button>
  );
}
