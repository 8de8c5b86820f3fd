import type { ReactNode } from 'react';
import css from '../shell/shell.module.css';
import { Mark } from '../ui/Mark';

/** The frame of the pages before signing in. */
export function Door({ children }: { children: ReactNode }) {
  return (
    <div className={css.sign}>
      <main className={css.signForm}>
        <div className={css.signInner}>
          <div className={css.brand} style={{ padding: '0 0 28px' }}>
            <Mark size={32} /> Heed
          </div>
          {children}
        </div>
      </main>
      <aside className={css.signArt} aria-hidden="true">
        <h2>A click becomes the right message, while it still matters.</h2>
        <p>
          Three wins in a row. A cart left behind. The same page for the third time. Heed notices as
          it happens, and answers.
        </p>
        <svg aria-hidden="true" viewBox="0 0 420 210" width="100%" style={{ maxWidth: 460 }}>
          {[
            ['win', 30, 22],
            ['win', 30, 82],
            ['win', 30, 142],
          ].map(([label, x, y]) => (
            <g key={y}>
              <rect
                x={x}
                y={y}
                width="104"
                height="42"
                rx="12"
                fill="#ffffff"
                fillOpacity="0.1"
                stroke="#ffffff"
                strokeOpacity="0.25"
              />
              <circle cx={Number(x) + 24} cy={Number(y) + 21} r="6" fill="#fbbf24" />
              <text
                x={Number(x) + 42}
                y={Number(y) + 26}
                fill="#fff"
                fontSize="15"
                fontWeight="600"
              >
                {label}
              </text>
              <path
                d={`M${Number(x) + 104} ${Number(y) + 21} C 180 ${Number(y) + 21}, 180 103, 222 103`}
                fill="none"
                stroke="#aab1ff"
                strokeWidth="2"
              />
            </g>
          ))}
          <rect x="222" y="44" width="172" height="118" rx="16" fill="#fff" />
          <rect x="242" y="66" width="90" height="12" rx="6" fill="#4a4bd0" />
          <rect x="242" y="90" width="130" height="8" rx="4" fill="#d6dae6" />
          <rect x="242" y="105" width="104" height="8" rx="4" fill="#d6dae6" />
          <rect x="242" y="126" width="76" height="22" rx="8" fill="#fbbf24" />
        </svg>
      </aside>
    </div>
  );
}
