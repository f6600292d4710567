import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../auth/secret.ts';
import { stateDir } from '../config/testing.ts';
import { UserError } from '../lib/errors.ts';
import { Settings } from './settings.ts';

const FIRST = 'a-token-that-is-long-enough-1';
const SECOND = 'a-token-that-is-long-enough-2';
const NO_FLAGS = { config: {} };

async function setUp(config: string) {
  const state = stateDir(config);
  const settings = await Settings.read({ paths: state.paths, env: state.env, flags: NO_FLAGS });
  const take = async (text: string) => {
    state.write('openclaw.json', text);
    const next = await settings.load(2);
    if (!next.ok) throw new Error(next.error.message);
    return settings.take(next.value);
  };
  return { state, settings, take, [Symbol.dispose]: () => state[Symbol.dispose]() };
}
const config = (token: string, more: object = {}): string => JSON.stringify({ gateway: { auth: { token }, ...more } });

describe('a change of the config', () => {
  test('CF-36 of the secret is taken over as it stands', async () => {
    using t = await setUp(config(FIRST));
    expect(await t.take(config(SECOND))).toMatchObject({ action: 'apply', changed: [{ path: 'gateway.auth.token' }] });
    expect([t.settings.auth.settings.secret?.value, t.settings.snapshot.generation]).toEqual([SECOND, 2]);
    expect(t.settings.secrets).toContain(SECOND);
  });

  test('AU-91 beside one that waits for a restart: the secret counts at once, the rest not', async () => {
    using t = await setUp(config(FIRST));
    expect(await t.take(config(SECOND, { port: 19_000 }))).toMatchObject({ action: 'restart' });
    expect(t.settings.auth.settings.secret?.value).toBe(SECOND);
    expect(t.settings.snapshot.config.gateway).toMatchObject({ port: 18_789, auth: { token: FIRST } });
  });

  const guardedBy = (settings: Settings): unknown => [settings.auth.settings.secret?.value, settings.policy.current().secret?.digest];
  const by = (secret: string): unknown => [secret, digestOf(secret)];

  test('AU-120: a token that was taken out beside a change that waits or was refused does not come back when secrets are read anew', async () => {
    using t = await setUp(config(FIRST));
    expect(await t.take(JSON.stringify({ gateway: { port: 19_000 } }))).toMatchObject({ action: 'restart' });
    const generated = readFileSync(t.state.paths.tokenPath, 'utf8').trim();
    for (let i = 0; i < 3; i++) expect(await t.settings.rereadSecret()).toBe(false);
    expect(guardedBy(t.settings)).toEqual(by(generated));
    // What comes after it and is wrong takes nothing, and brings nothing back.
    await expect(t.take(config('changeme', { bind: 'lan' }))).rejects.toThrow(UserError);
    expect(await t.settings.rereadSecret()).toBe(false);
    expect(guardedBy(t.settings)).toEqual(by(generated));
  });

  test('AU-120: from token to password beside a bind that is refused, and on to another token', async () => {
    using t = await setUp(config(FIRST));
    const password = 'a pass phrase of some length';
    await t.take(JSON.stringify({ gateway: { bind: 'tailnet', auth: { mode: 'password', password } } }));
    await t.settings.rereadSecret();
    expect(guardedBy(t.settings)).toEqual(by(password));
    await t.take(config(SECOND, { bind: 'tailnet' }));
    await t.settings.rereadSecret();
    expect(guardedBy(t.settings)).toEqual(by(SECOND));
  });

  test('AU-120: an edit that is taken back whole brings back what guarded before it', async () => {
    using t = await setUp(config(FIRST));
    await t.take(config(SECOND, { port: 19_000 }));
    expect(await t.take(config(FIRST))).toMatchObject({ action: 'nothing' });
    expect(guardedBy(t.settings)).toEqual(by(FIRST));
  });

  test('AU-120: a secret file that a waiting change names is read by that change; the one before it counts no more', async () => {
    using t = await setUp(config(FIRST));
    const file = (name: string, port: number): string =>
      JSON.stringify({
        gateway: { port, auth: { token: { source: 'file', provider: 'p', id: 'value' } } },
        secrets: { providers: { p: { source: 'file', path: join(t.state.paths.stateDir, name), mode: 'singleValue' } } },
      });
    const write = (name: string, text: string): void => writeFileSync(join(t.state.paths.stateDir, name), text, { mode: 0o600 });
    write('one', SECOND);
    await t.take(file('one', 19_000));
    expect(guardedBy(t.settings)).toEqual(by(SECOND));
    const third = 'a-token-that-is-long-enough-3';
    write('one', third);
    expect(await t.settings.rereadSecret()).toBe(true);
    expect(guardedBy(t.settings)).toEqual(by(third));
    write('two', SECOND);
    await t.take(file('two', 19_001));
    write('one', FIRST);
    expect(await t.settings.rereadSecret()).toBe(false);
    expect(guardedBy(t.settings)).toEqual(by(SECOND));
  });

  test('AU-120: by reload.mode "off" and "hot" nothing is mixed either', async () => {
    using t = await setUp(config(FIRST));
    await t.take(config(SECOND, { reload: { mode: 'off' } }));
    expect(guardedBy(t.settings)).toEqual(by(FIRST));
    await t.take(config(SECOND, { port: 19_000, reload: { mode: 'hot' } }));
    expect(guardedBy(t.settings)).toEqual(by(SECOND));
    await t.settings.rereadSecret();
    expect(guardedBy(t.settings)).toEqual(by(SECOND));
  });

  test('CF-36 that would keep a gateway from starting is not taken over, and nothing of it', async () => {
    using t = await setUp(config(FIRST));
    await expect(t.take(config('changeme', { bind: 'lan' }))).rejects.toThrow(UserError);
    expect([t.settings.auth.settings.secret?.value, t.settings.snapshot.generation]).toEqual([FIRST, 1]);
    await expect(t.settings.next()).rejects.toMatchObject({ path: expect.stringContaining('gateway') });
  });

  test('AU-91 when the last secret goes away, the generated token guards', async () => {
    using t = await setUp(config(FIRST));
    expect(await t.settings.makeToken()).toBe(false);
    expect(existsSync(t.state.paths.tokenPath)).toBe(false);
    await t.take('{}');
    expect(t.settings.auth.settings.secret).toEqual({ kind: 'token', value: readFileSync(t.state.paths.tokenPath, 'utf8').trim() });
  });
});

test('NET-25 a Tailscale mode is told to do nothing yet', async () => {
  using t = await setUp(config(FIRST, { tailscale: { mode: 'serve' } }));
  expect(t.settings.warnings).toEqual([expect.stringContaining('gateway.tailscale.mode is "serve", and this version sets nothing up')]);
});

test('CF-36 what may not start is not read as settings at all', async () => {
  using state = stateDir('{ gateway: { mode: "remote", remote: { url: "ws://127.0.0.1:1" } } }');
  await expect(Settings.read({ paths: state.paths, env: state.env, flags: NO_FLAGS })).rejects.toMatchObject({
    code: 'GATEWAY_MODE_REMOTE',
  });
});
