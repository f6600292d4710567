import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FORBIDDEN_KEYS, formatPath, parsePath } from './key-path.ts';

describe('parsePath', () => {
  test.each([
    ['gateway.port', ['gateway', 'port']],
    ['agents.list[0].id', ['agents', 'list', 0, 'id']],
    ['models.providers["my provider"].apiKey', ['models', 'providers', 'my provider', 'apiKey']],
    ["agents.defaults.models['a/b.c']", ['agents', 'defaults', 'models', 'a/b.c']],
    ['a.0', ['a', '0']],
    ['["x"].y', ['x', 'y']],
    ['a["q\\"uote"]', ['a', 'q"uote']],
  ])('CF-22 %s', (text, keys) => {
    expect(parsePath(text)).toEqual({ ok: true, value: keys });
  });

  test.each([
    '',
    '.',
    'a.',
    '.a',
    'a..b',
    'a[',
    'a[]',
    'a[x]',
    'a[-1]',
    'a[0',
    'a["x]',
    'a]b',
    'a[0]b',
    'a["b"]c',
    '__proto__',
    'a.constructor',
    'a["prototype"]',
    `${'a.'.repeat(80)}b`,
  ])('CF-22 %j is refused with a reason', (text) => {
    const result = parsePath(text);
    expect(result.ok ? 'accepted' : result.error.length > 10).toBe(true);
  });

  test('CF-22 what is formatted is read back', () => {
    const key = fc.oneof(
      fc.nat(999_999),
      fc.string({ unit: 'binary' }).filter((name) => !FORBIDDEN_KEYS.has(name)),
    );
    fc.assert(
      fc.property(fc.array(key, { minLength: 1, maxLength: 8 }), (keys) => {
        expect(parsePath(formatPath(keys))).toEqual({ ok: true, value: keys });
      }),
      { numRuns: 2000 },
    );
  });

  test('CF-22 total: any text gives a path or a reason', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', '.', '[', ']', '"', "'", '\\', '0', ' ') }),
        (text) => typeof parsePath(text).ok === 'boolean',
      ),
      { numRuns: 2000 },
    );
  });
});
