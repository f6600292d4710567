import fc from 'fast-check';
import { expect, test } from 'vitest';
import { splitBy } from './split-by.ts';

test('AG-121 law: it splits as the engine does', () => {
  const ab = (min: number, max: number) =>
    fc.array(fc.constantFrom('a', 'b'), { minLength: min, maxLength: max }).map((chars) => chars.join(''));
  fc.assert(
    fc.property(ab(65, 90), fc.array(ab(0, 60), { maxLength: 6 }), (needle, parts) => {
      const text = parts.join(needle);
      expect(splitBy(text, needle)).toEqual(text.split(needle));
      expect(splitBy(needle.slice(1) + text, needle)).toEqual((needle.slice(1) + text).split(needle));
    }),
  );
});

test('AG-121 a text that repeats itself is looked for in linear time', () => {
  const started = performance.now();
  expect(splitBy(`${'a'.repeat(50_000)}c`.repeat(40), `${'a'.repeat(20_000)}b${'a'.repeat(20_000)}`)).toHaveLength(1);
  // The engine's own search took 34 s.
  expect(performance.now() - started).toBeLessThan(2_000);
});
