import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { eventGate, MAX_EMPTY_BYTES, MAX_EVENT_BYTES, type Meter } from './event-gate.ts';

function streamOf(chunks: Iterable<Uint8Array>): ReadableStream<Uint8Array> {
  const all = chunks[Symbol.iterator]();
  return new ReadableStream(
    {
      pull(controller) {
        const { done, value } = all.next();
        if (done === true) controller.close();
        else controller.enqueue(value);
      },
    },
    { highWaterMark: 0 },
  );
}
/** What comes through, as one text, and the largest piece of it. */
async function through(chunks: Iterable<Uint8Array>, meter: Meter = { bytes: 0 }): Promise<{ text: string; largest: number }> {
  const parts: Uint8Array[] = [];
  for await (const part of eventGate(streamOf(chunks), meter)) parts.push(part);
  return { text: Buffer.concat(parts).toString(), largest: Math.max(0, ...parts.map(({ byteLength }) => byteLength)) };
}
function* times(count: number, text: string): Generator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let i = 0; i < count; i++) yield bytes;
}

describe('events on their way to the parser', () => {
  test('AG-130 whatever bytes it is cut at and however its lines end: the same events, without comments', async () => {
    const event = fc.array(fc.constantFrom('data: {"a":1}', 'data: 世界', 'event: x', 'id: 7', ':', ': note', 'data:', 'x'), {
      minLength: 1,
      maxLength: 4,
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(event, { maxLength: 6 }),
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 20 }),
        async (events, end, cuts) => {
          const bytes = Buffer.from(events.map((lines) => `${lines.join(end)}${end}${end}`).join(''));
          const chunks: Uint8Array[] = [];
          for (let at = 0, i = 0; at < bytes.length; i++) {
            const size = cuts[i % cuts.length] as number;
            chunks.push(bytes.subarray(at, at + size));
            at += size;
          }
          const kept = events.map((lines) => lines.filter((line) => !line.startsWith(':'))).filter((lines) => lines.length > 0);
          expect((await through(chunks)).text).toBe(kept.map((lines) => `${lines.join('\n')}\n\n`).join(''));
        },
      ),
    );
  });

  test('AG-130 what one turn passes on is little, and what has no end comes at the end', async () => {
    const event = `data: ${'x'.repeat(200)}\n\n`;
    const { text, largest } = await through(times(3, event.repeat(300)));
    expect(text).toBe(event.repeat(900));
    expect(largest).toBeLessThan(10_000);
    expect((await through([Buffer.from('{"not":"a stream"}')])).text).toBe('{"not":"a stream"}');
  });

  test.each([
    ['a line without end', () => times(5_000, 'x'.repeat(1024)), 'one event of more than 1 MiB'],
    ['an event of many lines', () => times(1_000, 'data: x\n'.repeat(200)), 'one event of more than 1 MiB'],
    ['many values', () => times(1, `data: [${'{},'.repeat(9_000)}0]\n\n`), 'more than 4096 values'],
    ['events of which nothing comes', () => times(MAX_EMPTY_BYTES / 1024 + 8, `data: ${'x'.repeat(1024)}\n\n`), '2 MiB without a word'],
    ['comments', () => times(66_000, `: ${'x'.repeat(1024)}\n`), 'more than 64 MiB'],
  ])('AG-131 %s: too much', async (_what, chunks, said) => {
    await expect(through(chunks())).rejects.toThrow(said);
  });

  test('AG-131 one event may be as large as that, and values inside of texts do not count', async () => {
    const event = `data: {"a":"${'[{,'.repeat(300_000)}\\"${','.repeat(10)}"}\n\n`;
    expect(event.length).toBeLessThan(MAX_EVENT_BYTES);
    expect((await through(times(1, event))).text).toBe(event);
  });
});
