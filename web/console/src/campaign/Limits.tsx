import { Checkbox, NumberInput, TextInput } from '@mantine/core';
import { EventChip, PeriodChip, SwitchChip, TimesChip } from '../trigger/Chip';
import { put } from '../trigger/spec';
import trigger from '../trigger/trigger.module.css';
import { Card } from '../ui/Page';
import ui from '../ui/ui.module.css';
import css from './campaign.module.css';
import { holdoutOf, type Spec, withLimit } from './spec';

/** How often, whom not, and what it should achieve. */
export function Limits(props: { spec: Spec; set: (spec: Spec) => void; readOnly: boolean }) {
  const { spec, set, readOnly } = props;
  const cap = spec.limits?.cap;
  const held = holdoutOf(spec);
  const { goal } = spec;
  return (
    <Card title="Limits and goal">
      <div className={css.limits} data-testid="limits">
        <div className={trigger.sentence}>
          <SwitchChip
            what="Cap"
            label="at most"
            on={cap !== undefined}
            set={(on) => set(withLimit(spec, 'cap', on ? { count: 1, per: '24h' } : undefined))}
            readOnly={readOnly}
          />
          {cap ? (
            <>
              <TimesChip
                what="At most"
                value={cap.count}
                set={(n) => set(withLimit(spec, 'cap', { ...cap, count: n }))}
                readOnly={readOnly}
              />
              <span>in any</span>
              <PeriodChip
                what="Cap per"
                value={cap.per}
                usual={['1h', '24h', '7d', '30d']}
                set={(per) => set(withLimit(spec, 'cap', { ...cap, per }))}
                readOnly={readOnly}
              />
            </>
          ) : (
            <span className={ui.muted}>a user gets it each time</span>
          )}
        </div>
        <div className={trigger.sentence}>
          <Checkbox
            label="Hold back"
            checked={held > 0}
            disabled={readOnly}
            onChange={(e) =>
              set(withLimit(spec, 'holdout', e.currentTarget.checked ? undefined : '0%'))
            }
          />
          {held > 0 && (
            <NumberInput
              size="xs"
              w={92}
              aria-label="Held back, in percent"
              suffix=" %"
              min={1}
              max={90}
              value={held}
              readOnly={readOnly}
              onChange={(n) =>
                typeof n === 'number' &&
                n >= 1 &&
                set(withLimit(spec, 'holdout', n === 10 ? undefined : `${n}%`))
              }
            />
          )}
          <span className={ui.muted}>
            {held > 0
              ? 'of the users, to measure what the campaign does'
              : 'nobody: what would have happened anyway will not be known'}
          </span>
        </div>
        <div className={trigger.sentence}>
          <SwitchChip
            what="Goal"
            label="its goal:"
            on={goal !== undefined}
            set={(on) => set(put(spec, 'goal', on ? { event: '', within: '3d' } : undefined))}
            readOnly={readOnly}
          />
          {goal ? (
            <>
              <EventChip
                what="Goal"
                value={goal.event}
                set={(event) => set({ ...spec, goal: { ...goal, event } })}
                openAtFirst={goal.event === ''}
                readOnly={readOnly}
              />
              <span>within</span>
              <PeriodChip
                what="Goal within"
                value={goal.within}
                usual={['1h', '24h', '3d', '7d', '28d']}
                set={(within) => set({ ...spec, goal: { ...goal, within } })}
                readOnly={readOnly}
              />
              <TextInput
                size="xs"
                w={190}
                aria-label="Field with the goal’s value"
                placeholder="properties.revenue"
                value={goal.value ?? ''}
                readOnly={readOnly}
                onChange={(e) =>
                  set({ ...spec, goal: put(goal, 'value', e.currentTarget.value || undefined) })
                }
              />
            </>
          ) : (
            <span className={ui.muted}>
              none, so the report counts sends, not what they achieve
            </span>
          )}
        </div>
      </div>
    </Card>
  );
}
