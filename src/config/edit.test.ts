// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the placeholders of the config file
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import JSON5 from 'json5';
import { describe, expect, test } from 'vitest';
import type { Result } from '../lib/result.ts';
import { change, type EditError, type EditOutcome, editConfig, writeConfig } from './edit.ts';
import { FIRST_CONFIG, writeFirstConfig } from './first-run.ts';
import { getPath } from './get-path.ts';
import { hashOf } from './load.ts';
import { withConfigLock } from './lock.ts';
import { Redactor } from './redactor.ts';
import { type StateDir, stateDir } from './testing.ts';

const textOf = (state: StateDir): string => readFileSync(state.paths.configPath, 'utf8');
function done(result: Result<EditOutcome, EditError>): EditOutcome {
  if (!result.ok) throw result.error;
  return result.value;
}
function refused(result: Result<EditOutcome, EditError>): EditError {
  if (result.ok) throw new Error('the edit was taken');
  return result.error;
}

describe('editing the file', () => {
  test('CF-23 makes the file where there is none, 0600', async () => {
    using state = stateDir();
    const outcome = done(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 18790 }]));
    expect(textOf(state)).toBe('{\n  gateway: {\n    port: 18790,\n  },\n}\n');
    expect(outcome).toMatchObject({ changed: true, hash: hashOf(textOf(state)), result: { ok: true } });
    if (process.platform !== 'win32') expect(statSync(state.paths.configPath).mode & 0o777).toBe(0o600);
  });

  test('CF-23 leaves no temporary file, tightens the mode, and writes nothing when nothing changes', async () => {
    using state = stateDir('{ gateway: { port: 1 } } // mine\n');
    chmodSync(state.paths.configPath, 0o644);
    const inode = statSync(state.paths.configPath).ino;
    expect(done(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 1 }])).changed).toBe(false);
    expect(statSync(state.paths.configPath).ino).toBe(inode);
    done(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 2 }]));
    expect(textOf(state)).toBe('{ gateway: { port: 2 } } // mine\n');
    expect(statSync(state.paths.configPath).mode & 0o777).toBe(0o600);
    expect(readdirSync(state.paths.stateDir).sort()).toEqual(['gateway', 'openclaw.json']);
  });

  test('CF-24 a result that is wrong is refused as a whole', async () => {
    using state = stateDir('{ gateway: { port: 1 } }');
    const error = refused(
      await editConfig(state, [
        { op: 'set', path: 'gateway.mode', value: 'local' },
        { op: 'set', path: 'gateway.bind', value: '0.0.0.0' },
      ]),
    );
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', path: 'gateway.bind', fix: expect.stringContaining('gateway.bind: "lan"') });
    expect(textOf(state)).toBe('{ gateway: { port: 1 } }');
  });

  test('CF-24 a file with several faults may be mended one by one, and no edit adds one', async () => {
    using state = stateDir('{ gateway: { port: "x", bind: "y" } }');
    const outcome = done(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 5 }]));
    expect(outcome.result.ok).toBe(false);
    expect(refused(await editConfig(state, [{ op: 'set', path: 'gateway.auth.mode', value: 'z' }])).code).toBe('CONFIG_INVALID');
    expect(done(await editConfig(state, [{ op: 'unset', path: 'gateway.bind' }])).result.ok).toBe(true);
  });

  test('CF-25 edits made against another text are refused', async () => {
    using state = stateDir('{ gateway: { port: 1 } }');
    const baseHash = hashOf(textOf(state));
    done(await writeConfig(state, '{ gateway: { port: 2 } }', { baseHash }));
    expect(refused(await writeConfig(state, '{ gateway: { port: 3 } }', { baseHash })).code).toBe('CONFIG_CHANGED');
    expect(refused(await writeConfig(state, '{}', { requireBaseHash: true })).code).toBe('CONFIG_HASH_REQUIRED');
    expect(JSON5.parse(textOf(state))).toEqual({ gateway: { port: 2 } });
  });

  test('CF-25 an editor that saves in between is not overwritten', async () => {
    using state = stateDir('{ gateway: { port: 1 } }');
    let runs = 0;
    const outcome = done(
      await change(state, {}, [], async (raw) => {
        // The first time somebody saves after we have read.
        if (runs++ === 0) writeFileSync(state.paths.configPath, '{ gateway: { port: 1 }, ui: { seamColor: "red" } }');
        return { ok: true, value: raw.replace('port: 1', 'port: 9') };
      }),
    );
    expect(runs).toBe(2);
    expect(JSON5.parse(outcome.raw)).toEqual({ gateway: { port: 9 }, ui: { seamColor: 'red' } });
    expect(textOf(state)).toBe(outcome.raw);
  });

  test('CF-26 OPENCLAW_NIX_MODE=1 writes nothing', async () => {
    using state = stateDir('{}', { OPENCLAW_NIX_MODE: '1' });
    expect(refused(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 1 }])).code).toBe('CONFIG_MANAGED');
    expect(writeFirstConfig(state.paths, state.env)).toBe(false);
    expect(textOf(state)).toBe('{}');
  });

  test.skipIf(process.platform === 'win32')('CF-27 a config that is a symlink stays one; its target is written', async () => {
    using state = stateDir();
    mkdirSync(join(state.dir, 'dotfiles'));
    const target = join(state.dir, 'dotfiles/openclaw.json5');
    writeFileSync(target, '{ /* mine */ }\n', { mode: 0o600 });
    symlinkSync(target, state.paths.configPath);
    expect(done(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 7 }])).file).toBe(target);
    expect(lstatSync(state.paths.configPath).isSymbolicLink()).toBe(true);
    expect(readFileSync(target, 'utf8')).toContain('/* mine */');
    expect((await state.snapshot()).config.gateway.port).toBe(7);
  });

  test.skipIf(process.platform === 'win32')('CF-27 a link to nothing is an error with a fix, and nothing is made at its end', async () => {
    using state = stateDir();
    symlinkSync(join(state.dir, 'nowhere'), state.paths.configPath);
    expect(refused(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 7 }]))).toMatchObject({
      code: 'CONFIG_UNREADABLE',
      fix: expect.any(String),
    });
    expect(existsSync(join(state.dir, 'nowhere'))).toBe(false);
  });

  test('CF-28 what came from a variable or an include keeps its text', async () => {
    using state = stateDir('{\n  ui: { seamColor: "${COLOR}" },\n  gateway: { $include: "gw.json" },\n}\n', { COLOR: 'red' });
    state.write('gw.json', '{ "port": 5 }');
    done(await editConfig(state, [{ op: 'set', path: 'gateway.bind', value: 'lan' }]));
    expect(textOf(state)).toBe('{\n  ui: { seamColor: "${COLOR}" },\n  gateway: { $include: "gw.json", bind: "lan" },\n}\n');
    expect((await state.snapshot()).config).toMatchObject({ ui: { seamColor: 'red' }, gateway: { port: 5, bind: 'lan' } });
  });

  test('CF-28 a change that an include overrules is refused and names the file', async () => {
    using state = stateDir('{ gateway: { $include: "gw.json", trustedProxies: ["10.0.0.1"] } }');
    const included = state.write('gw.json', '{ "port": 5, "trustedProxies": ["10.0.0.2"] }');
    expect(refused(await editConfig(state, [{ op: 'set', path: 'gateway.trustedProxies', value: ['10.0.0.3'] }]))).toMatchObject({
      code: 'CONFIG_INCLUDED',
      fix: `Edit it there: ${included}`,
    });
    expect(refused(await editConfig(state, [{ op: 'unset', path: 'gateway.trustedProxies' }])).code).toBe('CONFIG_INCLUDED');
    done(await editConfig(state, [{ op: 'set', path: 'gateway.port', value: 6 }]));
  });

  test('CF-22 set, then get', async () => {
    using state = stateDir();
    done(await editConfig(state, [{ op: 'set', path: 'models.providers["my llm"].apiKey', value: 'sk-1' }]));
    const found = getPath(await state.snapshot(), 'models.providers["my llm"].apiKey', new Redactor());
    expect(found).toMatchObject({ ok: true, value: { value: 'sk-1', shown: '__OPENCLAW_REDACTED__', source: 'file', sensitive: true } });
    expect(getPath(await state.snapshot(), 'gateway.port', new Redactor())).toMatchObject({ value: { value: 18789, source: 'default' } });
    expect(getPath(await state.snapshot(), 'gateway.nothing', new Redactor())).toEqual({ ok: true, value: undefined });
    expect(getPath(await state.snapshot(), 'a..b', new Redactor()).ok).toBe(false);
  });
});

describe('many writers', () => {
  test('CF-29 of 1,000 edits at once in one process none is lost', async () => {
    using state = stateDir('{\n  // kept\n}\n');
    const results = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => editConfig(state, [{ op: 'set', path: ['channels', `c${i % 50}`, `k${i}`], value: i }])),
    );
    for (const result of results) done(result);
    const channels = Object.values(JSON5.parse<{ channels: Record<string, Record<string, number>> }>(textOf(state)).channels);
    expect(channels.flatMap((entries) => Object.values(entries)).sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(textOf(state)).toContain('// kept');
  }, 120_000);

  test('CF-29 nor of those of several processes, one of which is killed while it holds the lock', async () => {
    using state = stateDir('{}');
    const script = `
      const [stateDir, name, mode] = process.argv.slice(1);
      const { resolvePaths } = await import(${JSON.stringify(new URL('./paths.ts', import.meta.url).href)});
      const { editConfig, change } = await import(${JSON.stringify(new URL('./edit.ts', import.meta.url).href)});
      const env = { HOME: stateDir, OPENCLAW_STATE_DIR: stateDir };
      const paths = resolvePaths(env).value;
      if (mode === 'hold') {
        await change({ paths, env }, {}, [], () => { console.log('held'); return new Promise(() => setInterval(() => {}, 1000)); });
      }
      for (let i = 0; i < 20; i++) {
        const result = await editConfig({ paths, env }, [{ op: 'set', path: ['channels', name + i], value: { i } }]);
        if (!result.ok) throw result.error;
      }`;
    const run = (name: string, mode = '') =>
      spawn(process.execPath, ['--input-type=module', '-e', script, state.paths.stateDir, name, mode], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
    const holder = run('h', 'hold');
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    const writers = ['a', 'b', 'c'].map((name) => run(name));
    const exits = writers.map((child) => new Promise((resolve) => child.once('exit', resolve)));
    holder.kill('SIGKILL');
    expect(await Promise.all(exits)).toEqual([0, 0, 0]);
    expect(Object.keys(JSON5.parse(textOf(state)).channels)).toHaveLength(60);
  }, 60_000);
});

test('CF-29 a lock that somebody keeps is given up on, with a reason', async () => {
  using state = stateDir('{}');
  mkdirSync(state.paths.gatewayDir, { mode: 0o700 });
  const holder = new DatabaseSync(join(state.paths.gatewayDir, 'config.lock'));
  holder.exec('BEGIN EXCLUSIVE');
  expect(await withConfigLock(state.paths, async () => 'done', 60)).toBeUndefined();
  holder.close();
  expect(await withConfigLock(state.paths, async () => 'done', 60)).toBe('done');
});

describe('the first config', () => {
  test('CF-30 is written once, 0600, is valid and turns on nothing but what it says', async () => {
    using state = stateDir();
    expect(writeFirstConfig(state.paths, state.env)).toBe(true);
    expect(writeFirstConfig(state.paths, state.env)).toBe(false);
    expect(textOf(state)).toBe(FIRST_CONFIG);
    const { config, parsed, warnings } = await state.snapshot();
    expect(warnings).toEqual([]);
    expect(parsed).toEqual({ gateway: { mode: 'local', http: { endpoints: { chatCompletions: { enabled: true } } } } });
    expect(config.gateway.bind).toBe('loopback');
  });

  test('CF-30 never replaces a file, nor writes through a link', () => {
    using state = stateDir('mine');
    expect(writeFirstConfig(state.paths, state.env)).toBe(false);
    expect(textOf(state)).toBe('mine');
    using linked = stateDir();
    symlinkSync(join(linked.dir, 'nowhere'), linked.paths.configPath);
    expect(writeFirstConfig(linked.paths, linked.env)).toBe(false);
    expect(existsSync(join(linked.dir, 'nowhere'))).toBe(false);
  });
});
