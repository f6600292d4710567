import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ConnectOptions, connect, connectParams, type Frame, newDevice, RawClient, type TestDevice } from '../support/wire.ts';
import { Differences } from './support/differences.ts';
import { type House, openHouse } from './support/house.ts';
import { type Line, recording, type Value } from './support/recording.ts';
import { expectDenseSeq } from './support/replay.ts';
import { shapeDifferences } from './support/shape.ts';
import { expectTranscript, sanitiser } from './support/transcript.ts';

/**
 * Every recorded case of refusing and closing, asked of this gateway. Where it answers otherwise, the case stands in `DEVIATIONS` with
 * what it answers and which decision says so.
 */

/** What came of it: the answer to `connect` (or to the first request) and the close, `open` when there was none. */
interface Outcome {
  readonly res?: Value;
  readonly close: { readonly code: number; readonly reason: string } | 'open';
}

const ANY = expect.anything();
const admitted = (more: Value = {}): Value => ({ res: { ok: true, ...more }, close: 'open' });
const refused = (code: string, detail: string, close = 1008): Value => ({
  res: { code, details: { code: detail } },
  close: { code: close },
});
const TOLERANT = 'unknown keys of connect are ignored, any bounded client id and mode is accepted and is never authority (decision 1)';

/** By case name, of one line (`3:…`, `9:…`) or of both. */
const DEVIATIONS: Readonly<Record<string, { readonly outcome: Value; readonly reason: string }>> = {
  '3:timeout': {
    outcome: { close: { code: 1000, reason: '' } },
    reason: 'after 15 s, as the newer line: a slow link needs more than 3 (decision 12)',
  },
  '3:proto-low': {
    outcome: {
      res: { code: 'INVALID_REQUEST', message: 'protocol mismatch', details: { code: 'PROTOCOL_MISMATCH', expectedProtocol: 3 } },
      close: { code: 1002 },
    },
    reason: 'the same with more details; nothing is missing',
  },
  '3:proto-high': {
    outcome: {
      res: { code: 'INVALID_REQUEST', message: 'protocol mismatch', details: { code: 'PROTOCOL_MISMATCH', expectedProtocol: 4 } },
      close: { code: 1002 },
    },
    reason: 'protocol 4 is spoken here too, and is nearer to what was asked for',
  },
  '9:proto-low': {
    outcome: {
      res: { code: 'INVALID_REQUEST', message: 'protocol mismatch', details: { code: 'PROTOCOL_MISMATCH', expectedProtocol: 3 } },
      close: { code: 1002 },
    },
    reason: 'protocol 3 is spoken here too, and is nearer to what was asked for',
  },
  '3:proto-3-4': { outcome: admitted({ protocol: 4 }), reason: 'min(maxProtocol, 4) is answered (decision 1)' },
  '3:proto-4': { outcome: admitted({ protocol: 4 }), reason: 'both lines are served (decision 1)' },
  '9:proto-3': { outcome: admitted({ protocol: 3 }), reason: 'both lines are served (decision 1)' },
  'proto-3-node': {
    outcome: refused('NOT_PAIRED', 'PAIRING_REQUIRED'),
    reason: 'a new node needs approval or a code, always (table of who gets in)',
  },
  '9:proto-3-probe': { outcome: admitted({ protocol: 3 }), reason: 'the negotiated version is spoken, to probes too (decision 1)' },
  'unk-top': { outcome: admitted(), reason: TOLERANT },
  'unk-client': { outcome: admitted(), reason: TOLERANT },
  'unk-auth': { outcome: admitted(), reason: TOLERANT },
  'unk-device': { outcome: admitted(), reason: TOLERANT },
  'unk-client-id': { outcome: admitted(), reason: TOLERANT },
  'unk-client-mode': { outcome: admitted(), reason: TOLERANT },
  'unk-scope': { outcome: admitted({ auth: { scopes: ['operator.read'] } }), reason: 'unknown scopes are dropped (decision 1)' },
  '3:wrong-password': {
    outcome: refused('INVALID_REQUEST', 'AUTH_TOKEN_MISMATCH'),
    reason: 'the secret is taken in either field, so a wrong one there is a wrong one (decision 4)',
  },
  '3:token-as-password': { outcome: admitted(), reason: 'the shared secret is taken in auth.token or auth.password (decision 4)' },
  '9:nodev-ui': {
    outcome: admitted({ auth: { scopes: ['operator.admin', ANY, ANY, ANY, ANY] } }),
    reason: 'local, secret, no device, no Origin: requested scopes; id and mode are no authority (decision 1, table)',
  },
  '9:nodev-probe': { outcome: admitted({ auth: { scopes: ['operator.admin', ANY, ANY, ANY, ANY] } }), reason: 'the same' },
  'scope-upgrade': {
    outcome: { first: { scopes: ['operator.read'] }, up: { res: { ok: true }, close: 'open' }, up2: { res: { ok: true }, close: 'open' } },
    reason:
      'asking for more than approved connects with the intersection and files the rest; with the secret, locally, it is granted (decision 9, table)',
  },
  'remove-live': {
    outcome: { close: { code: 4001, reason: 'device removed' }, re: { close: { code: 1008 } } },
    reason: 'revocation closes live sockets within 2 s, as in the newer line (B7)',
  },
};

const DIFFERENCES = new Differences([
  {
    line: '9',
    in: 'auth',
    at: ['recoveryScope', 'recoveryMigrationAllowed'],
    reason: 'moving an outbox of unsent messages between browser profiles: none is kept for a gateway that names no scope',
  },
]);

let house: House;
let token: string;
/** What becomes of a socket that never says anything. No protocol was spoken yet, so one socket answers for both lines. */
let silence: Promise<Outcome>;
beforeAll(async () => {
  house = await openHouse();
  token = house.gateway.token();
  silence = beSilent();
});
async function beSilent(): Promise<Outcome> {
  await using client = new RawClient(house.gateway.url);
  const from = performance.now();
  const close = await client.closing(30_000);
  expect(performance.now() - from).toBeGreaterThan(14_000);
  return { close };
}
afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const protocolOf = (line: Line): 3 | 4 => (line === '3' ? 3 : 4);

/** One raw frame on a fresh connection. */
async function raw(data: string | Buffer): Promise<Outcome> {
  await using client = new RawClient(house.gateway.url);
  await client.event('connect.challenge');
  client.ws.send(data);
  const close = await client.closing();
  const res = client.frames.find((f) => f.type === 'res');
  return { ...(res === undefined ? {} : { res }), close };
}

interface Knock extends ConnectOptions {
  /** The finished params, changed. */
  readonly change?: (params: Value) => Value;
}

/** A `connect`, and what came of it. */
async function knock(
  line: Line,
  { change = (params: Value) => params, ...options }: Knock,
): Promise<Outcome & { readonly client: RawClient }> {
  const client = new RawClient(house.gateway.url, options);
  const challenge = await client.event('connect.challenge');
  const params = change(connectParams(challenge, { protocol: protocolOf(line), auth: { token }, caps: [], ...options }));
  const res: Frame = await client.request('connect', params);
  if (res.ok) {
    const { auth, protocol } = res.payload;
    return { client, res: { ok: true, ...(auth === undefined ? {} : { auth }), protocol }, close: 'open' };
  }
  return { client, res: res.error, close: await client.closing() };
}
async function outcomeOf(line: Line, options: Knock): Promise<Outcome> {
  const { client, ...outcome } = await knock(line, options);
  await client[Symbol.asyncDispose]();
  return outcome;
}

const cli = { id: 'cli', mode: 'cli' };
const panel = { id: 'openclaw-control-ui', mode: 'webchat' };
const withDevice = (more: Knock = {}): Knock => ({ device: newDevice(), ...more });
const put =
  (path: 'root' | 'client' | 'auth' | 'device', key: string, value: unknown) =>
  (params: Value): Value =>
    path === 'root' ? { ...params, [key]: value } : { ...params, [path]: { ...params[path], [key]: value } };
const drop =
  (path: 'root' | 'client' | 'device', key: string) =>
  (params: Value): Value => {
    const { [key]: _, ...rest } = path === 'root' ? params : params[path];
    return path === 'root' ? rest : { ...params, [path]: rest };
  };
/** Bytes turned, so that it is no signature of anything. */
const spoiled = (text: string): string => Buffer.from(Buffer.from(text, 'base64url').map((byte) => byte ^ 0xff)).toString('base64url');

type Run = (line: Line) => Promise<Value>;
const simple =
  (options: () => Knock): Run =>
  (line) =>
    outcomeOf(line, options());
const request =
  (frame: unknown): Run =>
  () =>
    raw(JSON.stringify(frame));

/** How each recorded case is asked. */
const CASES: Readonly<Record<string, Run>> = {
  timeout: () => silence,
  'binary-pre': () => raw(Buffer.from([1, 2, 3])),
  'json-pre': () => raw('not json'),
  'array-pre': request([]),
  'first-not-connect': request({ type: 'req', id: 'a', method: 'health' }),
  'first-event': request({ type: 'event', event: 'x' }),
  'bad-params': request({ type: 'req', id: 'a', method: 'connect', params: {} }),
  'oversize-pre': () => raw(JSON.stringify({ type: 'req', id: 'a', method: 'connect', params: { pad: 'x'.repeat(70_000) } })),
  'oversize-post': async (line) => {
    await using client = await connect(house.gateway.url, { protocol: protocolOf(line), auth: { token } });
    client.ws.on('error', () => {});
    client.ws.send('x'.repeat(25 * 1024 * 1024 + 1));
    return { hello: true, close: await client.closing() };
  },
  'proto-low': simple(() => withDevice({ protocol: [1, 2] })),
  'proto-high': simple(() => withDevice({ protocol: [5, 6] })),
  'proto-3-4': simple(() => withDevice({ protocol: [3, 4] })),
  'proto-3': simple(() => withDevice({ protocol: 3 })),
  'proto-4': simple(() => withDevice({ protocol: 4 })),
  'proto-3-node': simple(() => withDevice({ protocol: 3, role: 'node', scopes: [], client: { id: 'node-host', mode: 'node' } })),
  'proto-3-probe': simple(() => ({ protocol: 3, client: { id: 'cli', mode: 'probe' } })),
  'unk-top': simple(() => withDevice({ change: put('root', 'zzz', 1) })),
  'unk-client': simple(() => withDevice({ change: put('client', 'zzz', 1) })),
  'unk-auth': simple(() => withDevice({ change: put('auth', 'zzz', 'x') })),
  'unk-device': simple(() => withDevice({ change: put('device', 'zzz', 1) })),
  'unk-client-id': simple(() => withDevice({ client: { id: 'zzz' } })),
  'unk-client-mode': simple(() => withDevice({ client: { mode: 'zzz' } })),
  'unk-scope': simple(() => withDevice({ scopes: ['operator.read', 'operator.zzz', 'foo'] })),
  'unk-role': simple(() => withDevice({ role: 'zzz' })),
  'unk-cap': simple(() => withDevice({ caps: ['zzz'] })),
  'no-client-version': simple(() => withDevice({ change: drop('client', 'version') })),
  'empty-scopes': simple(() => withDevice({ scopes: [] })),
  'no-scopes': simple(() => withDevice({ change: drop('root', 'scopes') })),
  'no-role': simple(() => withDevice({ change: drop('root', 'role') })),
  'no-auth': simple(() => withDevice({ auth: {}, change: drop('root', 'auth') })),
  'wrong-token': simple(() => withDevice({ auth: { token: 'not-the-token-of-this-gateway' } })),
  'wrong-password': simple(() => withDevice({ auth: { password: 'not-the-password-of-it' } })),
  'token-as-password': simple(() => withDevice({ auth: { password: token } })),
  'wrong-devtoken': simple(() => withDevice({ auth: { deviceToken: 'not-a-token-of-a-device' } })),
  'wrong-bootstrap': simple(() => withDevice({ auth: { bootstrapToken: 'not-a-setup-code' } })),
  'empty-token': simple(() => withDevice({ auth: { token: '' } })),
  v9keys: simple(() =>
    withDevice({
      change: (params) =>
        put('root', 'modelCatalog', { sessionKey: 'main' })(put('client', 'buildId', 'b')(put('client', 'timeZone', 'UTC')(params))),
    }),
  ),
  'nodev-cli': simple(() => ({ client: cli })),
  'nodev-backend': simple(() => ({ client: { id: 'gateway-client', mode: 'backend' } })),
  'nodev-ui': simple(() => ({ client: { id: 'gateway-client', mode: 'ui' } })),
  'nodev-probe': simple(() => ({ client: { id: 'cli', mode: 'probe' } })),
  'nodev-controlui': simple(() => ({ client: panel })),
  'nodev-controlui-origin': simple(() => ({ client: panel, origin: `http://127.0.0.1:${house.gateway.port}` })),
  'origin-bad': simple(() => withDevice({ client: panel, origin: 'http://evil.example' })),
  'origin-bad-cli': simple(() => withDevice({ client: cli, origin: 'http://evil.example' })),
  'origin-null': simple(() => withDevice({ client: panel, origin: 'null' })),
  'nodev-node': simple(() => ({ role: 'node', scopes: [], client: { id: 'node-host', mode: 'node' } })),
  'sig-stale': (line) => signedOtherwise(line, ({ ts, nonce }) => ({ ts: ts - 600_000, nonce })),
  'sig-nonce': (line) => signedOtherwise(line, ({ ts }) => ({ ts, nonce: 'another-nonce' })),
  'sig-v2': simple(() => withDevice({ payload: 'v2' })),
  'sig-now': (line) => signedOtherwise(line, ({ nonce }) => ({ ts: Date.now(), nonce })),
  'sig-bad': simple(() => withDevice({ change: (params) => put('device', 'signature', spoiled(params.device.signature))(params) })),
  'sig-badid': simple(() => withDevice({ change: put('device', 'id', '0'.repeat(64)) })),
  'sig-badkey': simple(() => withDevice({ change: put('device', 'publicKey', 'not-a-key') })),
  'sig-nononce': simple(() => withDevice({ change: drop('device', 'nonce') })),
  'sig-emptynonce': simple(() => withDevice({ change: put('device', 'nonce', '') })),
  'scope-upgrade': async (line) => {
    const device = newDevice();
    const first = await outcomeOf(line, { device, scopes: ['operator.read'] });
    const more = ['operator.read', 'operator.admin'];
    const up = await outcomeOf(line, { device, scopes: more, auth: { deviceToken: first.res.auth.deviceToken } });
    const up2 = await outcomeOf(line, { device, scopes: more });
    return { first: first.res.auth, up, up2 };
  },
  'meta-change': async (line) => {
    const device = newDevice();
    await outcomeOf(line, { device });
    return outcomeOf(line, { device, client: { platform: 'darwin' } });
  },
  'remove-live': async (line) => {
    const device = newDevice();
    const { client, res } = await knock(line, { device });
    await using _ = client;
    await using admin = await connect(house.gateway.url, { protocol: protocolOf(line), auth: { token } });
    const from = performance.now();
    const r = await admin.call('device.pair.remove', { deviceId: device.id });
    const close = await client.closing();
    expect(performance.now() - from).toBeLessThan(2_000);
    const re = await outcomeOf(line, { device, auth: { deviceToken: res.auth.deviceToken } });
    return { r, close, re };
  },
};

/** Signed for another challenge than the one that was sent. */
async function signedOtherwise(
  line: Line,
  of: (challenge: { ts: number; nonce: string }) => { ts: number; nonce: string },
): Promise<Outcome> {
  const client = new RawClient(house.gateway.url);
  const challenge = await client.event('connect.challenge');
  const params = connectParams(of(challenge), { protocol: protocolOf(line), auth: { token }, device: newDevice() });
  const res: Frame = await client.request('connect', params);
  const outcome: Outcome = res.ok
    ? { res: { ok: true, auth: res.payload.auth, protocol: res.payload.protocol }, close: 'open' }
    : { res: res.error, close: await client.closing() };
  await client[Symbol.asyncDispose]();
  return outcome;
}

/** Recorded words are cut; what they say of setup codes and origins each line says in its own way. */
function sameWords(recorded: string, ours: string): boolean {
  if (/setup code|bootstrap token/.test(recorded)) return /^unauthorized: setup code invalid, expired/.test(ours);
  const cut = recorded.indexOf('…');
  return cut === -1 ? ours === recorded : ours.toLowerCase().startsWith(recorded.slice(0, Math.min(cut, 60)).toLowerCase());
}

function expectAsRecorded(line: Line, recorded: Value, ours: Value): void {
  const { cl, close: closed = cl, res } = recorded;
  if (closed === 'open') expect(ours.close).toBe('open');
  else {
    expect(ours.close.code).toBe(closed.code);
    expect(sameWords(closed.reason.replace(/<uuid\d+>/g, '…'), ours.close.reason), `${ours.close.reason} is not ${closed.reason}`).toBe(
      true,
    );
  }
  if (res === undefined) {
    expect(ours.res).toBeUndefined();
    return;
  }
  if (res.ok === true) {
    expect(ours.res).toMatchObject({ ok: true, protocol: res.protocol });
    if (res.auth === undefined) return;
    expect(DIFFERENCES.unexplained(line, 'auth', shapeDifferences(res.auth, ours.res.auth))).toEqual([]);
    expect(ours.res.auth.scopes).toEqual(res.auth.scopes);
    return;
  }
  const [want, got] = res.type === 'res' ? [res.error, ours.res.error] : [res, ours.res];
  if (res.type === 'res') expect(ours.res.id).toBe(res.id);
  expect(got.code).toBe(want.code);
  expect(sameWords(want.message, got.message), `${got.message} is not ${want.message}`).toBe(true);
  expect(shapeDifferences(want.details ?? {}, got.details ?? {})).toEqual([]);
  for (const key of ['code', 'authReason', 'canRetryWithDeviceToken', 'recommendedNextStep', 'reason']) {
    expect(got.details?.[key], key).toEqual(want.details?.[key]);
  }
}

const used = new Set<string>();
for (const line of ['3', '9'] as const) {
  describe(`WS-42 v${line}`, () => {
    const recorded = new Map(
      recording(`v${line}-close-and-refusals`).flatMap(({ case: name, result }): [string, Value][] =>
        typeof name === 'string' ? [[name, result]] : [],
      ),
    );
    // Cut from the recording of the newer line, described with it.
    const names = Object.keys(CASES).filter((name) => recorded.has(name) || DEVIATIONS[name] !== undefined || line === '9');
    const told = new Map<string, Value>();

    test.concurrent.each(names)('%s', { timeout: 40_000 }, async (name) => {
      const ours = await (CASES[name] as Run)(line);
      told.set(name, ours);
      const key = [`${line}:${name}`, name].find((candidate) => DEVIATIONS[candidate] !== undefined);
      if (key !== undefined) {
        used.add(key);
        expect(ours).toMatchObject(DEVIATIONS[key]?.outcome);
        return;
      }
      const want = recorded.get(name) ?? fromOtherLine(name);
      expectAsRecorded(line, want, ours);
    });

    test('every recorded case is asked', () => {
      expect([...recorded.keys()].filter((name) => CASES[name] === undefined)).toEqual([]);
    });

    test('transcript', () => {
      const clean = sanitiser(house.gateway);
      expectTranscript(
        `refusals/v${line}`,
        names.map((name) => clean({ case: name, ...told.get(name) })),
      );
    });
  });
}

/** Ten cases of the newer line were cut from its recording; both lines answer them alike but for the wording of pairing. */
function fromOtherLine(name: string): Value {
  const found = recording('v3-close-and-refusals').find((each) => each['case'] === name);
  if (found === undefined) throw new Error(`${name} was never recorded`);
  const result = found['result'] as Value;
  if (name !== 'meta-change') return result;
  return { res: { ...result.res, message: 'pairing required: …' }, close: { code: 1008, reason: 'pairing required: …' } };
}

describe('WS-42 after hello', () => {
  test.each([3, 4] as const)('protocol %s: what is wrong is said, and the socket stays', async (protocol) => {
    await using client = await connect(house.gateway.url, { protocol, auth: { token } });
    const answer = async (frame: unknown, id: string): Promise<Frame> => {
      const from = client.frames.length;
      client.send(frame);
      return client.frame((f) => f.type === 'res' && f.id === id && client.frames.indexOf(f) >= from, `answer to ${JSON.stringify(frame)}`);
    };
    const invalid = { code: 'INVALID_REQUEST', message: expect.stringMatching(/^invalid request frame: /) };
    expect((await answer({ type: 'req', id: 'x1', method: 'health', extra: 1 }, 'x1')).error).toEqual(invalid);
    expect((await answer({ type: 'req', id: 'x2', method: 7 }, 'x2')).error).toEqual(invalid);
    expect((await answer({ type: 'nope', id: 'x3' }, 'x3')).error).toEqual(invalid);
    expect((await answer([], 'invalid')).error).toEqual(invalid);
    expect((await answer({ type: 'req', id: '', method: 'health' }, '')).error).toEqual(invalid);
    expect((await answer({ type: 'req', id: 'x4', method: 'connect', params: {} }, 'x4')).error).toEqual({
      code: 'INVALID_REQUEST',
      message: 'connect is only valid as the first request',
    });
    expect((await answer({ type: 'req', id: 'x5', method: 'no.such' }, 'x5')).error).toEqual({
      code: 'INVALID_REQUEST',
      message: 'unknown method: no.such',
    });
    // Not JSON: silence. Bytes that are JSON: a request like any other.
    const before = client.frames.length;
    client.send('not json');
    client.ws.send(Buffer.from([0, 1, 2]));
    client.ws.send(Buffer.from(JSON.stringify({ type: 'req', id: 'bytes', method: 'health' })));
    const first = await client.frame((f) => f.type === 'res' && client.frames.indexOf(f) >= before, 'an answer to bytes');
    expect(first).toMatchObject({ id: 'bytes', ok: true });
    expect(client.closed).toBeUndefined();
    expectDenseSeq(client.frames);
  });

  test.each([3, 4] as const)('protocol %s: connect as bytes is taken like text', async (protocol) => {
    await using client = new RawClient(house.gateway.url);
    const challenge = await client.event('connect.challenge');
    const params = connectParams(challenge, { protocol, auth: { token } });
    client.ws.send(Buffer.from(JSON.stringify({ type: 'req', id: 'b', method: 'connect', params })));
    expect(await client.frame((f) => f.id === 'b')).toMatchObject({ ok: true, payload: { type: 'hello-ok', protocol } });
  });

  test.each([3, 4] as const)('protocol %s: a missing scope', async (protocol) => {
    await using client = await connect(house.gateway.url, { protocol, auth: { token }, device: newDevice(), scopes: ['operator.read'] });
    const { error } = await client.request('device.pair.list', {});
    expect(error).toEqual(
      protocol === 3
        ? { code: 'INVALID_REQUEST', message: 'missing scope: operator.pairing' }
        : {
            code: 'FORBIDDEN',
            message: 'missing scope: operator.pairing',
            details: { code: 'MISSING_SCOPE', missingScope: 'operator.pairing', requiredScopes: ['operator.pairing'] },
          },
    );
  });

  test.each([3, 4] as const)('protocol %s: a node that calls what operators call, ten times', async (protocol) => {
    const device = newDevice();
    await using admin = await connect(house.gateway.url, { protocol, auth: { token } });
    const client = await node(protocol, device, admin);
    await using _ = client;
    for (let i = 0; i < 10; i++) client.send({ type: 'req', id: `n${i}`, method: 'status', params: {} });
    expect(await client.closing()).toEqual({ code: 1008, reason: 'repeated unauthorized calls' });
    const answers = client.frames.filter((f) => f.type === 'res' && f.id?.startsWith('n'));
    expect(answers.length).toBe(10);
    for (const { error } of answers) expect(error).toMatchObject({ code: 'INVALID_REQUEST', message: 'unauthorized role: node' });
  });

  test.each([
    ['device.token.revoke', 'shared secret'],
    ['device.token.revoke', 'device token'],
    ['device.token.rotate', 'device token'],
  ])('%s closes what used it within 2 s (connected by %s)', async (method, by) => {
    const device = newDevice();
    const options = { device, protocol: 4 as const };
    const first = await connect(house.gateway.url, { ...options, auth: { token } });
    const { deviceToken } = first.hello.auth;
    const live = by === 'device token' ? await connect(house.gateway.url, { ...options, auth: { deviceToken } }) : first;
    await using _ = live;
    await using __ = first;
    await using admin = await connect(house.gateway.url, { protocol: 4, auth: { token } });
    const from = performance.now();
    const answer = await admin.call(method, { deviceId: device.id, role: 'operator' });
    expect(answer).toMatchObject({ deviceId: device.id, role: 'operator' });
    const close = await live.closing();
    expect(performance.now() - from).toBeLessThan(2_000);
    expect(close.code).toBe(4001);
    const again = await outcomeOf('9', { device, auth: { deviceToken } });
    expect(again).toMatchObject({ res: { details: { code: 'AUTH_DEVICE_TOKEN_MISMATCH' } }, close: { code: 1008 } });
    // The secret still pairs it: only what it was given was taken back.
    expect(await outcomeOf('9', { device })).toMatchObject(admitted());
  });
});

async function node(protocol: 3 | 4, device: TestDevice, admin: RawClient): Promise<RawClient> {
  const options = { protocol, device, role: 'node', scopes: [], client: { id: 'node-host', mode: 'node' }, auth: { token } };
  const first = new RawClient(house.gateway.url);
  await first.request('connect', connectParams(await first.event('connect.challenge'), options));
  await first.closing();
  const { requestId } = await admin.event('device.pair.requested', (p) => p.deviceId === device.id);
  await admin.call('device.pair.approve', { requestId });
  return connect(house.gateway.url, options);
}

test('a client may leave as it likes', async () => {
  for (const code of [undefined, 1000, 1001] as const) {
    const client = await connect(house.gateway.url, { protocol: 4, auth: { token } });
    const gone = once(client.ws, 'close');
    client.ws.close(code);
    const [seen] = await gone;
    expect(seen).toBe(code ?? 1005);
  }
});

test('every deviation is still one', () => {
  expect(Object.keys(DEVIATIONS).filter((key) => !used.has(key))).toEqual([]);
  expect(DIFFERENCES.stale()).toEqual([]);
});
