import { SegmentedControl } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useAudiences, useTriggers } from '../api/queries';
import { periodWords, triggerWords } from '../format/pattern';
import { ChoiceChip, PickChip } from '../trigger/Chip';
import { Sentence } from '../trigger/Sentence';
import type { Problem, Spec as Trigger } from '../trigger/spec';
import trigger from '../trigger/trigger.module.css';
import { Card } from '../ui/Page';
import ui from '../ui/ui.module.css';
import { blankTrigger, type Spec, type Start, startOf } from './spec';

/** What starts the campaign. */
export function When(props: {
  spec: Spec;
  set: (spec: Spec) => void;
  /** The trigger that is written here and is not saved yet. */
  own: Trigger | undefined;
  setOwn: (own: Trigger | undefined) => void;
  problems: readonly Problem[];
  readOnly: boolean;
}) {
  const { spec, set, own, setOwn, readOnly } = props;
  const start = startOf(spec.when, own);
  const choose = (next: Start) => {
    setOwn(next === 'own' ? blankTrigger : undefined);
    set({ ...spec, when: next === 'audience' ? { audience: '' } : {} });
  };
  return (
    <Card
      title="When"
      aside={
        <SegmentedControl
          size="xs"
          aria-label="What starts it"
          value={start}
          disabled={readOnly}
          onChange={(next) => choose(next as Start)}
          data={[
            { value: 'own', label: 'What they do' },
            { value: 'trigger', label: 'A trigger' },
            { value: 'audience', label: 'An audience' },
          ]}
        />
      }
    >
      <div data-testid="when">
        {own ? (
          <Sentence spec={own} set={setOwn} problems={props.problems} readOnly={readOnly} fresh />
        ) : start === 'audience' ? (
          <Membership spec={spec} set={set} readOnly={readOnly} />
        ) : (
          <Existing spec={spec} set={set} readOnly={readOnly} />
        )}
      </div>
    </Card>
  );
}

interface Part {
  spec: Spec;
  set: (spec: Spec) => void;
  readOnly: boolean;
}

/** A trigger that is saved. */
function Existing({ spec, set, readOnly }: Part) {
  const triggers = useTriggers();
  const all = triggers.data?.definitions ?? [];
  const name = spec.when.trigger ?? '';
  const found = all.find((t) => t.name === name);
  return (
    <>
      <div className={trigger.sentence}>
        <span>Each time a user completes</span>
        <PickChip
          what="Trigger"
          value={name}
          label={name || undefined}
          placeholder="pick a trigger"
          search="Search triggers"
          options={all.map((t) => ({
            value: t.name,
            label: t.name,
            hint: t.spec.within && `within ${periodWords(t.spec.within)}`,
          }))}
          set={(picked) => set({ ...spec, when: { trigger: picked } })}
          openAtFirst={name === ''}
          readOnly={readOnly}
        />
      </div>
      {found && (
        <p className={ui.statHint}>
          {triggerWords(found.spec)}.{' '}
          <Link to="/triggers/$name" params={{ name }} className={ui.link}>
            Open the trigger
          </Link>
        </p>
      )}
    </>
  );
}

/** An audience that is entered or left. */
function Membership({ spec, set, readOnly }: Part) {
  const audiences = useAudiences();
  const { audience = '', on } = spec.when;
  return (
    <div className={trigger.sentence}>
      <span>When a user</span>
      <ChoiceChip
        what="Way"
        value={on ?? 'enter'}
        choices={{ enter: 'enters', leave: 'leaves' }}
        set={(way) =>
          set({
            ...spec,
            when: way === 'leave' ? { audience, on: way } : { audience },
          })
        }
        readOnly={readOnly}
      />
      <PickChip
        what="Audience"
        value={audience}
        label={audience || undefined}
        placeholder="pick an audience"
        search="Search audiences"
        options={(audiences.data?.definitions ?? []).map((a) => ({
          value: a.name,
          label: a.name,
        }))}
        set={(picked) => set({ ...spec, when: { ...spec.when, audience: picked } })}
        openAtFirst={audience === ''}
        readOnly={readOnly}
      />
    </div>
  );
}
