import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ensurePrivateDir } from '../files/private-files.ts';
import type { Env } from './env.ts';
import { expandHome, type PathFlags, type Paths, resolvePaths } from './paths.ts';
import { prepareSocketPath } from './socket-path.ts';

let home: string;
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'openclaw-paths-'));
});
afterEach(() => rmSync(home, { recursive: true, force: true }));

function pathsOf(env: Env = {}, flags: PathFlags = {}): Paths {
  const result = resolvePaths({ HOME: home, ...env }, flags);
  if (!result.ok) throw result.error;
  return result.value;
}

describe('resolvePaths', () => {
  test('CF-1 by default everything lies in ~/.openclaw, and what is ours in its gateway directory', () => {
    const paths = pathsOf();
    expect(paths).toMatchObject({
      home,
      stateDir: join(home, '.openclaw'),
      configPath: join(home, '.openclaw/openclaw.json'),
      workspace: join(home, '.openclaw/workspace'),
      profile: undefined,
      defaultPort: 18789,
    });
    for (const ours of [paths.dbPath, paths.tokenPath, paths.logsDir, paths.modelsDir, paths.compileCacheDir, paths.socketPath]) {
      expect(ours.startsWith(join(home, '.openclaw/gateway/'))).toBe(true);
    }
  });

  test.each<[string, Env, PathFlags, Partial<Paths>]>([
    [
      'OPENCLAW_STATE_DIR',
      { OPENCLAW_STATE_DIR: '~/s' },
      {},
      { stateDir: '$/s', configPath: '$/s/openclaw.json', workspace: '$/s/workspace' },
    ],
    ['OPENCLAW_CONFIG_PATH', { OPENCLAW_CONFIG_PATH: '~/c.json5' }, {}, { stateDir: '$/.openclaw', configPath: '$/c.json5' }],
    ['OPENCLAW_HOME', { OPENCLAW_HOME: '~/h' }, {}, { home: '$/h', stateDir: '$/h/.openclaw' }],
    [
      '--profile',
      {},
      { profile: 'work' },
      { stateDir: '$/.openclaw-work', workspace: '$/.openclaw/workspace-work', profile: 'work', defaultPort: 18789 },
    ],
    ['OPENCLAW_PROFILE', { OPENCLAW_PROFILE: 'work' }, {}, { stateDir: '$/.openclaw-work' }],
    ['--profile default is none', {}, { profile: 'default' }, { stateDir: '$/.openclaw', profile: undefined }],
    ['--dev', {}, { dev: true }, { stateDir: '$/.openclaw-dev', defaultPort: 19001, profile: 'dev' }],
    [
      'a flag beats the environment',
      { OPENCLAW_STATE_DIR: '/elsewhere', OPENCLAW_CONFIG_PATH: '/x.json' },
      { profile: 'work' },
      { stateDir: '$/.openclaw-work', configPath: '$/.openclaw-work/openclaw.json' },
    ],
    [
      'a state dir beats OPENCLAW_PROFILE',
      { OPENCLAW_STATE_DIR: '/elsewhere', OPENCLAW_PROFILE: 'work' },
      {},
      { stateDir: '/elsewhere', workspace: '/elsewhere/workspace-work' },
    ],
    [
      'blank variables count as unset',
      { OPENCLAW_STATE_DIR: ' ', OPENCLAW_CONFIG_PATH: '', OPENCLAW_HOME: '' },
      {},
      { stateDir: '$/.openclaw' },
    ],
  ])('CF-1 %s', (_name, env, flags, expected) => {
    const real = Object.fromEntries(
      Object.entries(expected).map(([key, value]) => [key, typeof value === 'string' ? value.replace('$', home) : value]),
    );
    expect(pathsOf(env, flags)).toMatchObject(real);
  });

  test.each(['../x', 'a/b', '', '.', 'a b', 'x'.repeat(33), 'ü', 'a\0'])(
    'CF-2 the profile name %j is refused or counts as none',
    (profile) => {
      const result = resolvePaths({ HOME: home }, { profile });
      expect(result.ok ? 'accepted' : result.error.code).toBe('PROFILE_INVALID');
    },
  );

  test('CF-3 an earlier name counts only where today’s does not exist', () => {
    mkdirSync(join(home, '.clawdbot'));
    writeFileSync(join(home, '.clawdbot/clawdbot.json'), '{}');
    expect(pathsOf()).toMatchObject({ stateDir: join(home, '.clawdbot'), configPath: join(home, '.clawdbot/clawdbot.json') });
    mkdirSync(join(home, '.openclaw'));
    expect(pathsOf()).toMatchObject({ stateDir: join(home, '.openclaw'), configPath: join(home, '.openclaw/openclaw.json') });
  });

  test('CF-1 ~ expands only as a whole first part', () => {
    expect([expandHome('~', '/h'), expandHome('~/x', '/h'), expandHome('~user/x', '/h'), expandHome('/a/~', '/h')]).toEqual([
      '/h',
      '/h/x',
      '~user/x',
      '/a/~',
    ]);
  });
});

describe.skipIf(process.platform === 'win32')('CF-55 places in the working directory', () => {
  test.each(['', ' ', '\t', undefined])('a HOME of %j counts as none: the system’s list of users says where it is', (HOME) => {
    const result = resolvePaths({ HOME });
    expect(result.ok && result.value.home).toBe(userInfo().homedir);
  });

  test.each<[string, Env]>([
    ...['.', '..', 'home', './home', 'C:\\Users\\me', 'C:/Users/me', '\\\\server\\share', '~', '~/x', '%USERPROFILE%'].map(
      (HOME): [string, Env] => ['HOME', { HOME }],
    ),
    ['USERPROFILE', { HOME: ' ', USERPROFILE: 'C:\\Users\\me' }],
    ['HOME', { HOME: 'here', OPENCLAW_HOME: '~/x' }],
    ...['OPENCLAW_HOME', 'OPENCLAW_STATE_DIR', 'OPENCLAW_CONFIG_PATH'].flatMap((name) =>
      ['.', 'x', '../x', './x/y.json', 'C:\\x', 'D:/x', '\\\\s\\x', '~\\x', '~other/x', 'file:///x', '$HOME/x'].map(
        (value): [string, Env] => [name, { HOME: '/home/me', [name]: value }],
      ),
    ),
  ])('%s: %j is refused by name', (name, env) => {
    const result = resolvePaths(env);
    expect(result.ok ? result.value : result.error).toMatchObject({
      code: 'PATH_NOT_ABSOLUTE',
      path: name,
      message: expect.stringContaining(`${name} is `),
    });
  });

  test('a variable that another one or a flag makes of no account is not judged', () => {
    expect(resolvePaths({ HOME: 'relative', OPENCLAW_HOME: '/h' }).ok).toBe(true);
    expect(resolvePaths({ HOME: '/h', OPENCLAW_STATE_DIR: 'x', OPENCLAW_CONFIG_PATH: 'y' }, { profile: 'work' }).ok).toBe(true);
  });
});

describe('the admin socket', () => {
  const deep = 'd'.repeat(90);

  test('CF-4 a path too long for a socket gets a short one in a private directory, found again through a record', () => {
    const runtime = join(home, 'run');
    mkdirSync(runtime, { mode: 0o700 });
    const env = { OPENCLAW_STATE_DIR: join(home, deep), XDG_RUNTIME_DIR: runtime };
    const paths = pathsOf(env);
    expect(paths.socketPath.startsWith(join(runtime, 'openclaw/'))).toBe(true);
    prepareSocketPath(paths);
    expect(statSync(join(runtime, 'openclaw')).mode & 0o777).toBe(0o700);
    // Another login has no XDG_RUNTIME_DIR; it must find the same socket.
    expect(pathsOf({ OPENCLAW_STATE_DIR: join(home, deep) }).socketPath).toBe(paths.socketPath);
  });

  test('CF-4 a runtime directory that others may enter is not used', () => {
    const runtime = join(home, 'run');
    mkdirSync(runtime, { mode: 0o755 });
    const { socketPath } = pathsOf({ OPENCLAW_STATE_DIR: join(home, deep), XDG_RUNTIME_DIR: runtime });
    expect(socketPath.startsWith(join(home, '.openclaw-run/'))).toBe(true);
    expect(Buffer.byteLength(socketPath)).toBeLessThanOrEqual(100);
  });

  test('CF-4 a record that names a place others may enter is not believed', () => {
    const open = join(home, 'open');
    mkdirSync(open, { mode: 0o777 });
    const paths = pathsOf({ OPENCLAW_STATE_DIR: join(home, deep) });
    mkdirSync(paths.gatewayDir, { recursive: true, mode: 0o700 });
    writeFileSync(join(paths.gatewayDir, 'admin.sock.path'), join(open, 'x.sock'));
    expect(pathsOf({ OPENCLAW_STATE_DIR: join(home, deep) }).socketPath).toBe(paths.socketPath);
  });
});

describe('ensurePrivateDir', () => {
  test('CF-5 makes 0700 and tightens what is laxer', () => {
    const dir = join(home, 'a/b');
    ensurePrivateDir(dir);
    expect(statSync(dir).mode & 0o777).toBe(0o700);
    const lax = join(home, 'lax');
    mkdirSync(lax, { mode: 0o755 });
    ensurePrivateDir(lax);
    expect(statSync(lax).mode & 0o777).toBe(0o700);
  });

  test('CF-5 a symlink in its place is refused', () => {
    mkdirSync(join(home, 'target'));
    symlinkSync(join(home, 'target'), join(home, 'link'));
    expect(() => ensurePrivateDir(join(home, 'link'))).toThrow(/not a real directory/);
    expect(existsSync(join(home, 'target'))).toBe(true);
  });
});
