import fc from 'fast-check';
import JSON5 from 'json5';
import { expect, test } from 'vitest';
import { parseDocument } from './document.ts';
import { ScanError, Scanner, stringValue, wordValue } from './json5-scan.ts';
import { countNodes, parseJson5 } from './json5-text.ts';

const theirs = (text: string): unknown => {
  try {
    return { value: JSON5.parse(text) };
  } catch {
    return 'refused';
  }
};
/** A longer text is not explained by the library, so that this is our own reading. */
const ours = async (text: string): Promise<unknown> => {
  const read = await parseJson5(`${text}${' '.repeat(200_000)}`);
  return read.ok ? { value: read.value } : 'refused';
};

test('CF-40 our reading of JSON5 is that of the library: pieces of its grammar, in any order', async () => {
  const piece = fc.constantFrom(
    ...[
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      ' ',
      '\n',
      '\r\n',
      '\u2028',
      '\u00a0',
      '\ufeff',
      '// c\n',
      '/* c */',
      '/*',
      '//',
      '/',
      '"a"',
      "'b'",
      '"',
      "'",
    ],
    ...[
      'null',
      'true',
      'false',
      'nul',
      'Infinity',
      '-Infinity',
      '+NaN',
      'NaN',
      '0',
      '01',
      '1.',
      '.5',
      '+.5e-3',
      '0x1F',
      '-0xg',
      '1e',
      '-',
      '- 1',
      'a',
      '$_b',
      '\\u0061b',
      '\\u0030',
      '1a',
      'ключ',
      '__proto__',
    ],
    ...[
      '"\\n\\x41\\u0042\\\n\\0"',
      "'\\1'",
      "'\\01'",
      '"\\u12"',
      "'\\x4'",
      "'\\q\"'",
      '"\\\r\nx"',
      '"a\nb"',
      "'\\'",
      '"\u2028"',
      '"\t"',
      '"\\\\"',
      'a:1',
      '"k":[1,]',
      '{a:{},}',
      '[,]',
      '[1 2]',
    ],
  );
  const sound = fc.oneof(
    fc.json(),
    fc.jsonValue().map((value) => JSON5.stringify(value, null, 1)),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.array(piece, { maxLength: 9 }).map((parts) => parts.join('')),
        sound,
      ),
      async (text) => {
        expect(await ours(text)).toEqual(theirs(text));
      },
    ),
    { numRuns: 1_500 },
  );
});

test('CF-40 our reading of one string and of one number is that of the library', () => {
  const char = fc.constantFrom(...'\\\\\\\\abfnrtv0123xu41\'"\n\r\u2028é😀\0 ');
  fc.assert(
    fc.property(fc.array(char, { maxLength: 8 }), fc.constantFrom('"', "'"), (chars, quote) => {
      const source = `${quote}${chars.join('')}${quote}`;
      const scanner = new Scanner(source);
      let read: unknown = 'refused';
      try {
        scanner.next();
        if (scanner.end === source.length) read = { value: stringValue(source) };
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(ScanError);
      }
      expect(read).toEqual(theirs(source));
    }),
    { numRuns: 5_000 },
  );
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...'0123456789+-.eExXabINfinity'), { minLength: 1, maxLength: 7 }), (chars) => {
      const source = chars.join('');
      let read: unknown = 'refused';
      try {
        read = { value: wordValue(source) };
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(ScanError);
      }
      expect(read).toEqual(theirs(source));
    }),
    { numRuns: 5_000 },
  );
});

test.each<[string, string]>([
  ['blanks', `{ a: 1 ${' '.repeat(4_900_000)}}`],
  ['line ends', `{ a: 1 ${'\n'.repeat(4_900_000)}}`],
  ['a long text', `{ a: '${'x'.repeat(4_900_000)}' }`],
  ['escapes', `{ a: '${'\\n'.repeat(2_400_000)}' }`],
  ['quotes inside of the other quotes', `{ a: '${'"'.repeat(4_900_000)}' }`],
  ['a long number', `{ a: ${'1'.repeat(4_900_000)} }`],
  ['a long name', `{ ${'a'.repeat(4_900_000)}: 1 }`],
  ['a comment', `{ a: 1 /*${'*'.repeat(4_900_000)}*/ }`],
  ['nothing that closes', `{ a: '${'\\\\'.repeat(2_400_000)}`],
])('CF-40 5 MB of %s are read in time that is in proportion', async (_name, text) => {
  const started = performance.now();
  await parseJson5(text);
  await parseDocument(text, 'comments');
  expect(countNodes(text)).toBeLessThan(10);
  // The library and its tokenizer took 0.4 to 7 s for each.
  expect(performance.now() - started).toBeLessThan(5_000);
});

test('CF-40 nodes are counted without reading: commas, colons, brackets and comments outside of strings', () => {
  expect(countNodes('{ a: [1, 2, "x,:[", \'{{\'], /* ,,, */ b: 3 } // ,,,')).toBe(10);
  expect(countNodes(`[${'1,'.repeat(100)}]`, 50)).toBe(51);
});
