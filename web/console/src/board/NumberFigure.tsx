import { share } from '../chart/share';
import css from '../explore/explore.module.css';
import type { Answer, Mark } from '../explore/measure';
import { useExplore } from '../explore/useExplore';
import { count } from '../format/number';

interface Figure {
  value: number;
  words: string;
  mark: Mark;
  /** Whether the value counts the users of the mark. */
  people: boolean;
}

/** The one number of an answer. */
function figureOf(a: Answer, counts: 'events' | 'users'): Figure {
  if (a.funnel) {
    const last = a.funnel.steps.at(-1)?.reached ?? 0;
    const first = a.funnel.steps[0]?.reached ?? 0;
    return {
      value: last,
      words: `users got to the end, ${share(last, first)} of ${count(first)}`,
      mark: { step: a.funnel.steps.length },
      people: true,
    };
  }
  if (a.series) {
    const words = counts === 'users' ? 'users in all' : 'events in all';
    const value = a.series.lines[0]?.total ?? 0;
    return { value, words, mark: { row: 0 }, people: counts === 'users' };
  }
  const value = a.users?.total ?? a.breakdown?.total ?? 0;
  return { value, words: value === 1 ? 'user' : 'users', mark: {}, people: true };
}

/** An answer as one number, which leads to its people. */
export function NumberFigure() {
  const { s, answer, open } = useExplore();
  if (!answer) return null;
  const figure = figureOf(answer, s.trend?.count ?? 'users');
  return (
    <button
      type="button"
      className={css.figure}
      data-testid="figure"
      onClick={() => open(figure.mark, figure.people ? figure.value : undefined)}
    >
      <span className={css.figureValue}>{count(figure.value)}</span> <span>{figure.words}</span>
    </button>
  );
}
