// Luck of "Spin to win". Tests and demonstrations decide it in the address:
// ?luck=win,win,lose plays that list (and then starts over), ?seed=7 a repeatable series.

export const WIN_CHANCE = 0.45;

export function luckOf(search: string, random: () => number = Math.random): () => boolean {
  const q = new URLSearchParams(search);
  const list = (q.get('luck') ?? '').split(',').filter(Boolean);
  if (list.length) {
    let i = 0;
    return () => list[i++ % list.length]?.trim().toLowerCase() === 'win';
  }
  const seed = q.get('seed');
  const next = seed === null ? random : series(Number(seed) || 0);
  return () => next() < WIN_CHANCE;
}

/** mulberry32: small, and the same everywhere. */
function series(seed: number): () => number {
  let a = seed | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
