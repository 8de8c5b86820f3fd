/** Has the browser save a file. */
export function saveFile(bytes: Blob, name: string): void {
  const url = URL.createObjectURL(bytes);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

export type Field = string | number | boolean | Date | null | undefined;

/** A table as RFC 4180 wants it; no text is a formula to a spreadsheet, as in the server's (measure.Inert). */
export function csvOf(head: readonly string[], rows: readonly (readonly Field[])[]): string {
  const field = (v: Field): string => {
    const text =
      v instanceof Date ? v.toISOString() : typeof v === 'string' ? inert(v) : `${v ?? ''}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [head, ...rows].map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

function inert(text: string): string {
  return /^[=+\-@\t\r]/.test(text) && !/^[+-][\d. ]*$/.test(text) ? `'${text}` : text;
}
