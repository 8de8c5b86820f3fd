import { NativeSelect, SegmentedControl, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { useSources } from '../api/queries';
import { list } from '../format/pattern';
import { tags } from '../format/tag';
import { Snippet } from './Snippet';
import { Failure, Loading } from './states';
import css from './ui.module.css';

type Where = 'button' | 'page' | 'server';

/** What to paste so that an event arrives: the loader with the real key and address, and the call. */
export function Tag({ event }: { event: string }) {
  const sources = useSources();
  const [picked, setPicked] = useState('');
  const [where, setWhere] = useState<Where>('button');
  if (sources.error && !sources.data) {
    return <Failure error={sources.error} retry={sources.refetch} />;
  }
  if (!sources.data) return <Loading rows={3} />;
  const all = sources.data.definitions.filter((s) => s.spec.writeKey);
  const source = all.find((s) => s.name === picked) ?? all[0];
  if (!source) {
    return (
      <Text size="sm">There is no source yet, so nothing may send events. Apply one first.</Text>
    );
  }
  const { origins = [], writeKey = '' } = source.spec;
  const text = tags(location.origin, writeKey, event);
  const local = /^(localhost|127\.|\[::1\])/.test(location.hostname);
  return (
    <Stack gap="sm" data-testid="tag">
      <SegmentedControl
        aria-label="Where it happens"
        value={where}
        onChange={(next) => setWhere(next as Where)}
        data={[
          { value: 'button', label: 'A click' },
          { value: 'page', label: 'A page opens' },
          { value: 'server', label: 'A server' },
        ]}
      />
      {all.length > 1 && (
        <NativeSelect
          label="Source"
          data={all.map((s) => s.name)}
          value={source.name}
          onChange={(e) => setPicked(e.currentTarget.value)}
        />
      )}
      {where !== 'server' && <Snippet label="Once a page, in its head" text={text.loader} />}
      {where === 'button' && (
        <>
          <Snippet label="On the button or link" text={text.button} />
          <Text size="sm" c="dimmed">
            Whatever carries <code className={css.mono}>data-heed-event</code> sends it when
            clicked; other <code className={css.mono}>data-heed-…</code> attributes go along as
            text. From your own code: <code className={css.mono}>{text.call}</code>
          </Text>
        </>
      )}
      {where === 'page' && <Snippet label="On the page where it happens" text={text.page} />}
      {where === 'server' && <Snippet label="One event with curl" text={text.curl} />}
      {where !== 'server' && (
        <Text size="sm" c="dimmed" data-testid="origins">
          {origins.length > 0
            ? `Only pages of ${list(origins, 'and')} may send with this key; a file on your disk or another site is refused. The source “${source.name}” lists them.`
            : 'Pages of every site, and a file on your disk, may send with this key.'}
          {local && ' The address above works on this machine only.'}
        </Text>
      )}
    </Stack>
  );
}
