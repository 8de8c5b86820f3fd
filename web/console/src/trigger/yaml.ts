import { Document, isMap, isSeq, LineCounter, parseDocument, stringify, visit } from 'yaml';
import { ordered, type Spec } from './spec';

/** These read better on one line. */
const inline = ['where', 'without', 'scope', 'reset', 'cancel', 'limit', 'reentry', 'by'];

/** The definition as heed apply takes it. */
export function toYaml(name: string, spec: Spec): string {
  const doc = new Document({ kind: 'trigger', name, ...ordered(spec) });
  visit(doc, {
    Pair(_, pair) {
      const key = String(pair.key);
      if (!inline.includes(key) || !(isMap(pair.value) || isSeq(pair.value))) return;
      pair.value.flow = JSON.stringify(pair.value).length < 90;
    },
  });
  return doc.toString({ lineWidth: 110, flowCollectionPadding: false });
}

/** Some keys of it, as lines. */
export const lines = (part: Record<string, unknown>): string => stringify(part, { lineWidth: 90 });

export type Parsed = { name: string; spec: Spec } | { line: number; message: string };

/** Reads what toYaml writes, or what people wrote instead. */
export function fromYaml(text: string): Parsed {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const error = doc.errors[0];
  if (error) return { line: counter.linePos(error.pos[0]).line, message: error.message };
  if (!isMap(doc.contents)) return { line: 1, message: 'A trigger is a map that has a pattern' };
  const at = (key: string) => {
    const node = doc.get(key, true) as { range?: [number, number, number] } | undefined;
    return node?.range ? counter.linePos(node.range[0]).line : 1;
  };
  let value: Record<string, unknown>;
  try {
    value = doc.toJS({ maxAliasCount: 20 }) as Record<string, unknown>;
  } catch (e) {
    return { line: 1, message: e instanceof Error ? e.message : 'This cannot be read' };
  }
  const { kind, name, ...spec } = value;
  if (kind !== undefined && kind !== 'trigger')
    return { line: at('kind'), message: 'This page edits a trigger: kind has to be trigger' };
  if (name !== undefined && typeof name !== 'string')
    return { line: at('name'), message: 'The name is text' };
  const { pattern } = spec;
  const steps = Array.isArray(pattern) && pattern.length > 0;
  if (!steps || !pattern.every((s) => s !== null && typeof s === 'object' && !Array.isArray(s)))
    return { line: at('pattern'), message: 'The pattern is a list of steps: - event: win' };
  return { name: name ?? '', spec: spec as unknown as Spec };
}

/** The line of a path such as pattern[1].without, or of the nearest thing around it. */
export function lineOf(text: string, path: string): number {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter });
  const keys = path.split(/[.[\]]+/).filter(Boolean);
  for (let n = keys.length; n > 0; n--) {
    const part = keys.slice(0, n).map((k) => (/^\d+$/.test(k) ? Number(k) : k));
    const node = doc.getIn(part, true) as { range?: [number, number, number] } | undefined;
    if (node?.range) return counter.linePos(node.range[0]).line;
  }
  return 1;
}
