import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { freePort } from '../support/free-port.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { ownerCall } from '../support/knocker.ts';
import { startScriptedProvider } from '../support/scripted-provider.ts';
import { until } from '../support/until.ts';
import { type ConnectOptions, connect, newDevice, tryConnect } from '../support/wire.ts';

/** The door of the booted product: what is revoked stays revoked, and an answer comes before what it causes. */

const FIRST = 'a-token-of-this-test-000000000000001';
const SECOND = 'a-token-of-this-test-000000000000002';
const BEARER = (token: string) => ({ headers: { Authorization: `Bearer ${token}` } });

const models = async (gateway: TestGateway, secret: string): Promise<number> =>
  (await fetch(`${gateway.httpUrl}/v1/models`, BEARER(secret))).status;
const edit = (gateway: TestGateway, text: string): void => writeFileSync(join(gateway.stateDir, 'openclaw.json'), text, { mode: 0o600 });
const config = (gateway: object): string =>
  JSON.stringify({ gateway: { http: { endpoints: { chatCompletions: { enabled: true } } }, ...gateway } });

/** A port that somebody else holds. */
async function takenPort(): Promise<{ port: number } & AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

describe('AU-120: what is revoked beside a change that is refused', () => {
  /** Goes on for longer than two readings of secret files. */
  async function staysOut(gateway: TestGateway, secret: string, socket: { readonly closed: unknown }): Promise<void> {
    await until(async () => (await models(gateway, secret)) === 401, 5_000);
    await until(() => socket.closed !== undefined, 5_000);
    const end = performance.now() + 4_000;
    await until(async () => {
      expect(await models(gateway, secret)).toBe(401);
      return performance.now() > end;
    });
    const { client, res } = await tryConnect(gateway.url, { auth: { token: secret } });
    await client[Symbol.asyncDispose]();
    expect(res.ok).toBe(false);
  }

  test('the token is taken out, and the port of the same edit is taken', async () => {
    await using taken = await takenPort();
    const port = await freePort();
    await using gateway = await startTestGateway({ config: config({ port, auth: { token: FIRST } }), portOfConfig: true });
    await using client = await connect(gateway.url, { auth: { token: FIRST } });
    edit(gateway, config({ port: taken.port }));
    await staysOut(gateway, FIRST, client);
    expect(await models(gateway, gateway.token())).toBe(200);
    // A later wrong text, and one that may not start.
    edit(gateway, '{ not json');
    edit(gateway, config({ bind: 'lan', auth: { token: 'changeme' } }));
    await staysOut(gateway, FIRST, client);
    expect(await models(gateway, gateway.token())).toBe(200);
    // Taken back whole, it is as it was.
    edit(gateway, config({ port, auth: { token: FIRST } }));
    await until(async () => (await models(gateway, FIRST)) === 200);
    expect(await models(gateway, gateway.token())).toBe(401);
  });

  test('it goes on being followed while a restart waits for a running turn', async () => {
    await using provider = await startScriptedProvider();
    const models = { providers: { stub: { baseUrl: provider.url, apiKey: 'k', api: 'openai-completions', models: [{ id: 'm' }] } } };
    const text = (gateway: object): string => JSON.stringify({ models, agents: { defaults: { model: 'stub/m' } }, gateway });
    await using gateway = await startTestGateway({ config: text({ auth: { token: FIRST } }) });
    const device = newDevice();
    await using client = await connect(gateway.url, { auth: { token: FIRST } });
    await using runs = await connect(gateway.url, { auth: { token: FIRST }, device });
    const { deviceToken } = runs.hello.auth;
    await using own = await connect(gateway.url, { auth: { deviceToken }, device });
    await own.call('chat.send', { sessionKey: 'main', message: 'TEST:tokens n=150 delay=100', idempotencyKey: 'long' });
    await own.event('chat');
    edit(gateway, text({ auth: { token: FIRST }, controlUi: { basePath: '/claw' } }));
    await until(async () => (await fetch(`${gateway.httpUrl}/healthz`).catch(() => undefined)) === undefined);
    expect(client.closed).toBeUndefined();
    edit(gateway, text({ auth: { token: SECOND }, controlUi: { basePath: '/claw' } }));
    expect((await client.closing(3_000)).code).toBe(4001);
    expect((await runs.closing(3_000)).code).toBe(4001);
    expect(own.closed).toBeUndefined();
  });

  test('token to password with a bind that is refused; two edits 100 ms apart', async () => {
    await using gateway = await startTestGateway({ config: config({ auth: { token: FIRST } }) });
    await using client = await connect(gateway.url, { auth: { token: FIRST } });
    const bind = { bind: 'custom', customBindHost: '203.0.113.77' };
    const password = 'a pass phrase of this test';
    edit(gateway, config({ ...bind, auth: { mode: 'password', password } }));
    await staysOut(gateway, FIRST, client);
    expect(await models(gateway, password)).toBe(200);
    await using second = await connect(gateway.url, { auth: { password } });
    edit(gateway, config({ ...bind, auth: { token: FIRST } }));
    await new Promise((resolve) => setTimeout(resolve, 100));
    edit(gateway, config({ ...bind, auth: { token: SECOND } }));
    await staysOut(gateway, password, second);
    await until(async () => (await models(gateway, SECOND)) === 200);
    expect(await models(gateway, FIRST)).toBe(401);
  });
});

describe('PA-50: the answer of what ends its own connection', () => {
  const CASES = [
    ['device.token.rotate', { role: 'operator' }, ['token', 'tokenDelivery']],
    ['device.token.revoke', { role: 'operator' }, ['revokedAtMs']],
    ['device.pair.remove', {}, ['deviceId']],
  ] as const;

  test.each(CASES)('%s', async (method, more, keys) => {
    await using gateway = await startTestGateway({ config: config({ auth: { token: FIRST } }) });
    for (const protocol of [3, 4] as const) {
      const device = newDevice();
      const options: ConnectOptions = { protocol, device, auth: { token: FIRST } };
      await using first = await connect(gateway.url, options);
      await using second = await connect(gateway.url, { protocol, device, auth: { deviceToken: first.hello.auth.deviceToken } });
      await using bystander = await connect(gateway.url, { auth: { token: FIRST }, device: newDevice() });
      const answer = await second.call(method, { deviceId: device.id, ...more });
      expect(Object.keys(answer)).toEqual(expect.arrayContaining([...keys]));
      expect((await second.closing(2_000)).code).toBe(4001);
      expect((await first.closing(2_000)).code).toBe(4001);
      expect(bystander.closed).toBeUndefined();
      if (method === 'device.token.rotate')
        await (await connect(gateway.url, { protocol, device, auth: { deviceToken: answer.token } }))[Symbol.asyncDispose]();
    }
  });

  test('PA-56: rotations of one device that come at once leave it one token that works', async () => {
    await using gateway = await startTestGateway({ config: config({ auth: { token: FIRST } }) });
    for (let round = 0; round < 5; round++) {
      const device = newDevice();
      const first = await connect(gateway.url, { device, auth: { token: FIRST } });
      const { deviceToken } = first.hello.auth;
      await first[Symbol.asyncDispose]();
      await using one = await connect(gateway.url, { device, auth: { deviceToken } });
      await using two = await connect(gateway.url, { device, auth: { deviceToken } });
      const rotate = { deviceId: device.id, role: 'operator' };
      const answers = await Promise.allSettled([one, one, two].map((client) => client.call('device.token.rotate', rotate)));
      const tokens = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.token] : []));
      expect(tokens).toHaveLength(1);
      await (await connect(gateway.url, { device, auth: { deviceToken: tokens[0] } }))[Symbol.asyncDispose]();
    }
  });

  test('PA-51: another device, and a caller with the secret alone, get no text of a token; the admin socket does', async () => {
    await using gateway = await startTestGateway({ config: config({ auth: { token: FIRST } }) });
    const device = newDevice();
    await using _ = await connect(gateway.url, { device, auth: { token: FIRST } });
    for (const options of [{ auth: { token: FIRST } }, { auth: { token: FIRST }, device: newDevice() }]) {
      await using other = await connect(gateway.url, options);
      const answer = await other.call('device.token.rotate', { deviceId: device.id, role: 'operator' });
      expect([answer.token, answer.tokenDelivery]).toEqual([undefined, 'withheld-cross-device']);
    }
    const answer = await ownerCall(gateway.stateDir, 'device.token.rotate', { deviceId: device.id, role: 'operator' });
    expect(answer).toMatchObject({ token: expect.any(String), tokenDelivery: 'in-band' });
  });

  test('PA-25 operator.pairing alone removes a device that holds more', async () => {
    await using gateway = await startTestGateway({ config: config({ auth: { token: FIRST } }) });
    const device = newDevice();
    await using strong = await connect(gateway.url, { device, auth: { token: FIRST } });
    await using weak = await connect(gateway.url, { device: newDevice(), scopes: ['operator.pairing'], auth: { token: FIRST } });
    expect(await weak.request('device.token.revoke', { deviceId: device.id, role: 'operator' })).toMatchObject({ ok: false });
    expect(await weak.call('device.pair.remove', { deviceId: device.id })).toEqual({ deviceId: device.id });
    expect((await strong.closing(2_000)).code).toBe(4001);
  });
});
