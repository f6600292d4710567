import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, redactFields, redactText } from './redact.ts';

test('secrets are hidden by key and by value', () => {
  const line = redactFields(
    { token: 'abc', note: 'Bearer abc.def', url: 'ws://u:pw@host/#token=xyz', inputTokens: 12, deep: { password: 'p' } },
    ['hunter2-hunter2'],
  );
  expect(line).toEqual({
    token: '[redacted]',
    note: '[redacted]',
    url: 'ws://[redacted]@host/#[redacted]',
    inputTokens: 12,
    deep: { password: '[redacted]' },
  });
  expect(redactText('it is hunter2-hunter2.', ['hunter2-hunter2'])).toBe('it is [redacted].');
});

test('no text can forge a second line of the log', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const line = printable(text);
      expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/u);
      expect(line.length).toBeLessThan(300 * 7 + 40);
    }),
  );
});
