import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../support/gateway.ts';
import { tempDir } from '../support/temp-dir.ts';

const LAUNCHER = join(ROOT, 'bin', 'openclaw.js');
/** Nobody: the system lists no home for it. */
const NOBODY = 61_235;
const isRoot = process.getuid?.() === 0;
const COMMANDS = [
  ['health'],
  ['config', 'get', 'gateway.port'],
  ['config', 'set', 'gateway.port', '1'],
  ['logs'],
  ['gateway', 'run', '--port', '0'],
];

/** What stands in a working directory that somebody else may have written. */
function decoy(dir: string): string[] {
  mkdirSync(join(dir, '.openclaw', 'gateway'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, '.openclaw', 'openclaw.json'), '{ gateway: { port: 4711 } }', { mode: 0o600 });
  return tree(dir);
}
const tree = (dir: string): string[] => readdirSync(dir, { recursive: true }).map(String).sort();

test.skipIf(process.platform === 'win32').each<[string, Record<string, string>]>([
  ['HOME', { HOME: '.' }],
  ['HOME', { HOME: 'C:\\Users\\me' }],
  ['OPENCLAW_HOME', { HOME: '/nonexistent', OPENCLAW_HOME: '.' }],
  ['OPENCLAW_STATE_DIR', { HOME: '/nonexistent', OPENCLAW_STATE_DIR: '.openclaw' }],
  ['OPENCLAW_STATE_DIR', { HOME: '/nonexistent', OPENCLAW_STATE_DIR: 'C:\\openclaw' }],
  ['OPENCLAW_CONFIG_PATH', { HOME: '/nonexistent', OPENCLAW_CONFIG_PATH: '.openclaw/openclaw.json' }],
])('CF-55 %s %j: nothing in the working directory is read or made', (name, env) => {
  using cwd = tempDir();
  const before = decoy(cwd.path);
  for (const command of COMMANDS) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, ...command], {
      cwd: cwd.path,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] ?? '', ...env },
    });
    expect([command[0], status, stdout, stderr]).toEqual([command[0], 1, '', expect.stringContaining(`${name} is `)]);
  }
  expect(tree(cwd.path)).toEqual(before);
});

test.skipIf(!isRoot).each([{}, { HOME: '' }, { HOME: '  ' }])(
  'CF-55 no home anywhere (%j) is an error that names HOME (skipped: needs root, to be a user that no system lists)',
  (env) => {
    using cwd = tempDir();
    const before = decoy(cwd.path);
    // Theirs: they could read it, and write there.
    for (const each of ['.', ...before]) chownSync(join(cwd.path, each), NOBODY, NOBODY);
    for (const command of COMMANDS) {
      const { status, stdout, stderr } = spawnSync(process.execPath, [LAUNCHER, ...command], {
        cwd: cwd.path,
        uid: NOBODY,
        gid: NOBODY,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'] ?? '', ...env },
      });
      expect([command[0], status, stdout, stderr]).toEqual([command[0], 1, '', expect.stringContaining('HOME is not set')]);
    }
    expect(tree(cwd.path)).toEqual(before);
  },
);
