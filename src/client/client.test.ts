import { expect, test } from 'vitest';
import { type FakeNetwork, fakeNetwork, helloOk } from '../../test/support/fake-socket.ts';
import { type ManualClock, manualClock, settled } from '../../test/support/manual-clock.ts';
import { type ClientOptions, GatewayClient } from './client.ts';
import type { Credentials, StoredToken, TokenStore } from './credentials.ts';
import type { Gap } from './events.ts';

const URL_ = 'ws://127.0.0.1:18789';
const device = { id: 'd1', publicKey: 'pk', sign: (text: string) => `signed:${text}` };

function memoryTokens(initial?: StoredToken): TokenStore & { held: StoredToken | undefined } {
  const store = {
    held: initial,
    read: () => store.held,
    write: (_e: string, _r: string, token: StoredToken) => {
      store.held = token;
    },
    remove: () => {
      store.held = undefined;
    },
  };
  return store;
}

function setup(
  options: Partial<ClientOptions> & { credentials?: Credentials; trusted?: boolean; door?: 'ws' | 'admin'; pings?: boolean } = {},
) {
  const clock = manualClock();
  const net = fakeNetwork({ pings: options.pings ?? true });
  const client = new GatewayClient({
    openSocket: net.openSocket,
    clock,
    target: () => ({
      endpoint: { door: options.door ?? 'ws', url: URL_ },
      credentials: options.credentials ?? { token: 'secret' },
      trusted: options.trusted ?? true,
    }),
    hello: {
      client: { id: 'cli', mode: 'cli', version: '1', platform: 'linux' },
      role: 'operator',
      scopes: ['operator.read', 'operator.write'],
    },
    random: () => 0.5,
    ...options,
  });
  return { clock, net, client };
}

async function admit(net: FakeNetwork, extra?: Record<string, unknown>): Promise<void> {
  await settled();
  net.peer.open();
  net.peer.challenge();
  await settled();
  net.peer.answer('connect', helloOk(extra));
  await settled();
}

async function refuse(net: FakeNetwork, code: string, error: Record<string, unknown> = {}): Promise<void> {
  await settled();
  net.peer.open();
  net.peer.challenge();
  await settled();
  net.peer.refuse('connect', { code: 'INVALID_REQUEST', message: 'unauthorized', details: { code }, ...error });
  net.peer.close({ code: 1008, reason: 'unauthorized' });
  await settled();
}

const connectAuth = (net: FakeNetwork): unknown => (net.peer.request('connect')?.['params'] as Record<string, unknown>)?.['auth'];

test('CL-1 says connect only after the challenge, with a signed v3 proof over its nonce', async () => {
  const { net, client } = setup({ device });
  const connecting = client.connect();
  await settled();
  net.peer.open();
  await settled();
  expect(net.peer.sent).toEqual([]);
  net.peer.challenge('n-7', 1234);
  await settled();
  expect(net.peer.request('connect')?.['params']).toMatchObject({
    minProtocol: 3,
    maxProtocol: 4,
    auth: { token: 'secret' },
    device: {
      id: 'd1',
      nonce: 'n-7',
      signedAt: 1234,
      signature: 'signed:v3|d1|cli|cli|operator|operator.read,operator.write|1234|secret|n-7|linux|',
    },
  });
  net.peer.answer('connect', helloOk());
  expect(await connecting).toMatchObject({ ok: true, value: { protocol: 4 } });
  expect(client.state.kind).toBe('open');
});

test('CL-2 the admin socket needs no handshake', async () => {
  const { net, client } = setup({ door: 'admin' });
  const connecting = client.connect();
  await settled();
  net.peer.open();
  expect(await connecting).toEqual({ ok: true, value: undefined });
  const answer = client.request('health');
  expect(net.peer.request('health')).toEqual({ type: 'req', id: '1', method: 'health' });
  net.peer.answer('health', { ok: true });
  expect(await answer).toEqual({ ok: true, value: { ok: true } });
});

test.each([
  ['open', 0, 'open'],
  ['challenge', 1, 'challenge'],
  ['hello', 2, 'hello'],
])('CL-3 a gateway that falls silent at %s is a timeout naming that stage', async (_name, steps, stage) => {
  const { net, client, clock } = setup();
  const connecting = client.connect();
  await settled();
  if (steps > 0) net.peer.open();
  if (steps > 1) net.peer.challenge();
  await clock.advance(15_000);
  expect(await connecting).toEqual({ ok: false, error: { kind: 'timeout', ms: 15_000, stage } });
  expect(net.peer.closedByClient).toBeDefined();
  expect(clock.pending).toBe(0);
});

test('CL-3 what is no gateway is told apart from a silent one', async () => {
  const { net, client } = setup();
  const connecting = client.connect();
  await settled();
  net.peer.open();
  net.peer.text('220 smtp.example ESMTP');
  expect(await connecting).toMatchObject({ ok: false, error: { kind: 'garbled' } });
});

test('CL-4 requests are answered by id, in any order; a late or foreign answer is dropped', async () => {
  const { net, client } = setup();
  void client.connect();
  await admit(net);
  const first = client.call('a');
  const second = client.call('b');
  net.peer.text('{"type":"res","id":"999","ok":true}');
  net.peer.answer('b', 2);
  net.peer.answer('b', 3);
  net.peer.answer('a', 1);
  expect(await second).toEqual({ ok: true, value: 2 });
  expect(await first).toEqual({ ok: true, value: 1 });
});

test('CL-4 expectFinal waits past "accepted", handing it to onProgress', async () => {
  const { net, client, clock } = setup();
  void client.connect();
  await admit(net);
  const seen: unknown[] = [];
  const answer = client.call('agent', {}, { expectFinal: true, timeoutMs: 1000, onProgress: (p) => seen.push(p) });
  await clock.advance(900);
  net.peer.answer('agent', { status: 'accepted', runId: 'r' });
  await clock.advance(900);
  net.peer.answer('agent', { status: 'ok', runId: 'r' });
  expect(await answer).toEqual({ ok: true, value: { status: 'ok', runId: 'r' } });
  expect(seen).toEqual([{ status: 'accepted', runId: 'r' }]);
});

test('CL-4 timeout, abort and close each end a request once', async () => {
  const { net, client, clock } = setup();
  void client.connect();
  await admit(net);
  const slow = client.call('slow', {}, { timeoutMs: 500 });
  const control = new AbortController();
  const stopped = client.call('stopped', {}, { signal: control.signal });
  const cut = client.call('cut', {}, { timeoutMs: 0 });
  await clock.advance(500);
  expect(await slow).toEqual({ ok: false, error: { kind: 'timeout', ms: 500, stage: 'answer' } });
  control.abort();
  expect(await stopped).toEqual({ ok: false, error: { kind: 'aborted' } });
  net.peer.close({ code: 1012, reason: 'service restart' });
  expect(await cut).toEqual({ ok: false, error: { kind: 'closed', code: 1012, reason: 'service restart' } });
  expect(await client.call('later')).toEqual({ ok: false, error: { kind: 'offline' } });
});

test('CL-5 comes back by itself: 1 s doubled to 30 s, drawn; the count starts anew after a success', async () => {
  const { net, client, clock } = setup({ reconnect: true });
  void client.connect();
  await admit(net);
  net.peer.close({ code: 1012, reason: 'service restart' });
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) {
    if (client.state.kind !== 'waiting') throw new Error(client.state.kind);
    const wait = client.state.untilMs - clock.now();
    waits.push(wait);
    await clock.advance(wait);
    net.peer.close({ error: 'connect ECONNREFUSED', errno: 'ECONNREFUSED' });
    await settled();
  }
  expect(waits).toEqual([750, 750, 1500, 3000, 6000, 12_000, 22_500]);
  await clock.advance(30_000);
  await admit(net);
  net.peer.close();
  expect(client.state).toMatchObject({ kind: 'waiting', attempt: 1 });
});

test('CL-5 asks for address and credential anew at each attempt', async () => {
  let n = 0;
  const { net, client, clock } = setup({
    reconnect: true,
    target: () => ({ endpoint: { door: 'ws', url: `ws://127.0.0.1:${++n}` }, credentials: { token: `t${n}` }, trusted: true }),
  });
  void client.connect();
  await admit(net);
  net.peer.close();
  await clock.advance(1000);
  await admit(net);
  expect(net.peers.map((p) => p.endpoint.url)).toEqual(['ws://127.0.0.1:1', 'ws://127.0.0.1:2']);
  expect(connectAuth(net)).toEqual({ token: 't2' });
});

test.each([
  'AUTH_TOKEN_MISSING',
  'AUTH_BOOTSTRAP_TOKEN_INVALID',
  'AUTH_PASSWORD_MISSING',
  'AUTH_PASSWORD_MISMATCH',
  'AUTH_RATE_LIMITED',
  'PAIRING_REQUIRED',
  'CONTROL_UI_DEVICE_IDENTITY_REQUIRED',
  'DEVICE_IDENTITY_REQUIRED',
  'AUTH_TOKEN_MISMATCH',
])('CL-6 %s pauses: only a person can help; connect() tries again', async (code) => {
  const { net, client, clock } = setup({ reconnect: true });
  void client.connect();
  await refuse(net, code);
  expect(client.state.kind).toBe('paused');
  await clock.advance(120_000);
  expect(net.peers).toHaveLength(1);
  void client.connect();
  await admit(net);
  expect(client.state.kind).toBe('open');
});

test('CL-6 a gateway that is still starting is asked again when it said to', async () => {
  const { net, client, clock } = setup({ reconnect: true });
  void client.connect();
  await refuse(net, 'startup-sidecars', { code: 'UNAVAILABLE', retryable: true, retryAfterMs: 4000 });
  expect(client.state).toMatchObject({ kind: 'waiting', untilMs: clock.now() + 4000 });
});

test('CL-7 one retry with the stored device token after AUTH_TOKEN_MISMATCH, to a trusted endpoint', async () => {
  const tokens = memoryTokens({ token: 'dev', scopes: [] });
  const { net, client } = setup({ device, tokens });
  const connecting = client.connect();
  await refuse(net, 'AUTH_TOKEN_MISMATCH');
  expect(net.peers).toHaveLength(2);
  await admit(net);
  expect(connectAuth(net)).toEqual({ deviceToken: 'dev' });
  expect((await connecting).ok).toBe(true);
});

test.each([
  ['an untrusted endpoint', { trusted: false }],
  ['an explicit token', { credentials: { token: 'secret', explicit: true } }],
  ['no key to prove it', { device: undefined }],
])('CL-7 no retry with the stored token: %s', async (_name, extra) => {
  const tokens = memoryTokens({ token: 'dev', scopes: [] });
  const { net, client } = setup({ device, tokens, ...extra } as Partial<ClientOptions>);
  void client.connect();
  await refuse(net, 'AUTH_TOKEN_MISMATCH');
  expect(net.peers).toHaveLength(1);
  expect(JSON.stringify(net.peer.sent)).not.toContain('"dev"');
});

test('CL-8 a stored device token is sent where there is no secret, kept when issued anew, dropped when refused', async () => {
  const tokens = memoryTokens({ token: 'dev', scopes: [] });
  const { net, client } = setup({ device, tokens, credentials: {} });
  void client.connect();
  await admit(net, { auth: { role: 'operator', scopes: ['operator.read'], deviceToken: 'dev-2' } });
  expect(connectAuth(net)).toEqual({ deviceToken: 'dev' });
  expect(tokens.held).toEqual({ token: 'dev-2', scopes: ['operator.read'] });
  net.peer.close();
  void client.connect();
  await refuse(net, 'AUTH_DEVICE_TOKEN_MISMATCH');
  expect(tokens.held).toBeUndefined();
});

test('CL-8 an explicit credential is sent alone', async () => {
  const { net, client } = setup({
    device,
    tokens: memoryTokens({ token: 'dev', scopes: [] }),
    credentials: { password: 'typed', explicit: true },
  });
  void client.connect();
  await admit(net);
  expect(connectAuth(net)).toEqual({ password: 'typed' });
});

async function openWith(options: Parameters<typeof setup>[0]): Promise<{ clock: ManualClock; net: FakeNetwork; client: GatewayClient }> {
  const all = setup(options);
  void all.client.connect();
  await settled();
  if (options?.door === 'admin') all.net.peer.open();
  else await admit(all.net);
  await settled();
  return all;
}

test('CL-9 silence is no death while pings are answered', async () => {
  const { clock, client, net } = await openWith({ reconnect: true });
  await clock.advance(10 * 60_000);
  expect(client.state.kind).toBe('open');
  expect(net.peers).toHaveLength(1);
});

test('CL-9 two pings without an answer are, within a minute', async () => {
  const { clock, client, net } = await openWith({ reconnect: true });
  net.peer.pongs = false;
  const cut = client.call('x', {}, { timeoutMs: 0 });
  await clock.advance(60_000);
  expect(net.peers[0]?.closedByClient).toEqual({ code: 4000, reason: 'ping timeout' });
  expect(await cut).toMatchObject({ ok: false, error: { kind: 'closed' } });
  expect(net.peers.length).toBeGreaterThan(1);
});

test('CL-9 where the transport has no ping, the request health asks', async () => {
  const { clock, client, net } = await openWith({ reconnect: true, door: 'admin', pings: false });
  await clock.advance(20_000);
  expect(net.peer.request('health')).toBeDefined();
  net.peer.answer('health', { ok: true });
  await clock.advance(39_000);
  expect(client.state.kind).toBe('open');
  await clock.advance(25_000);
  expect(net.peers).toHaveLength(2);
});

test('CL-9 after a sleep one unanswered ping is enough', async () => {
  const { clock, net } = await openWith({ reconnect: true });
  net.peer.pongs = false;
  clock.jump(3_600_000);
  await clock.advance(20_000 + 5_000);
  expect(net.peers[0]?.closedByClient?.code).toBe(4000);
});

test('CL-10 a hole in the numbers is reported on protocol 4, and usual on protocol 3', async () => {
  for (const [protocol, expected] of [
    [
      4,
      [
        { expected: 1, received: 4 },
        { expected: 6, received: 8 },
      ],
    ],
    [3, []],
  ] as const) {
    const { net, client } = setup();
    const gaps: Gap[] = [];
    const ticks: unknown[] = [];
    client.onGap((gap) => gaps.push(gap));
    client.on('tick', (payload) => ticks.push(payload.ts));
    void client.connect();
    await admit(net, { protocol });
    for (const seq of [4, 5, 8, 9]) net.peer.event('tick', { ts: seq }, seq);
    net.peer.event('tick', { ts: 0 });
    expect(gaps).toEqual(expected);
    expect(ticks).toEqual([4, 5, 8, 9, 0]);
  }
});

test('CL-14 what comes in the same segment as hello-ok arrives, in order, also for who begins to listen when it is open', async () => {
  const { net, client } = setup();
  const seen: unknown[] = [];
  const gaps: Gap[] = [];
  client.onGap((gap) => gaps.push(gap));
  client.onState(({ kind }) => {
    if (kind === 'open') client.on('tick', ({ ts }) => seen.push(ts));
  });
  void client.connect();
  await settled();
  net.peer.open();
  net.peer.challenge();
  await settled();
  net.peer.answer('connect', helloOk({ protocol: 4 }));
  for (const seq of [1, 2, 3]) net.peer.event('tick', { ts: seq }, seq);
  await settled();
  net.peer.event('tick', { ts: 4 }, 4);
  expect(seen).toEqual([1, 2, 3, 4]);
  expect(gaps).toEqual([]);
});

test('CL-11 connects at the same time share one attempt; close during one ends it', async () => {
  const { net, client, clock } = setup({ reconnect: true });
  const both = [client.connect(), client.connect()];
  await settled();
  expect(net.peers).toHaveLength(1);
  client.close();
  expect((await Promise.all(both)).map((o) => !o.ok && o.error.kind)).toEqual(['aborted', 'aborted']);
  await clock.advance(120_000);
  expect(net.peers).toHaveLength(1);
  expect(client.state.kind).toBe('closed');
  expect(clock.pending).toBe(0);
});
