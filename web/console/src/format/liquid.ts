/** Liquid as the preview shows it: tags gone, fields by their default or their name. */
export function sampleOf(body: string): string {
  return body.replace(/\{%[\s\S]*?%\}/g, '').replace(/\{\{([\s\S]*?)\}\}/g, (_, inner: string) => {
    const given = /default:\s*(?:'([^']*)'|"([^"]*)"|([\d.]+))/.exec(inner);
    const field = inner.split('|')[0]?.trim().split('.').at(-1) ?? '';
    const text = given?.[1] ?? given?.[2] ?? given?.[3] ?? `[${field}]`;
    return text.replace(/[<>&]/g, (c) => ({ '<': '&lt;', '>': '&gt;', '&': '&amp;' })[c] ?? c);
  });
}
