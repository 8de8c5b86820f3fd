import { useSizes } from '../api/queries';
import { count } from '../format/number';
import { list } from '../format/pattern';
import { PickChip } from '../trigger/Chip';
import { put } from '../trigger/spec';
import trigger from '../trigger/trigger.module.css';
import { Card } from '../ui/Page';
import type { Spec } from './spec';

/** Whom it is for: everybody, or who is in one of some audiences. */
export function Who(props: { spec: Spec; set: (spec: Spec) => void; readOnly: boolean }) {
  const { spec, set, readOnly } = props;
  const sizes = useSizes();
  const who = spec.who ?? [];
  return (
    <Card title="Who">
      <div className={trigger.sentence} data-testid="who">
        <span>{who.length > 0 ? 'Only who is in' : 'For'}</span>
        <PickChip
          what="Audience"
          value={who[0] ?? ''}
          several={who}
          label={who.length > 0 ? list(who, 'or') : 'everybody'}
          placeholder="everybody"
          search="Search audiences"
          options={(sizes.data?.audiences ?? []).map((a) => ({
            value: a.name,
            label: a.name,
            hint: a.size === undefined ? undefined : `${count(a.size)} now`,
          }))}
          set={(name) =>
            set(
              put(spec, 'who', who.includes(name) ? who.filter((w) => w !== name) : [...who, name]),
            )
          }
          readOnly={readOnly}
        />
        <span>at the moment when it is sent.</span>
      </div>
    </Card>
  );
}
