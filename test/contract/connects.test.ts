import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, newDevice, type TestDevice } from '../support/wire.ts';
import { Differences } from './support/differences.ts';
import { type House, openHouse } from './support/house.ts';
import { type Line, type RecordedConnect, recordedConnect, recording, type Value } from './support/recording.ts';
import { expectDenseSeq, replay, tryReplay } from './support/replay.ts';
import { shapeDifferences } from './support/shape.ts';
import { expectTranscript, sanitiser, thinned } from './support/transcript.ts';

/** Every kind of existing client connects with the words that were recorded from it, and gets the hello-ok of its protocol. */

const DIFFERENCES = new Differences([
  {
    line: '3',
    in: 'hello',
    at: ['canvasHostUrl'],
    reason: 'there is no canvas',
  },
  {
    line: '9',
    in: 'hello',
    at: ['server.controlUiBuildSource', 'snapshot.updateSchedule', 'controlUiWidgetKinds', 'controlUiLinkReaders', 'pluginSurfaceUrls'],
    reason: 'no control panel of that build, no self-update, no plugins, no canvas',
  },
  {
    line: '9',
    in: 'hello',
    at: ['policy.allowedSessionVisibilities', 'policy.hasMultipleSessionSharingIdentities'],
    reason: 'sessions are not shared among people: a client without this block offers no such choice',
  },
  {
    line: '9',
    in: 'presence',
    at: ['presence[].deviceFamily'],
    reason: 'a client that names none has none',
  },
  {
    line: '9',
    in: 'hello auth',
    at: ['recoveryScope', 'recoveryMigrationAllowed'],
    reason: 'moving an outbox of unsent messages between browser profiles: none is kept for a gateway that names no scope',
  },
]);

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

/** What a receiver without the admin scope is not told in our snapshot; the older line told everyone. */
const ADMIN_ONLY = ['configPath', 'stateDir', 'authMode'];

function expectHello(line: Line, recorded: RecordedConnect, hello: Value, granted: readonly string[]): void {
  const [model] = recording(`hello-v${line}`);
  const { note: _, auth: __, ...want } = model as Value;
  const snapshot = { ...want.snapshot };
  const isAdmin = granted.includes('operator.admin');
  if (!isAdmin) for (const key of ADMIN_ONLY) delete snapshot[key];
  const found = shapeDifferences({ ...want, snapshot }, hello);
  expect(DIFFERENCES.unexplained(line, 'hello', found)).toEqual([]);
  expect(hello.protocol).toBe(line === '3' ? 3 : 4);
  // The older panel shows no answer without it.
  expect(hello.snapshot.sessionDefaults.mainSessionKey).toBe('agent:main:main');
  expect(Object.hasOwn(hello.snapshot, 'configPath')).toBe(isAdmin);
  const auth = recorded.auth === undefined ? [] : shapeDifferences(recorded.auth, hello.auth ?? {});
  expect(DIFFERENCES.unexplained(line, 'hello auth', auth)).toEqual([]);
  if (line === '9') expect(hello.auth.scopes).toEqual(granted);
  if (line === '3' && hello.auth !== undefined) expect(hello.auth.scopes).toEqual([...granted].sort());
}

interface Case {
  readonly name: string;
  readonly line: Line;
  readonly recorded: RecordedConnect;
}
const operators: readonly Case[] = [
  { name: 'v3 CLI: health (payload v3)', line: '3', recorded: recordedConnect('v3-cli-health') },
  { name: 'v3 CLI: agent', line: '3', recorded: recordedConnect('v3-cli-agent') },
  { name: 'v3 CLI: probe of status --deep (no device)', line: '3', recorded: recordedConnect('v3-cli-status-deep', 'c1') },
  { name: 'v3 CLI: backend call of status --deep', line: '3', recorded: recordedConnect('v3-cli-status-deep', 'c2') },
  { name: 'v3 Control UI: first load (payload v2)', line: '3', recorded: recordedConnect('v3-ui-first-load') },
  { name: 'v3 TUI', line: '3', recorded: recordedConnect('v3-tui') },
  { name: 'v9 CLI: health (no device)', line: '9', recorded: recordedConnect('v9-cli-health', 'c1') },
  { name: 'v9 CLI: health, its backend connection', line: '9', recorded: recordedConnect('v9-cli-health', 'c2') },
  { name: 'v9 CLI: agent', line: '9', recorded: recordedConnect('v9-cli-agent') },
  { name: 'v9 CLI: devices list', line: '9', recorded: recordedConnect('v9-cli-devices-list') },
  { name: 'v9 CLI: call of an unknown method', line: '9', recorded: recordedConnect('v9-cli-call-unknown') },
  { name: 'v9 CLI: gateway probe (3–4)', line: '9', recorded: recordedConnect('v9-cli-probe') },
  { name: 'v9 Control UI: first load', line: '9', recorded: recordedConnect('v9-ui-first-load') },
  { name: 'v9 TUI', line: '9', recorded: recordedConnect('v9-tui') },
];

describe('WS-40 operators', () => {
  for (const { name, line, recorded } of operators) {
    test(name, async () => {
      const token = house.gateway.token();
      await using client = await replay(house.gateway, recorded, { token, device: newDevice() });
      const asked: readonly string[] = recorded.params.scopes;
      expectHello(line, recorded, client.hello, asked);
      const health = await client.request('health');
      expect(health.payload.ok).toBe(true);
      if (line === '9' && asked.includes('operator.read')) {
        // Its first event is the list of who is here.
        const first = client.frames.find((f) => f.type === 'event' && f.event !== 'connect.challenge');
        expect(first).toMatchObject({ event: 'presence', seq: 1 });
        const told = recording('v9-tui').find(({ frame }) => frame?.event === 'presence')?.frame;
        const found = [...shapeDifferences(told.payload, first.payload), ...shapeDifferences(told.stateVersion, first.stateVersion)];
        expect(DIFFERENCES.unexplained(line, 'presence', found)).toEqual([]);
      }
      expectDenseSeq(client.frames);
      const clean = sanitiser(house.gateway);
      const told = { ...client.hello, snapshot: { ...client.hello.snapshot, presence: client.hello.snapshot.presence.slice(0, 1) } };
      expectTranscript(`connect/${recorded.capture}-${recorded.c}`, [clean(told)]);
    });
  }
});

describe('WS-40 a browser comes back with its device token', () => {
  for (const line of ['3', '9'] as const) {
    test(`v${line} Control UI: reload`, async () => {
      const first = recordedConnect(`v${line}-ui-first-load`);
      const device = newDevice();
      await using loaded = await replay(house.gateway, first, { token: house.gateway.token(), device });
      const { deviceToken } = loaded.hello.auth;
      expect(deviceToken).toEqual(expect.any(String));
      // Of the reload only its credentials were recorded apart: v3 sends the token twice, v9 once, with its scopes in the order stored.
      const auth = line === '3' ? { token: '<deviceToken>', deviceToken: '<deviceToken>' } : { deviceToken: '<deviceToken>' };
      const recorded = { ...first, params: { ...first.params, auth }, auth: undefined };
      await using reloaded = await replay(house.gateway, recorded, { deviceToken, device });
      expectHello(
        line,
        recorded,
        reloaded.hello,
        loaded.hello.auth.scopes.filter((scope: string) => first.params.scopes.includes(scope)),
      );
      if (line === '9') expect(reloaded.hello.auth.method).toBe('device-token');
      expectTranscript(`connect/v${line}-ui-reload`, [sanitiser(house.gateway)(reloaded.hello.auth ?? null)]);
    });
  }
});

test('WS-40 v9 CLI: dashboard looks with a stored device token', async () => {
  const device = newDevice();
  const base = recordedConnect('v9-cli-others-requests', 'c1', 'dash-open');
  await using paired = await replay(
    house.gateway,
    { ...base, params: { ...base.params, auth: { token: '<token>' } } },
    { token: house.gateway.token(), device },
  );
  await using again = await replay(house.gateway, base, { deviceToken: paired.hello.auth.deviceToken, device });
  expect(again.hello.auth).toMatchObject({ method: 'device-token', scopes: ['operator.read'] });
});

describe('WS-40 nodes are approved first', () => {
  for (const line of ['3', '9'] as const) {
    test(`v${line} node host`, async () => {
      const recorded = recordedConnect(`v${line}-node-run`);
      const device: TestDevice = newDevice();
      const credentials = { token: house.gateway.token(), device };
      const admin = await connect(house.gateway.url, { protocol: line === '3' ? 3 : 4, auth: { token: house.gateway.token() } });
      await using _ = admin;

      const { replay: turnedAway, res } = await tryReplay(house.gateway, recorded, credentials);
      expect(res.error).toMatchObject({ code: 'NOT_PAIRED', details: { code: 'PAIRING_REQUIRED', reason: 'not-paired' } });
      const close = await turnedAway.client.closing();
      expect(close.code).toBe(1008);
      expect(close.reason).toMatch(/^pairing required/);
      const asked = await admin.event('device.pair.requested', (p) => p.deviceId === device.id);
      expect(asked).toMatchObject({ role: 'node', clientId: 'node-host', clientMode: 'node', displayName: 'capnode' });
      const approved = await admin.call('device.pair.approve', { requestId: asked.requestId });
      expect(approved).toMatchObject({ requestId: asked.requestId, device: { deviceId: device.id, role: 'node' } });
      await admin.event('device.pair.resolved', (p) => p.requestId === asked.requestId && p.decision === 'approved');

      await using node = await replay(house.gateway, recorded, credentials);
      expectHello(line, recorded, node.hello, []);
      expect(node.hello.snapshot.presence).toEqual([]);
      // What it may not and what does not exist: told so, and it stays.
      expect((await node.request('status', {})).error).toMatchObject({ code: 'INVALID_REQUEST', message: 'unauthorized role: node' });
      expect((await node.request('node.event', { event: 'node.host.stats' })).error).toEqual({
        code: 'INVALID_REQUEST',
        message: 'unknown method: node.event',
      });
      expect((await node.request('health')).payload.ok).toBe(true);
      const { nodes } = await admin.call('node.list', {});
      expect(nodes.find((each: Value) => each.nodeId === device.id)).toMatchObject({ paired: true, connected: true, platform: 'linux' });
      expectDenseSeq(node.frames);
      const clean = sanitiser(house.gateway);
      expectTranscript(`connect/v${line}-node-run`, [
        ...thinned(turnedAway.frames).slice(1).map(clean),
        clean({ close }),
        clean({ ...node.hello, snapshot: { ...node.hello.snapshot, presence: [] } }),
      ]);
    });
  }
});

test('every listed difference is still one', () => {
  expect(DIFFERENCES.stale()).toEqual([]);
});
