import { Button, Group, Select, Stack, TextInput } from '@mantine/core';
import { FormChip } from '../trigger/Chip';
import type { Range } from './measure';
import { rangeOf } from './state';
import { localZone, useExplore } from './useExplore';
import { rangeWords } from './words';

const lasts = ['1h', '24h', '7d', '28d', '90d', '12mo'];
const short: Record<string, string> = {
  '1h': '1 hour',
  '24h': '24 hours',
  '7d': '7 days',
  '28d': '28 days',
  '90d': '90 days',
  '12mo': '12 months',
};

const zones = (): string[] => {
  const all = Intl.supportedValuesOf('timeZone');
  return all.includes('UTC') ? all : ['UTC', ...all];
};

const nextDay = (day: string, by: number): string => {
  const at = new Date(`${day}T00:00:00Z`);
  at.setUTCDate(at.getUTCDate() + by);
  return at.toISOString().slice(0, 10);
};

/** When it happened, and in whose days. */
export function RangeChooser() {
  const { s, set } = useExplore();
  const range = rangeOf(s);
  if (!range) return null;
  const always = s.view !== 'trend' && s.view !== 'retention';
  const words = rangeWords(range);
  return (
    <FormChip what="Time range" label={words[0]?.toUpperCase() + words.slice(1)} width={300}>
      {(close) => {
        const choose = (next: Range) => {
          set({ range: next });
          close();
        };
        const date = (part: 'from' | 'to', value: string) => {
          if (value !== '' && !/^\d{4}-\d\d-\d\d$/.test(value)) return;
          const next: Range = { from: range.from, to: range.to };
          // the last day is in the range, and the range's end is not
          next[part] = value === '' ? undefined : part === 'to' ? nextDay(value, 1) : value;
          if (next.from || next.to) set({ range: next }, true);
        };
        return (
          <Stack gap="xs">
            <Group gap={6}>
              {lasts.map((last) => (
                <Button
                  key={last}
                  size="compact-sm"
                  variant={range.last === last ? 'filled' : 'default'}
                  onClick={() => choose({ last })}
                >
                  {short[last]}
                </Button>
              ))}
              {always && (
                <Button
                  size="compact-sm"
                  variant={!range.last && !range.from && !range.to ? 'filled' : 'default'}
                  onClick={() => choose({})}
                >
                  Any time
                </Button>
              )}
            </Group>
            <Group gap={8} grow>
              <TextInput
                type="date"
                size="xs"
                label="From"
                value={range.from?.slice(0, 10) ?? ''}
                onChange={(e) => date('from', e.currentTarget.value)}
              />
              <TextInput
                type="date"
                size="xs"
                label="To, included"
                value={
                  range.to?.length === 10 ? nextDay(range.to, -1) : (range.to?.slice(0, 10) ?? '')
                }
                onChange={(e) => date('to', e.currentTarget.value)}
              />
            </Group>
            <Select
              size="xs"
              label="Time zone of days"
              searchable
              allowDeselect={false}
              data={zones()}
              value={s.zone ?? localZone()}
              onChange={(zone) =>
                set({ zone: zone && zone !== localZone() ? zone : undefined }, true)
              }
              comboboxProps={{ withinPortal: false }}
              withScrollArea={false}
              styles={{ options: { maxHeight: 180, overflowY: 'auto' } }}
            />
          </Stack>
        );
      }}
    </FormChip>
  );
}
