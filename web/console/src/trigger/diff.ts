export interface DiffLine {
  /** Where the line is: in both, only in the old one, only in the new one. */
  side: 'both' | 'old' | 'new';
  text: string;
}

/** The lines of two texts, as the shortest way from one to the other (longest common subsequence). */
export function diff(before: string, after: string): DiffLine[] {
  const a = before.split('\n');
  const b = after.split('\n');
  const width = b.length + 1;
  const best = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => best[i * width + j] ?? 0;
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      best[i * width + j] =
        a[i] === b[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  const out: DiffLine[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push({ side: 'both', text: a[i++] ?? '' });
      j++;
    } else if (j === b.length || (i < a.length && at(i + 1, j) >= at(i, j + 1))) {
      out.push({ side: 'old', text: a[i++] ?? '' });
    } else {
      out.push({ side: 'new', text: b[j++] ?? '' });
    }
  }
  return out;
}
