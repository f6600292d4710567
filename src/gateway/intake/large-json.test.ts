import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { LONG_STRING } from '../../lib/json-scan.ts';
import { parseLargeJson } from './large-json.ts';

const parse = (text: string) => parseLargeJson(Buffer.from(text), ['method'], () => undefined);

test('WS-51 gives what JSON.parse gives, long strings with and without escapes included', async () => {
  const long = fc.constantFrom('a', 'é', '\n', '"', '\\', '😀').map((unit) => unit.repeat(LONG_STRING));
  const value = fc.oneof(fc.jsonValue(), fc.record({ a: long, b: fc.array(fc.oneof(long, fc.jsonValue()), { maxLength: 3 }) }));
  await fc.assert(
    fc.asyncProperty(value, async (sent) => {
      const text = JSON.stringify(sent);
      const parsed = await parse(text);
      expect(parsed.ok && JSON.stringify(parsed.value) === text).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test.each(['a\n', '\u4e2d', '\ud83d\ude00x', 'é"', '😀\\', '\\\\"'])(
  'WS-51 a text that is read in slices comes together again: %j',
  async (unit) => {
    const sent = unit.repeat(300_000);
    const parsed = await parse(JSON.stringify([sent]).replaceAll('中', '\\u4e2d').replaceAll('\ud83d\ude00x', '\\ud83d\\ude00x'));
    expect(parsed.ok && (parsed.value as string[])[0] === sent).toBe(true);
  },
);

test('WS-51 what is not JSON is a fault, wherever the mistake lies', async () => {
  const long = 'a'.repeat(LONG_STRING);
  for (const text of ['', '{', '{"a":}', `{"a":"${long}"`, `{"a":"${long}" "b"}`, `{"a":"${long}\\x"}`, `["${long}",]`]) {
    expect(await parse(text)).toEqual({ ok: false, error: { fault: 'not-json' } });
  }
});

test('WS-51 a long string under a name that JavaScript gives a meaning is a value like another', async () => {
  const long = 'a'.repeat(LONG_STRING);
  const own = await parseLargeJson(Buffer.from(`{"__proto__":"${long}"}`), [], () => undefined);
  expect(own.ok && Object.getOwnPropertyDescriptor(own.value as object, '__proto__')?.value === long).toBe(true);
});

test('WS-51 is ended before anything is parsed when the answer is no', async () => {
  const refused = await parseLargeJson(Buffer.from(`{"method":"health","params":"${'a'.repeat(LONG_STRING)}"`), ['method'], (top) =>
    top.get('method') === 'health' ? 'no' : undefined,
  );
  expect(refused).toEqual({ ok: false, error: { refused: 'no' } });
});
