import { Document, isMap, isSeq, LineCounter, parseDocument, stringify, visit } from 'yaml';
import { ordered, type Spec } from './spec';

/** These read better on one line. */
const inline = ['where', 'without', 'scope', 'reset', 'cancel', 'limit', 'reentry', 'by'];

/** A definition as heed apply takes it; these keys stand on one line where they fit. */
export function textOf(
  kind: string,
  name: string,
  spec: object,
  short: readonly string[] = inline,
): string {
  const doc = new Document({ kind, name, ...spec });
  visit(doc, {
    Pair(_, pair) {
      const key = String(pair.key);
      if (!short.includes(key) || !(isMap(pair.value) || isSeq(pair.value))) return;
      pair.value.flow = JSON.stringify(pair.value).length < 90;
    },
  });
  return doc.toString({ lineWidth: 110, flowCollectionPadding: false });
}

/** A trigger as heed apply takes it. */
export const toYaml = (name: string, spec: Spec): string => textOf('trigger', name, ordered(spec));

/** Some keys of it, as lines. */
export const lines = (part: Record<string, unknown>): string => stringify(part, { lineWidth: 90 });

interface Mistake {
  line: number;
  message: string;
}
export type Parsed<S> = { name: string; spec: S } | Mistake;

/** What a page needs a value to be before it can draw it. The keys of '*' are names. */
export type Shape = 'text' | 'number' | readonly [Shape] | { readonly [key: string]: Shape };

/**
 * Where a value has not the shape, and what it should be. A key without a value, which is how one
 * begins to be typed, is taken out.
 */
function unlike(
  value: unknown,
  shape: Shape,
  path: string,
): [path: string, is: string] | undefined {
  if (typeof shape === 'string')
    return typeof value === (shape === 'text' ? 'string' : shape)
      ? undefined
      : [path, shape === 'text' ? shape : 'a number'];
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return [path, 'a list'];
    for (const [i, part] of value.entries()) {
      const found = unlike(part, shape[0], `${path}[${i}]`);
      if (found) return found;
    }
    return;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path, 'a map'];
  const map = value as Record<string, unknown>;
  const known = shape as Record<string, Shape>;
  for (const [key, part] of Object.entries(map)) {
    const like = known[key] ?? known['*'];
    if (like === undefined) continue;
    if (part === null) {
      delete map[key];
      continue;
    }
    const found = unlike(part, like, path === '' ? key : `${path}.${key}`);
    if (found) return found;
  }
}

/** Reads a definition of a kind; `at` is the line of a key. */
export function readText(
  kind: string,
  text: string,
  shape: Shape = {},
): { name: string; spec: Record<string, unknown>; at: (key: string) => number } | Mistake {
  const counter = new LineCounter();
  const doc = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const error = doc.errors[0];
  if (error) return { line: counter.linePos(error.pos[0]).line, message: error.message };
  if (!isMap(doc.contents))
    return { line: 1, message: `${article(kind)} is a map of keys and values` };
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
  const { kind: said, name, ...spec } = value;
  if (said !== undefined && said !== kind)
    return {
      line: at('kind'),
      message: `This page edits ${article(kind).toLowerCase()}: kind has to be ${kind}`,
    };
  if (name !== undefined && typeof name !== 'string')
    return { line: at('name'), message: 'The name is text' };
  const wrong = unlike(spec, shape, '');
  if (wrong) return { line: lineOf(text, wrong[0]), message: `${wrong[0]} is ${wrong[1]}` };
  return { name: name ?? '', spec, at };
}

const article = (kind: string): string => (/^[aeiou]/.test(kind) ? `An ${kind}` : `A ${kind}`);

/** Reads what toYaml writes, or what people wrote instead. */
export function fromYaml(text: string): Parsed<Spec> {
  const read = readText('trigger', text);
  if ('line' in read) return read;
  const { pattern } = read.spec;
  const steps = Array.isArray(pattern) && pattern.length > 0;
  if (!steps || !pattern.every((s) => s !== null && typeof s === 'object' && !Array.isArray(s)))
    return { line: read.at('pattern'), message: 'The pattern is a list of steps: - event: win' };
  return { name: read.name, spec: read.spec as unknown as Spec };
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
