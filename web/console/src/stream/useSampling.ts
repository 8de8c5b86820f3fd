import { useState } from 'react';
import { useSample } from '../api/streams';
import { same } from '../trigger/spec';
import { blank, type Sample, type Spec } from './spec';

/** What the brokers say of a draft, asked when somebody wants to know: their topics, and the newest messages of one. */
export function useSampling(name: string | undefined, spec: Spec) {
  const list = useSample();
  const messages = useSample();
  // what was read stays while it is read again
  const [last, setLast] = useState<{ spec: Spec; sample: Sample }>();
  const mine = last?.spec.topic === spec.topic ? last : undefined;
  return {
    /** The names of the topics, undefined before the brokers were asked. */
    topics: list.data?.topics,
    connecting: list.isPending,
    unreachable: list.error,
    connect: () => list.mutate({ name, spec: { ...blank, kafka: spec.kafka } }),
    sample: mine?.sample,
    /** The draft was changed since the sample was taken. */
    old: mine !== undefined && !same(mine.spec, spec),
    reading: messages.isPending,
    failed: messages.error,
    read: (of: Spec) =>
      messages.mutate({ name, spec: of }, { onSuccess: (sample) => setLast({ spec: of, sample }) }),
  };
}

export type Sampling = ReturnType<typeof useSampling>;

/** What the parts of the form share. */
export interface Editing {
  spec: Spec;
  set: (spec: Spec) => void;
  sampling: Sampling;
  readOnly: boolean;
  /** Brokers may be asked. */
  may: boolean;
}
