import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { secretContext } from './credential-inputs.ts';
import { defaultWorkspace } from './load.ts';
import { configuredPath, foreignPath } from './local-path.ts';
import { resolveSecret } from './secrets.ts';
import { stateDir } from './testing.ts';

test.each([
  ['C:\\work', 'linux', true],
  ['c:/work', 'darwin', true],
  ['D:work\\a', 'linux', true],
  ['\\\\server\\share', 'linux', true],
  ['/home/me', 'linux', false],
  ['~/work', 'linux', false],
  ['work', 'linux', false],
  ['a:b', 'linux', false],
  ['/home/me', 'win32', true],
  ['C:\\work', 'win32', false],
  ['//server/share', 'win32', false],
])('CF-46 whether %s on %s is of another system: %s', (path, platform, expected) => {
  expect(foreignPath(path, platform) !== undefined).toBe(expected);
});

test.skipIf(process.platform === 'win32').each([
  ['agents.defaults.workspace', '{agents:{defaults:{workspace:"C:\\\\work"}}}'],
  ['agents.list[0].workspace', '{agents:{list:[{id:"a",workspace:"\\\\\\\\server\\\\x"}]}}'],
  ['secrets.providers.f.path', '{secrets:{providers:{f:{source:"file",path:"C:/x"}}}}'],
  ['plugins', '{plugins:{$include:"C:\\\\x.json"}}'],
])('CF-46 %s: a path of another system is an error that says so', async (path, config) => {
  using state = stateDir(config);
  const { issues } = await state.problem();
  expect(issues[0]).toMatchObject({ path, message: expect.stringContaining('a path of Windows') });
});

test('CF-45 relative paths count from the directory of the config file, not from where the process was started', async () => {
  using state = stateDir(
    '{agents:{defaults:{workspace:"./work"}},secrets:{providers:{f:{source:"file",path:"keys/one",mode:"singleValue"}}},gateway:{auth:{token:{source:"file",provider:"f",id:"value"}}}}',
  );
  mkdirSync(join(state.paths.stateDir, 'keys'), { mode: 0o700 });
  writeFileSync(join(state.paths.stateDir, 'keys', 'one'), 'a-token\n', { mode: 0o600 });
  const snapshot = await state.snapshot();
  expect(defaultWorkspace(snapshot)).toBe(join(state.paths.stateDir, 'work'));
  expect(await resolveSecret(snapshot.config.gateway.auth.token, 'x', secretContext(snapshot))).toMatchObject({
    state: 'value',
    value: 'a-token',
  });
  expect(configuredPath('~/x', { home: '/h', configPath: '/c/openclaw.json' })).toBe('/h/x');
  expect(configuredPath('/abs', { home: '/h', configPath: '/c/openclaw.json' })).toBe('/abs');
  expect(existsSync('work')).toBe(false);
});
