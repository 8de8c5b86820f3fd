import type { CSSProperties } from 'react';
import { count } from '../format/number';
import ui from '../ui/ui.module.css';
import css from './chart.module.css';
import { share } from './share';

export interface GridRow {
  label: string;
  /** The first cell is the whole row, which shares are of. */
  cells: readonly number[];
  /** The last cell can still grow. */
  partial?: boolean | undefined;
}

/** A grid of counts, the deeper the greater the share of their row. */
export function Grid(props: {
  label: string;
  corner: string;
  columns: readonly string[];
  rows: readonly GridRow[];
  /** What a cell says, for who cannot see where it stands. */
  words: (row: number, column: number) => string;
  onCell?: ((row: number, column: number) => void) | undefined;
}) {
  const { columns, rows } = props;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className={css.scroll} aria-label={props.label} tabIndex={0} data-testid="grid">
      <table className={css.grid}>
        <thead>
          <tr>
            <th scope="col">{props.corner}</th>
            {columns.map((c) => (
              <th key={c} scope="col" style={{ textAlign: 'center' }}>
                {c}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, r) => (
            <tr key={row.label}>
              <th scope="row">{row.label}</th>
              {columns.map((c, i) => {
                const n = row.cells[i];
                if (n === undefined) return <td key={c} />;
                const part = (row.cells[0] ?? 0) > 0 ? n / (row.cells[0] ?? 1) : 0;
                return (
                  <td key={c}>
                    <button
                      type="button"
                      className={css.cell}
                      style={{ '--heat': i === 0 ? 0 : Math.round(part * 62) } as CSSProperties}
                      data-partial={
                        (row.partial && i > 0 && i === row.cells.length - 1) || undefined
                      }
                      onClick={() => props.onCell?.(r, i)}
                    >
                      <span className={ui.srOnly}>{props.words(r, i)}: </span>
                      <span>{count(n)}</span>{' '}
                      {i > 0 && <small>{share(n, row.cells[0] ?? 0)}</small>}
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
