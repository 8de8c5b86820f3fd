import { count } from '../format/number';
import css from './chart.module.css';

/** A cell: a text, a number, or a number that leads to its people. */
export type Cell = string | number | { value: number; label: string; onClick: () => void };

/** The twin of a chart: the same numbers as a table. */
export function Table(props: {
  label: string;
  head: readonly string[];
  rows: readonly { key: string; cells: readonly Cell[] }[];
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section className={css.scroll} aria-label={props.label} tabIndex={0} data-testid="table">
      <table className={css.table}>
        <thead>
          <tr>
            {props.head.map((h) => (
              <th key={h} scope="col">
                {h}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={row.key}>
              {row.cells.map((cell, i) => (
                // biome-ignore lint/suspicious/noArrayIndexKey: a cell is its column
                <td key={i}>
                  {typeof cell === 'object' ? (
                    <button
                      type="button"
                      className={css.text}
                      aria-label={`${cell.label}: ${count(cell.value)}`}
                      onClick={cell.onClick}
                    >
                      {count(cell.value)}
                    </button>
                  ) : typeof cell === 'number' ? (
                    count(cell)
                  ) : (
                    cell
                  )}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}
