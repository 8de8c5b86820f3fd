import { Button, Group, NativeSelect, NumberInput, Stack, TextInput } from '@mantine/core';
import type { Range } from '../explore/measure';
import { rangeWords } from '../explore/words';
import { FormChip } from '../trigger/Chip';

const usual = ['1d', '7d', '28d', '90d', '12mo'];
const units = [
  { value: 'h', label: 'hours' },
  { value: 'd', label: 'days' },
  { value: 'w', label: 'weeks' },
  { value: 'mo', label: 'months' },
  { value: 'y', label: 'years' },
];

/** When something was done: lately, between two days, or at any time. */
export function RangeChip(props: {
  value: Range | undefined;
  set: (range: Range | undefined) => void;
  readOnly: boolean;
}) {
  const { value, set } = props;
  const [, n = '', unit = 'd'] = /^(\d+)(h|d|w|mo|y)$/.exec(value?.last ?? '') ?? [];
  const day = (part: 'from' | 'to', text: string) => {
    if (text !== '' && !/^\d{4}-\d\d-\d\d$/.test(text)) return;
    const next: Range = { ...(value?.last ? {} : value), [part]: text || undefined };
    for (const key of ['from', 'to'] as const) if (!next[key]) delete next[key];
    set(next.from || next.to ? next : undefined);
  };
  return (
    <FormChip what="When" label={rangeWords(value)} width={300} readOnly={props.readOnly}>
      {(close) => {
        const choose = (range: Range | undefined) => {
          set(range);
          close();
        };
        return (
          <Stack gap="xs">
            <Group gap={6}>
              {usual.map((last) => (
                <Button
                  key={last}
                  size="compact-sm"
                  variant={value?.last === last ? 'filled' : 'default'}
                  onClick={() => choose({ last })}
                >
                  {rangeWords({ last }).replace(/^in the last /, '')}
                </Button>
              ))}
              <Button
                size="compact-sm"
                variant={value ? 'default' : 'filled'}
                onClick={() => choose(undefined)}
              >
                any time
              </Button>
            </Group>
            <Group gap={6} grow align="flex-end">
              <NumberInput
                label="In the last"
                size="xs"
                min={1}
                max={400}
                allowDecimal={false}
                value={n === '' ? '' : Number(n)}
                onChange={(next) =>
                  typeof next === 'number' && next > 0 && set({ last: `${next}${unit}` })
                }
                onKeyDown={(e) => e.key === 'Enter' && close()}
              />
              <NativeSelect
                aria-label="Unit"
                size="xs"
                data={units}
                value={unit}
                onChange={(e) => set({ last: `${n || 1}${e.currentTarget.value}` })}
              />
            </Group>
            <Group gap={6} grow>
              <TextInput
                type="date"
                size="xs"
                label="From"
                value={value?.from?.slice(0, 10) ?? ''}
                onChange={(e) => day('from', e.currentTarget.value)}
              />
              <TextInput
                type="date"
                size="xs"
                label="Before"
                value={value?.to?.slice(0, 10) ?? ''}
                onChange={(e) => day('to', e.currentTarget.value)}
              />
            </Group>
          </Stack>
        );
      }}
    </FormChip>
  );
}
