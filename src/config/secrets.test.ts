// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the placeholders of the config file
import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SecretValue } from '../lib/secret-value.ts';
import { credentialInputs, secretContext } from './credential-inputs.ts';
import type { Env } from './env.ts';
import { makeGeneratedToken, newToken, readGeneratedToken } from './generated-token.ts';
import { resolveSecret } from './secrets.ts';
import type { SecretInput } from './spec.ts';
import { type StateDir, stateDir } from './testing.ts';

async function resolve(state: StateDir, input: SecretInput | undefined, env: Env = {}): Promise<SecretValue> {
  const snapshot = await state.snapshot({ env: { ...state.env, ...env } });
  return resolveSecret(input, 'gateway.auth.token', secretContext(snapshot));
}
const reason = (value: SecretValue): string => (value.state === 'unresolved' ? value.reason : `not unresolved: ${value.state}`);

describe('texts', () => {
  test.each([[undefined], [''], [' \n'], ['${TOKEN}'], ['a${TOKEN}b']])('CR-2 %j counts as unset', async (text) => {
    using state = stateDir();
    expect(await resolve(state, text)).toEqual({ state: 'unset' });
  });

  test('CR-2 anything else is the value, as it is', async () => {
    using state = stateDir();
    expect(await resolve(state, 'your-token')).toEqual({ state: 'value', value: 'your-token', source: 'gateway.auth.token' });
  });
});

describe('references to the environment', () => {
  test('CR-3 are followed, and .env of the state dir counts', async () => {
    using state = stateDir();
    state.write('.env', 'FROM_FILE=two\n');
    expect(await resolve(state, { source: 'env', id: 'MY_TOKEN' }, { MY_TOKEN: 'one' })).toEqual({
      state: 'value',
      value: 'one',
      source: 'gateway.auth.token (env MY_TOKEN)',
    });
    expect(await resolve(state, { source: 'env', provider: 'default', id: 'FROM_FILE' })).toMatchObject({ value: 'two' });
  });

  test('CR-3 an allowlist binds', async () => {
    using state = stateDir('{ secrets: { providers: { default: { source: "env", allowlist: ["OK"] } } } }');
    expect(await resolve(state, { source: 'env', id: 'OK' }, { OK: 'x' })).toMatchObject({ state: 'value' });
    expect(reason(await resolve(state, { source: 'env', id: 'OTHER' }, { OTHER: 'x' }))).toContain('not in the provider');
  });

  test('CR-4 one that cannot be followed is unresolved, never unset', async () => {
    using state = stateDir('{ secrets: { providers: { f: { source: "file", path: "x" } } } }');
    expect(reason(await resolve(state, { source: 'env', id: 'MISSING' }))).toBe('env MISSING is not set');
    expect(reason(await resolve(state, { source: 'env', id: 'BLANK' }, { BLANK: ' ' }))).toBe('env BLANK is not set');
    expect(reason(await resolve(state, { source: 'env', id: 'HOLE' }, { HOLE: '${X}' }))).toContain('placeholder');
    expect(reason(await resolve(state, { source: 'env', provider: 'nowhere', id: 'A' }))).toContain(
      'secrets.providers.nowhere does not exist',
    );
    expect(reason(await resolve(state, { source: 'env', provider: 'f', id: 'A' }))).toContain('is of source "file"');
    expect(reason(await resolve(state, { source: 'exec', id: 'a/b' }))).toContain('not supported by this version');
    expect(reason(await resolve(state, { source: 'env', provider: '__proto__', id: 'A' }))).toContain('does not exist');
  });
});

describe.skipIf(process.platform === 'win32')('references to files', () => {
  const config =
    '{ secrets: { providers: { vault: { source: "file", path: "~/vault.json" }, one: { source: "file", path: "~/one.txt", mode: "singleValue" }, small: { source: "file", path: "~/vault.json", maxBytes: 10 }, nopath: { source: "file" } } } }';
  function vault(text = JSON.stringify({ gw: { 'a/b': 's3cr3t', list: ['x', 'y'], n: 5, blank: '' } }), mode = 0o600): StateDir {
    const state = stateDir(config);
    writeFileSync(join(state.dir, 'vault.json'), text, { mode });
    writeFileSync(join(state.dir, 'one.txt'), 'single\n', { mode: 0o600 });
    return state;
  }
  const ref = (id: string, provider = 'vault'): SecretInput => ({ source: 'file', provider, id });

  test('CR-5 a JSON pointer, or the one value without its last newline', async () => {
    using state = vault();
    expect(await resolve(state, ref('/gw/a~1b'))).toEqual({
      state: 'value',
      value: 's3cr3t',
      source: 'gateway.auth.token (file vault:/gw/a~1b)',
    });
    expect(await resolve(state, ref('/gw/list/1'))).toMatchObject({ value: 'y' });
    expect(await resolve(state, ref('value', 'one'))).toMatchObject({ value: 'single' });
  });

  test.each([
    ['/gw/none', 'vault', 'has nothing at /gw/none'],
    ['/gw/n', 'vault', 'has no text at /gw/n'],
    ['/gw/blank', 'vault', 'is blank'],
    ['/gw/constructor', 'vault', 'has nothing'],
    ['/gw/list/-1', 'vault', 'has nothing'],
    ['value', 'vault', 'not a JSON pointer'],
    ['/x', 'one', 'has one id: "value"'],
    ['/gw/n', 'small', 'larger than 10 bytes'],
    ['/gw/n', 'nopath', 'path is not set'],
  ])('CR-4 %s of %s is unresolved', async (id, provider, message) => {
    using state = vault();
    expect(reason(await resolve(state, ref(id, provider)))).toContain(message);
  });

  test('CR-6 a file that others can read, or that is none, is refused with the fix', async () => {
    using state = vault();
    chmodSync(join(state.dir, 'vault.json'), 0o640);
    expect(reason(await resolve(state, ref('/gw/n')))).toContain(`chmod 600 ${join(state.dir, 'vault.json')}`);
    using missing = stateDir(config);
    expect(reason(await resolve(missing, ref('/gw/n')))).toContain('does not exist');
    mkdirSync(join(missing.dir, 'vault.json'));
    expect(reason(await resolve(missing, ref('/gw/n')))).toContain('not a regular file');
  });

  test('CR-6 text that is no JSON is not quoted in the reason', async () => {
    using state = vault('s3cr3t is not json');
    expect(reason(await resolve(state, ref('/x')))).toMatch(/is not valid JSON$/);
    expect(reason(await resolve(state, ref('/x')))).not.toContain('s3cr3t');
  });
});

describe('the inputs of the resolver', () => {
  test('CR-7 every place is read, each by itself', async () => {
    using state = stateDir(
      '{ gateway: { mode: "remote", auth: { mode: "password", token: "${NOPE}", password: { source: "env", id: "GW_PASS" } }, remote: { token: "r-t", password: " " } } }',
    );
    state.write('.env', 'OPENCLAW_GATEWAY_PASSWORD=from-dotenv\n');
    const snapshot = await state.snapshot({ env: { ...state.env, OPENCLAW_GATEWAY_TOKEN: 'env-token' } });
    expect(await credentialInputs(snapshot)).toEqual({
      env: {
        token: { state: 'value', value: 'env-token', source: 'env OPENCLAW_GATEWAY_TOKEN' },
        password: { state: 'value', value: 'from-dotenv', source: 'env OPENCLAW_GATEWAY_PASSWORD' },
      },
      config: {
        authToken: { state: 'unset' },
        authPassword: { state: 'unresolved', path: 'gateway.auth.password', reason: 'env GW_PASS is not set' },
        remoteToken: { state: 'value', value: 'r-t', source: 'gateway.remote.token' },
        remotePassword: { state: 'unset' },
      },
      generatedToken: { state: 'unset' },
      mode: 'remote',
      authMode: 'password',
    });
  });

  test('CR-8 the generated token has 256 random bits, is made once, 0600, and found again', async () => {
    using state = stateDir();
    expect(await readGeneratedToken(state.paths)).toEqual({ state: 'unset' });
    expect(makeGeneratedToken(state.paths)).toBe(true);
    const first = await readGeneratedToken(state.paths);
    expect(first).toEqual({ state: 'value', value: expect.stringMatching(/^ocg_/), source: 'the generated token' });
    expect(Buffer.from(first.state === 'value' ? first.value.slice(4) : '', 'base64url').length).toBe(32);
    expect(makeGeneratedToken(state.paths)).toBe(false);
    expect(await readGeneratedToken(state.paths)).toEqual(first);
    expect(new Set(Array.from({ length: 100 }, newToken)).size).toBe(100);
    if (process.platform === 'win32') return;
    expect(statSync(state.paths.tokenPath).mode & 0o777).toBe(0o600);
    expect(statSync(state.paths.gatewayDir).mode & 0o777).toBe(0o700);
    chmodSync(state.paths.tokenPath, 0o644);
    expect(reason(await readGeneratedToken(state.paths))).toContain('chmod 600');
  });

  test('CR-8 a file that holds anything else guards nothing, and is left', async () => {
    using state = stateDir();
    mkdirSync(state.paths.gatewayDir, { mode: 0o700 });
    for (const text of ['', 'changeme', `${newToken()}x`, `${newToken()}\n${newToken()}`]) {
      writeFileSync(state.paths.tokenPath, text, { mode: 0o600 });
      expect(reason(await readGeneratedToken(state.paths))).toContain('remove it');
      expect(makeGeneratedToken(state.paths)).toBe(false);
      expect(readFileSync(state.paths.tokenPath, 'utf8')).toBe(text);
    }
  });

  test.skipIf(process.platform === 'win32')('CR-8 a link in its place is not replaced', () => {
    using state = stateDir();
    mkdirSync(state.paths.gatewayDir, { mode: 0o700 });
    symlinkSync(join(state.dir, 'elsewhere'), state.paths.tokenPath);
    expect(makeGeneratedToken(state.paths)).toBe(false);
  });
});
