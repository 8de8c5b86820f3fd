import { SegmentedControl, Stack } from '@mantine/core';
import { useState } from 'react';
import { type Template, useTemplatePreview } from '../api/queries';
import { Sandbox } from './Sandbox';
import { Snippet } from './Snippet';
import { Failure, Loading } from './states';

/** An e-mail as it goes out: on a phone, on a desktop, and for who reads no HTML. */
export function Letter({ template }: { template: Template }) {
  const [view, setView] = useState('Phone');
  const preview = useTemplatePreview(template.spec, true);
  if (preview.error) return <Failure error={preview.error} retry={preview.refetch} />;
  if (!preview.data) return <Loading />;
  return (
    <Stack gap="xs">
      <SegmentedControl
        aria-label="How it is read"
        data={['Phone', 'Desktop', 'Text']}
        value={view}
        onChange={setView}
      />
      {view === 'Text' ? (
        <Snippet label="Text twin" text={preview.data.text} />
      ) : (
        <div style={{ maxWidth: view === 'Phone' ? 390 : undefined }}>
          <Sandbox
            html={preview.data.body}
            title={`Preview of ${template.name}`}
            height={view === 'Phone' ? 560 : 480}
          />
        </div>
      )}
    </Stack>
  );
}
