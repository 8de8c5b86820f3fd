/** A share: 12 %, 4.6 %, < 0.1 %. */
export function share(part: number, whole: number): string {
  if (whole === 0) return '–';
  const p = (100 * part) / whole;
  if (p === 0 || p >= 99.95) return `${p.toFixed(0)} %`;
  return p < 0.1 ? '< 0.1 %' : `${p.toFixed(p < 10 ? 1 : 0)} %`;
}
