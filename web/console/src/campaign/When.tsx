import { Button, Group, Stack, TextInput } from '@mantine/core';
import { Link } from '@tanstack/react-router';
import { useAudiences, useKind, useTriggers } from '../api/queries';
import type { Stream } from '../api/streams';
import { localZone } from '../explore/useExplore';
import { periodWords, triggerWords } from '../format/pattern';
import { scheduleWords } from '../format/schedule';
import { ChoiceChip, FormChip, PeriodChip, PickChip, SwitchChip } from '../trigger/Chip';
import { Sentence } from '../trigger/Sentence';
import { type Problem, put, type Spec as Trigger } from '../trigger/spec';
import trigger from '../trigger/trigger.module.css';
import { Card } from '../ui/Page';
import { Segments } from '../ui/Segments';
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
    set({ ...spec, when: begin(next) });
  };
  return (
    <Card
      title="When"
      aside={
        <Segments
          size="xs"
          aria-label="What starts it"
          value={start}
          disabled={readOnly}
          onChange={(next) => choose(next as Start)}
          data={[
            { value: 'own', label: 'What they do' },
            { value: 'trigger', label: 'A trigger' },
            { value: 'stream', label: 'A stream' },
            { value: 'audience', label: 'An audience' },
            { value: 'schedule', label: 'A schedule' },
          ]}
        />
      }
    >
      <div data-testid="when">
        {own ? (
          <Sentence spec={own} set={setOwn} problems={props.problems} readOnly={readOnly} fresh />
        ) : start === 'audience' ? (
          <Membership spec={spec} set={set} readOnly={readOnly} />
        ) : start === 'stream' ? (
          <Streamed spec={spec} set={set} readOnly={readOnly} />
        ) : start === 'schedule' ? (
          <Scheduled spec={spec} set={set} readOnly={readOnly} />
        ) : (
          <Existing spec={spec} set={set} readOnly={readOnly} />
        )}
        {!spec.when.once && <Delay spec={spec} set={set} readOnly={readOnly} />}
      </div>
    </Card>
  );
}

const begin = (start: Start): Spec['when'] => {
  if (start === 'audience') return { audience: '' };
  if (start === 'stream') return { stream: '' };
  if (start === 'schedule') return { schedule: '0 9 * * *', zone: localZone() };
  return {};
};

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

/** A message of other people's topic. */
function Streamed({ spec, set, readOnly }: Part) {
  const streams = useKind<Stream>('stream');
  const all = streams.data?.definitions ?? [];
  const { stream = '', event = '' } = spec.when;
  const named = all.find((s) => s.name === stream)?.spec.eventFrom !== undefined;
  return (
    <div className={trigger.sentence}>
      <span>Each time a message comes by</span>
      <PickChip
        what="Stream"
        value={stream}
        label={stream || undefined}
        placeholder="pick a stream"
        search="Search streams"
        options={all.map((s) => ({ value: s.name, label: s.name, hint: s.spec.topic }))}
        set={(picked) => set({ ...spec, when: { stream: picked } })}
        openAtFirst={stream === ''}
        readOnly={readOnly}
      />
      {(named || event !== '') && (
        <TextInput
          aria-label="Event"
          placeholder="and is called"
          size="xs"
          value={event}
          readOnly={readOnly}
          onChange={(e) => set({ ...spec, when: put(spec.when, 'event', e.currentTarget.value) })}
        />
      )}
    </div>
  );
}

const usualSchedules = ['0 9 * * *', '0 9 * * 1-5', '0 9 * * 1', '0 9 1 * *', '0 * * * *'];

/** The clock; who is in its audiences is asked at each run. */
function Scheduled({ spec, set, readOnly }: Part) {
  const { schedule = '', zone = '' } = spec.when;
  const change = (part: Spec['when']) => set({ ...spec, when: { ...spec.when, ...part } });
  return (
    <div className={trigger.sentence}>
      <span>It runs</span>
      <FormChip what="Schedule" label={scheduleWords(schedule)} width={330} readOnly={readOnly}>
        {(close) => (
          <Stack gap="xs">
            <Group gap={6}>
              {usualSchedules.map((each) => (
                <Button
                  key={each}
                  size="compact-sm"
                  variant={each === schedule ? 'filled' : 'default'}
                  onClick={() => change({ schedule: each })}
                >
                  {scheduleWords(each)}
                </Button>
              ))}
            </Group>
            <TextInput
              label="Minute, hour, day of the month, month, day of the week"
              size="xs"
              value={schedule}
              onChange={(e) => change({ schedule: e.currentTarget.value })}
              onKeyDown={(e) => e.key === 'Enter' && close()}
            />
            <TextInput
              label="Time zone"
              description="Empty: the installation’s"
              size="xs"
              value={zone}
              onChange={(e) =>
                set({ ...spec, when: put(spec.when, 'zone', e.currentTarget.value) })
              }
              onKeyDown={(e) => e.key === 'Enter' && close()}
            />
          </Stack>
        )}
      </FormChip>
      <span className={ui.muted}>by the clock of {zone || 'the installation'}</span>
    </div>
  );
}

/** How long after its start it decides and sends. */
function Delay({ spec, set, readOnly }: Part) {
  const { delay } = spec;
  return (
    <div className={trigger.sentence} style={{ marginTop: 8 }}>
      <SwitchChip
        what="Delay"
        label="not at once"
        on={delay !== undefined}
        set={(on) => set(put(spec, 'delay', on ? '30m' : undefined))}
        readOnly={readOnly}
      />
      {delay && (
        <>
          <span>but</span>
          <PeriodChip
            what="Delay"
            value={delay}
            usual={['5m', '30m', '1h', '24h', '3d']}
            set={(next) => set({ ...spec, delay: next })}
            readOnly={readOnly}
          />
          <span>later, if it still is for the user then</span>
        </>
      )}
    </div>
  );
}
