import { useTemplates } from '../api/queries';
import { sampleOf } from '../format/liquid';
import { Card } from '../ui/Page';
import { Sandbox } from '../ui/Sandbox';
import type { Spec } from './spec';

/** What the first content looks like, each field by its default or its name. */
export function Sample({ spec }: { spec: Spec }) {
  const templates = useTemplates();
  const name = spec.what[0]?.template;
  const template = templates.data?.definitions.find((t) => t.name === name);
  if (!template) return null;
  return (
    <Card title={template.name} flush>
      <Sandbox
        html={sampleOf(template.spec.body ?? '')}
        title={`Preview of ${template.name}`}
        height={220}
      />
    </Card>
  );
}
