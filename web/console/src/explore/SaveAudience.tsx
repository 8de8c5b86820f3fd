import { Button, Radio, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useAudiences, useSaveDefinition } from '../api/queries';
import { useMay } from '../api/session';
import { count } from '../format/number';
import { done, failed } from '../ui/notice';
import css from './explore.module.css';
import { type Node, stamp } from './measure';
import { useExplore } from './useExplore';
import { suggest } from './words';

export const validName = (name: string): boolean => /^[A-Za-z0-9][\w.-]{0,63}$/.test(name);

/** Keeps the people as an audience: those who fit from now on, or just those of then. */
export function SaveAudience(props: {
  tree: Node;
  words: string;
  /** Who they are, with everything that they were narrowed down by. */
  described: string;
  at: number;
  total: number;
  onDone: () => void;
}) {
  const { s, zone } = useExplore();
  const audiences = useAudiences();
  const save = useSaveDefinition('audience');
  const may = useMay('marketer');
  const taken = (audiences.data?.definitions ?? []).map((a) => a.name);
  const [typed, setTyped] = useState<string>();
  const [kind, setKind] = useState('dynamic');
  const name = typed ?? suggest(props.words, taken);
  const wrong = !validName(name)
    ? 'Letters, digits, dots, hyphens and underscores, at most 64'
    : taken.includes(name)
      ? 'An audience has this name already'
      : undefined;
  return (
    <form
      className={css.form}
      onSubmit={(e) => {
        e.preventDefault();
        if (wrong) return;
        save.mutate(
          {
            name,
            version: 0,
            spec: audienceSpec(
              props.tree,
              props.described,
              s.zone ?? zone,
              kind === 'frozen' ? props.at : undefined,
            ),
          },
          {
            onSuccess: () => {
              done(`The audience ${name} is saved`);
              props.onDone();
            },
            onError: (error) => failed('The audience was not saved', error),
          },
        );
      }}
    >
      <Stack gap="sm">
        <TextInput
          label="Name of the audience"
          value={name}
          error={wrong}
          onChange={(e) => setTyped(e.currentTarget.value)}
          data-autofocus
        />
        <Radio.Group aria-label="Who belongs to it" value={kind} onChange={setKind}>
          <Stack gap={6}>
            <Radio
              value="dynamic"
              label="Whoever fits, from now on"
              description="People enter and leave as they act and as time goes by"
            />
            <Radio
              value="frozen"
              label={`Just these ${count(props.total)}`}
              description="Frozen as of the time of the chart"
            />
          </Stack>
        </Radio.Group>
        <div className={css.line}>
          <Button type="submit" size="xs" loading={save.isPending} disabled={!may}>
            Save
          </Button>
          <Button size="xs" variant="default" onClick={props.onDone}>
            Cancel
          </Button>
          {!may && <span className={css.hint}>It takes the role marketer to save one.</span>}
        </div>
      </Stack>
    </form>
  );
}

/** The definition that keeps a tree. */
export function audienceSpec(
  tree: Node,
  described: string,
  zone: string,
  frozen?: number,
): Record<string, unknown> {
  return {
    description: described.slice(0, 500),
    zone,
    ...(frozen === undefined ? {} : { frozen: stamp(frozen) }),
    ...tree,
  };
}
