import { Link } from '@tanstack/react-router';
import type { Schema } from '../api/client';
import { compact, plural } from '../format/number';
import css from './progress.module.css';

/** How many users stand at which step of a trigger: a bar a step, longest for the most users. */
export function TriggerFunnel({
  progress,
  bare,
}: {
  progress: Schema['TriggerProgress'];
  /** Without the trigger's name, where it stands already. */
  bare?: boolean;
}) {
  const top = Math.max(1, ...progress.steps.map((s) => s.users));
  const total = progress.steps.length;
  const furthest = progress.steps.filter((s) => s.users > 0).at(-1);
  return (
    <div className={css.trigger} data-testid="trigger-progress">
      <div className={css.head}>
        {!bare && (
          <Link to="/triggers/$name" params={{ name: progress.trigger }} className={css.name}>
            {progress.trigger}
          </Link>
        )}
        <span className={css.hint}>fired {compact(progress.firings)} ×</span>
      </div>
      <div className={css.hint}>
        {furthest
          ? `${plural(furthest.users, 'user')} at ${furthest.step} of ${total}`
          : 'Nobody is under way: no first step lately'}
      </div>
      <ol className={css.steps}>
        {progress.steps.map((step) => (
          <li key={step.step} className={css.step}>
            <span className={css.label} title={step.label}>
              {step.step}. {step.label}
            </span>
            <svg
              viewBox="0 0 100 8"
              preserveAspectRatio="none"
              className={css.bar}
              aria-hidden="true"
            >
              <rect width="100" height="8" rx="2" fill="var(--heed-line)" />
              <rect width={(step.users / top) * 100} height="8" rx="2" fill="var(--heed-bar)" />
            </svg>
            <span className={css.users}>
              {step.step === total && step.users === 0 ? 'fires' : compact(step.users)}
            </span>
          </li>
        ))}
      </ol>
    </div>
  );
}
