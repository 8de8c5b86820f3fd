import { useEventFields } from '../api/queries';
import { PickChip } from '../trigger/Chip';
import { useDimensions } from './Views';
import { dimensionTitle } from './words';

const builtIn = [
  'engagement',
  'acquisition-month',
  'acquisition-source',
  'last-touch-source',
  'country',
  'device',
];
const none = '-';

/** What the numbers are split by. */
export function SplitChip(props: {
  value: string | undefined;
  /** What events are is possible, too. */
  events?: boolean;
  set: (by: string | undefined) => void;
}) {
  const defined = useDimensions();
  const traits = useEventFields(['identify']).map((f) => f.field.replace(/^event\./, ''));
  const names = [
    ...builtIn,
    ...(defined.data?.definitions ?? []).map((d) => d.name).filter((n) => !builtIn.includes(n)),
    ...traits.filter((f) => f.startsWith('traits.') && !/email|phone|name/i.test(f)),
    ...(props.events ? ['event.source', 'context.page.path'] : []),
  ];
  return (
    <>
      <span>by</span>
      <PickChip
        what="Split"
        value={props.value ?? ''}
        label={props.value ? dimensionTitle(props.value).toLowerCase() : 'nothing'}
        options={[
          { value: none, label: 'Nothing' },
          ...names.map((value) => ({ value, label: dimensionTitle(value) })),
        ]}
        placeholder="nothing"
        search="Search dimensions"
        set={(by) => props.set(by === none ? undefined : by)}
      />
    </>
  );
}
