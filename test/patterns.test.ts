import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseSync } from 'rolldown/utils';
import { describe, expect, test } from 'vitest';
import { superLinear } from './support/linear-pattern.ts';

const ROOT = join(import.meta.dirname, '..');

/**
 * Patterns that are not linear, or that the check cannot read, and why that does no harm: what bounds the text that they see.
 * By file, then as it stands there.
 */
const BOUNDED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'src/config/secret-places.ts': {
    '/^(max|min|context|total|input|output|prompt|completion|reserve|keep|budget|num|target)[a-z_-]*tokens?([A-Z_].*)?$/i':
      'a name of at most 200 characters: looksSecret cuts longer ones off before',
  },
  'src/cli/format/values.ts': { '/\\B(?=(\\d{3})+$)/g': 'the digits of a number, at most 22 characters' },
};
/** `new RegExp(…)` by file: the text is not a literal, so it is judged by hand. */
const MADE: Readonly<Record<string, string>> = {
  'src/cli/format/wrap.ts': 'made of constants; looks one character ahead and behind, and repeats nothing',
};

interface Found {
  readonly file: string;
  readonly pattern: string;
  readonly flags: string;
}

/** Every regular expression of the product, found in the syntax tree. */
function patternsOf(): { literals: Found[]; made: string[] } {
  const literals: Found[] = [];
  const made: string[] = [];
  for (const file of globSync(['src/**/*.ts', 'bin/*.js', 'assets/**/*.js'], { cwd: ROOT })) {
    if (file.endsWith('.test.ts')) continue;
    const text = readFileSync(join(ROOT, file), 'utf8');
    // Reading a file as a tree costs more than all the rest.
    if (!text.includes('/') && !text.includes('RegExp')) continue;
    const { program, errors } = parseSync(file, text);
    if (errors.length > 0) throw new Error(`${file}: ${errors[0]?.message}`);
    const stack: unknown[] = [program];
    for (let node = stack.pop(); stack.length > 0 || node !== undefined; node = stack.pop()) {
      if (typeof node !== 'object' || node === null) continue;
      const { type, regex, callee } = node as {
        type?: string;
        regex?: { pattern: string; flags: string };
        callee?: { name?: string; property?: { name?: string } };
      };
      if (type === 'Literal' && regex !== undefined) literals.push({ file, ...regex });
      else if ((type === 'NewExpression' || type === 'CallExpression') && (callee?.name ?? callee?.property?.name) === 'RegExp')
        made.push(file);
      stack.push(...Object.values(node).filter((child) => typeof child === 'object'));
    }
  }
  return { literals, made };
}

describe('WS-70: no pattern takes longer than in proportion to its text', () => {
  const { literals, made } = patternsOf();

  test('every pattern of the product is linear, or stands here with what bounds its text', () => {
    expect(literals.length).toBeGreaterThan(150);
    const faults = literals.flatMap(({ file, pattern, flags }) => {
      const why = superLinear(pattern, flags);
      const raw = `/${pattern}/${flags}`;
      return why === undefined || BOUNDED[file]?.[raw] !== undefined ? [] : [`${file}: ${raw}: ${why}`];
    });
    expect(faults).toEqual([]);
  });

  test('an exception is gone when its pattern is', () => {
    const there = new Set(literals.map(({ file, pattern, flags }) => `${file} /${pattern}/${flags}`));
    const listed = Object.entries(BOUNDED).flatMap(([file, patterns]) => Object.keys(patterns).map((raw) => `${file} ${raw}`));
    expect(listed.filter((one) => !there.has(one))).toEqual([]);
  });

  test('a pattern that is put together at run time is judged by hand', () => {
    expect([...new Set(made)].toSorted()).toEqual(Object.keys(MADE).toSorted());
  });
});

/** The judge itself, against what an engine really does. */
describe('WS-70: the judge', () => {
  test.each([
    '[.!]+$',
    '(a*)*$',
    '(a|a)*b',
    '(a|ab)(c|bcd)*(d*)*$',
    '^a*a*$',
    '^(\\w+)\\s?(\\w+)$',
    '^\\s*x?\\s*$',
    '\\s+$',
    '\\s+,',
    '(x+x+)+y',
    'a(?=b*c)',
    'x(?<=a*b)',
    'a{1,30}$',
    '<[^>]*>',
    '<!--.*-->',
    '\\$\\{[^}]*\\}',
    '(?:\\\\\\\\)*\\\\u',
    '^(([a-z])+.)+[A-Z]([a-z])+$',
    '\\d+\\.\\d+',
    '(a)\\1*b',
  ])('calls /%s/ more than linear', (source) => {
    expect(superLinear(source, '')).toBeTypeOf('string');
  });

  test.each([
    '[.!]+',
    '^[.!]+$',
    '^\\s+',
    '(?<=[^/])\\/$',
    '^(?=b*c)b',
    '"[^"]*"',
    'a{1,3}$',
    '\\$\\{[^{}]*\\}',
    '<[^<>]*>',
    '[a-z]+(?:-[a-z]+)*',
    '^(a|b)*$',
  ])('calls /%s/ linear', (source) => {
    expect(superLinear(source, '')).toBeUndefined();
  });

  test('more than linear is more than linear on the engine, and linear is not', () => {
    const time = (source: string, pump: string): number => {
      const text = `${pump.repeat(20_000)}\u0000`;
      const started = performance.now();
      new RegExp(source).test(text);
      return performance.now() - started;
    };
    // Where one is quadratic, 20,000 repetitions take 200 million steps.
    expect(time('[.!]+$', '.')).toBeGreaterThan(20 * time('^[.!]+$', '.'));
    expect(time('\\$\\{[^}]*\\}', '${')).toBeGreaterThan(20 * time('\\$\\{[^{}]*\\}', '${'));
  });
});
