import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
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
