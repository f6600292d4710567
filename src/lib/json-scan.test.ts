import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonScanner, LONG_STRING, MAX_JSON_NODES, MAX_STRING, type ScanFault } from './json-scan.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function scan(text: string, step = 1 << 20): { fault: ScanFault | undefined; scanner: JsonScanner } {
  const scanner = new JsonScanner(bytesOf(text), ['type', 'id', 'method']);
  let fault: ScanFault | undefined;
  while (!scanner.done && fault === undefined) fault = scanner.step(step);
  return { fault, scanner };
}

test('WS-50 whatever is JSON and small enough passes, and what it says at the top is what a parser reads', () => {
  const short = fc.string({ maxLength: 12 });
  fc.assert(
    fc.property(
      fc.record({ type: short, id: short, method: short, params: fc.jsonValue(), other: fc.jsonValue() }, { requiredKeys: [] }),
      fc.constantFrom(0, 1, 2),
      fc.integer({ min: 1, max: 40 }),
      (value, indent, step) => {
        const { fault, scanner } = scan(JSON.stringify(value, null, indent), step);
        expect(fault).toBeUndefined();
        for (const name of ['type', 'id', 'method'] as const) {
          const said = value[name];
          // Texts with escapes are not noted, and so are never taken for something else.
          const plain = typeof said === 'string' && JSON.stringify(said) === `"${said}"`;
          const noted = scanner.top.get(name);
          if (plain) expect(noted).toBe(Buffer.from(said, 'utf8').toString('latin1'));
          else expect(noted).toBeUndefined();
        }
      },
    ),
  );
});

test('WS-50 names inside of other values, written twice or with escapes are not taken for the frame’s own', () => {
  expect([...scan('{"params":{"method":"x"},"a":["method","y"],"method":"health"}').scanner.top]).toEqual([['method', 'health']]);
  expect(scan('{"method":"health","method":"chat.send"}').scanner.top.get('method')).toBe('chat.send');
  expect(scan('{"method":"health","method":7}').scanner.top.get('method')).toBeUndefined();
  expect(scan('{"m\\u0065thod":"chat.send"}').scanner.top.get('method')).toBeUndefined();
  expect(scan('{"x":"method","method":"a"}').scanner.top.get('method')).toBe('a');
});

test.each<[string, string, ScanFault]>([
  ['a million empty arrays', `[${'[],'.repeat(MAX_JSON_NODES)}0]`, 'too-many-values'],
  ['numbers', `[${'1,'.repeat(MAX_JSON_NODES)}0]`, 'too-many-values'],
  ['keys', `{${'"a":1,'.repeat(MAX_JSON_NODES / 2)}"b":1}`, 'too-many-values'],
  ['only openings', '{'.repeat(1_000), 'too-deep'],
  ['depth', '['.repeat(129), 'too-deep'],
  ['one text', `"${'a'.repeat(MAX_STRING + 1)}"`, 'long-string'],
  ['one text without an end', `"${'a'.repeat(MAX_STRING + 2)}`, 'long-string'],
  ['escapes', `"${'\\n'.repeat(MAX_STRING / 2 + 1)}"`, 'long-string'],
  ['a name', `{"${'a'.repeat(LONG_STRING)}":1}`, 'long-string'],
  ['a raw control character', '{"a":"\u0001"}', 'not-json'],
])('WS-50 refused before it is parsed: %s', (_, text, fault) => {
  expect(scan(text).fault).toBe(fault);
  expect(scan(text, 1_000).fault).toBe(fault);
});

test('WS-50 long strings are found where they lie, also when a step ends inside of one', () => {
  const long = 'é'.repeat(LONG_STRING);
  const text = `{"a":"${long}","b":"short","c":["x\\"y${long}"]}`;
  const bytes = Buffer.from(text);
  for (const step of [997, 1 << 20]) {
    const { scanner } = scan(text, step);
    expect(scanner.long.map(({ escaped }) => escaped)).toEqual([false, true]);
    expect(scanner.long.map(({ from, to }) => bytes.toString('utf8', from, to))).toEqual([long, `x\\"y${long}`]);
  }
});
