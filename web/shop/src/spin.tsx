import { useMemo, useRef, useState } from 'preact/hooks';
import { heed } from './heed';
import { luckOf } from './luck';

// Spin to win: the game whose wins and losses Heed listens to.

const FIELDS = 12; // even ones win

export function Spin() {
  const luck = useMemo(() => luckOf(location.search), []);
  const [turn, setTurn] = useState(0);
  const [results, set] = useState<boolean[]>([]);
  const [points, setPoints] = useState(100);
  const spins = useRef(0);

  const spin = () => {
    const won = luck();
    const prize = won ? 10 : 0;
    // the outcome is known now, so it is said now; the wheel catches up
    heed().track(won ? 'win' : 'loss', { game: 'spin', stake: 5, prize });
    const field = (spins.current * 5) % (FIELDS / 2);
    spins.current++;
    const angle = 360 - (field * 2 + (won ? 0 : 1)) * (360 / FIELDS);
    setTurn((t) => Math.ceil(t / 360) * 360 + 720 + angle);
    set((r) => [...r, won].slice(-12));
    setPoints((p) => p - 5 + prize);
  };

  const last = results.at(-1);
  let streak = 0;
  for (let i = results.length - 1; i >= 0 && results[i]; i--) streak++;
  return (
    <section class="spin">
      <h1>Spin to win</h1>
      <p class="muted">Three wins in a row within ten minutes: something happens.</p>
      <div class="wheel">
        <svg viewBox="-100 -100 200 200" aria-hidden="true">
          <g class="turning" style={{ transform: `rotate(${turn}deg)` }}>
            {Array.from({ length: FIELDS }, (_, i) => {
              const a = ((i - 0.5) * 2 * Math.PI) / FIELDS - Math.PI / 2;
              const b = a + (2 * Math.PI) / FIELDS;
              const at = (x: number) => `${96 * Math.cos(x)} ${96 * Math.sin(x)}`;
              return (
                <path
                  key={i}
                  d={`M0 0L${at(a)}A96 96 0 0 1 ${at(b)}Z`}
                  fill={i % 2 ? '#7b6a5c' : i % 4 ? '#e0a028' : '#c2431f'}
                  stroke="#fff"
                  stroke-width="2"
                />
              );
            })}
            <circle r="20" fill="#fff" />
          </g>
          <path d="M-9 -99h18l-9 20z" fill="#2b2118" />
        </svg>
      </div>
      <button type="button" class="button big" onClick={spin}>
        Spin (5 points)
      </button>
      <p role="status" class="result" data-testid="result">
        {last === undefined ? 'Good luck!' : last ? `Win! ${streak} in a row.` : 'Loss. Again?'}
      </p>
      <p>
        You have <strong>{points}</strong> points.
      </p>
      <ol class="history" aria-label="Your spins, newest last">
        {results.map((won, i) => (
          <li key={i} class={won ? 'won' : 'lost'}>
            {won ? 'win' : 'loss'}
          </li>
        ))}
      </ol>
    </section>
  );
}
