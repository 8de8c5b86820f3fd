/** Bars over time, one per point. Read by screen readers as one sentence. */
export function Sparkline(props: {
  values: readonly number[];
  label: string;
  height?: number;
  width?: number;
}) {
  const { values, height = 32, width = 120 } = props;
  const top = Math.max(1, ...values);
  const step = width / Math.max(1, values.length);
  return (
    <svg
      viewBox={`0 0 ${width} ${height}`}
      width="100%"
      height={height}
      preserveAspectRatio="none"
      role="img"
      aria-label={props.label}
      style={{ display: 'block' }}
    >
      {values.map((value, i) => {
        const h = value === 0 ? 1 : Math.max(2, (value / top) * height);
        return (
          <rect
            // biome-ignore lint/suspicious/noArrayIndexKey: a bar is its place in time
            key={i}
            x={i * step}
            y={height - h}
            width={Math.max(0.5, step - 1)}
            height={h}
            rx={0.8}
            fill={value === 0 ? 'var(--heed-line)' : 'var(--heed-bar)'}
          />
        );
      })}
    </svg>
  );
}

/** How far along something is: n of m steps, drawn as segments. */
export function Steps({ reached, total }: { reached: number; total: number }) {
  return (
    <svg
      viewBox={`0 0 ${total * 18} 8`}
      width={Math.min(160, total * 18)}
      height={8}
      role="img"
      aria-label={`${reached} of ${total} steps`}
      preserveAspectRatio="none"
    >
      {Array.from({ length: total }, (_, i) => (
        <rect
          // biome-ignore lint/suspicious/noArrayIndexKey: a segment is its place
          key={i}
          x={i * 18}
          y={0}
          width={15}
          height={8}
          rx={3}
          fill={i < reached ? 'var(--heed-bar)' : 'var(--heed-line)'}
        />
      ))}
    </svg>
  );
}
