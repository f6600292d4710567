import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { secretStrength } from './secret-strength.ts';

describe('secretStrength', () => {
  test.each([
    ['token', '', 'blank'],
    ['token', ' \t\n', 'blank'],
    ['token', 'changeme', 'placeholder'],
    ['token', 'replace-me', 'placeholder'],
    ['token', 'your-token', 'placeholder'],
    ['password', 'your-password', 'placeholder'],
    ['password', 'password', 'placeholder'],
    ['password', 'Password', 'placeholder'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is the text of an unresolved placeholder
    ['token', '${OPENCLAW_GATEWAY_TOKEN}', 'placeholder'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the same, inside other text
    ['password', 'prefix-that-is-long-${NAME}', 'placeholder'],
    ['token', '<your-token-here-please-change-it>', 'placeholder'],
    ['token', 'change-me-to-a-long-random-string', 'placeholder'],
    ['token', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx', 'placeholder'],
    ['token', 'undefined', 'placeholder'],
    ['token', 'null', 'placeholder'],
    ['token', 'abcdefghijklmnopqrstuvw', 'short'],
    ['token', 'abcdefghijklmnopqrstuvwx', 'ok'],
    ['password', 'hunter2', 'short'],
    ['password', 'fourteen chars', 'short'],
    ['password', 'correct horse battery', 'ok'],
  ] as const)('CR-1 %s %j is %s', (kind, value, expected) => {
    expect(secretStrength(kind, value)).toBe(expected);
  });

  test('CR-1 never ok below the minimum, whatever the text', () => {
    fc.assert(fc.property(fc.string({ maxLength: 23 }), (text) => secretStrength('token', text) !== 'ok'));
    fc.assert(fc.property(fc.string({ maxLength: 14 }), (text) => secretStrength('password', text) !== 'ok'));
  });

  test('CR-1 random hex of 256 bits is ok', () => {
    const digit = fc.constantFrom(...'0123456789abcdef');
    fc.assert(
      fc.property(fc.array(digit, { minLength: 64, maxLength: 64 }), (digits) => {
        fc.pre(new Set(digits).size > 1);
        return secretStrength('token', digits.join('')) === 'ok';
      }),
    );
  });
});
