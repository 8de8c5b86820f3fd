/** Numbers as the console says them. */

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat(undefined, { notation: 'compact', maximumFractionDigits: 1 });

/** 12,345 */
export function count(n: number): string {
  return whole.format(n);
}

/** 12,345 below a hundred thousand, 1.2M above. */
export function compact(n: number): string {
  return Math.abs(n) < 100_000 ? whole.format(n) : short.format(n);
}

/** A rate: 0, 0.3, 12, 1,204. */
export function rate(n: number): string {
  if (n === 0) return '0';
  if (n < 0.1) return '< 0.1';
  return n < 10 ? n.toFixed(1) : whole.format(n);
}

/** "1 user", "3 users". */
export function plural(n: number, one: string, many = `${one}s`): string {
  return `${whole.format(n)} ${n === 1 ? one : many}`;
}

/** Bytes: 312 B, 4.1 kB, 12 MB. */
export function bytes(n: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = n;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}
