import { expect, test } from 'vitest';
import { lines } from './lines';

const stream = (...parts: Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    start(c) {
      for (const part of parts) c.enqueue(part);
      c.close();
    },
  });

test('lines come whole, however the stream is cut', async () => {
  const bytes = new TextEncoder().encode('{"a":"é"}\n\n{"b":1}\n{"c":2}');
  for (let cut = 0; cut <= bytes.length; cut++) {
    const got: string[] = [];
    for await (const line of lines(stream(bytes.slice(0, cut), bytes.slice(cut)))) got.push(line);
    expect(got).toEqual(['{"a":"é"}', '{"b":1}', '{"c":2}']);
  }
});
