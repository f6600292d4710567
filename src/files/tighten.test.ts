import { chmodSync, mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { tightenEntries } from './tighten.ts';

test.skipIf(process.platform === 'win32')(
  'CF-56 what is laxer is closed to others, what its owner may do stays, links are not followed',
  () => {
    using outside = tempDir();
    using dir = tempDir();
    const at = (...names: string[]): string => join(dir.path, ...names);
    const mode = (file: string): string => (statSync(file).mode & 0o777).toString(8);
    const file = (name: string, bits: number): void => {
      writeFileSync(name, '');
      chmodSync(name, bits);
    };
    mkdirSync(at('lax', 'deep'), { recursive: true });
    file(at('lax', 'deep', 'tool'), 0o755);
    file(at('lax', 'deep', 'text'), 0o644);
    for (const each of [at('lax'), at('lax', 'deep')]) chmodSync(each, 0o777);
    file(at('read-only'), 0o444);
    mkdirSync(at('closed'), { mode: 0o700 });
    file(at('closed', 'text'), 0o644);
    file(join(outside.path, 'theirs'), 0o644);
    symlinkSync(join(outside.path, 'theirs'), at('link'));
    symlinkSync(outside.path, at('link-dir'));
    symlinkSync(at('nowhere'), at('dangling'));
    tightenEntries(dir.path);
    expect([mode(at('lax')), mode(at('lax', 'deep')), mode(at('lax', 'deep', 'tool')), mode(at('lax', 'deep', 'text'))]).toEqual([
      '700',
      '700',
      '700',
      '600',
    ]);
    expect([mode(at('read-only')), mode(join(outside.path, 'theirs'))]).toEqual(['400', '644']);
    // Nobody gets there: it is not looked at, at every start anew.
    expect(mode(at('closed', 'text'))).toBe('644');
    tightenEntries(at('nowhere'));
  },
);
