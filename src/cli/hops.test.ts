import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeCliOptions, fakeCli, Refuse, type Script, scriptedGateway } from '../../test/support/fake-cli-env.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'oc-hops-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const answers: Script = {
  health: { ok: true, sessions: { count: 3, recent: [] } },
  status: { runtimeVersion: '1.2.3', gateway: { startedAtMs: Date.now() - 60_000, model: { provider: 'a', id: 'm' } } },
  'system-presence': [],
  'device.pair.list': { pending: [], paired: [{}] },
  'models.list': { models: [{ provider: 'a', id: 'm' }] },
};
function terminal(options: FakeCliOptions = {}) {
  return fakeCli({
    http: () => ({ status: 200, body: '{}' }),
    tcp: () => undefined,
    ...options,
    vars: { OPENCLAW_STATE_DIR: dir, HOME: dir, OPENCLAW_GATEWAY_TOKEN: 'a-token-that-is-long-enough', ...options.vars },
  });
}
const socketFile = (): void => {
  mkdirSync(join(dir, 'gateway'), { mode: 0o700 });
  writeFileSync(join(dir, 'gateway', 'admin.sock'), '');
};
type Hops = { hops: { id: string; state: string; fix?: string }[]; broken?: string; ok: boolean };
const states = (json: Record<string, unknown>): Record<string, string> =>
  Object.fromEntries((json as unknown as Hops).hops.map(({ id, state }) => [id, state]));

test('CL-50 status takes the nearest door and names every hop', async () => {
  socketFile();
  const gateway = scriptedGateway(answers);
  const t = terminal({ openSocket: gateway.openSocket });
  expect(await t.run('status', '--json')).toBe(0);
  expect(states(t.json())).toEqual({ config: 'ok', socket: 'ok', gateway: 'ok', model: 'ok', sessions: 'ok', devices: 'ok' });
  expect(gateway.asked.every(({ door }) => door === 'admin')).toBe(true);
});

test('CL-50 status --deep walks the way by URL too, with a latency at each hop', async () => {
  socketFile();
  const gateway = scriptedGateway(answers);
  const t = terminal({ openSocket: gateway.openSocket });
  expect(await t.run('status', '--deep', '--json')).toBe(0);
  const json = t.json();
  expect(Object.keys(states(json))).toEqual([
    'config',
    'socket',
    'address',
    'credentials',
    'tcp',
    'http',
    'ready',
    'websocket',
    'auth',
    'scopes',
    'gateway',
    'model',
    'sessions',
    'presence',
    'devices',
  ]);
  for (const hop of (json as unknown as { hops: { id: string; ms?: number }[] }).hops)
    if (['socket', 'tcp', 'http', 'ready', 'websocket', 'auth', 'gateway'].includes(hop.id)) expect(hop.ms, hop.id).toBeTypeOf('number');
});

test('CL-50 it writes nothing, makes no device and asks for no more than reading', async () => {
  const gateway = scriptedGateway(answers, { doors: ['ws'] });
  const t = terminal({ openSocket: gateway.openSocket });
  expect(await t.run('status', '--deep')).toBe(0);
  expect(readdirSync(dir)).toEqual([]);
  const connect = gateway.asked.find(({ method }) => method === 'connect')?.params as Record<string, unknown>;
  expect(connect['scopes']).toEqual(['operator.read']);
  expect(connect['device']).toBeUndefined();
  const reads = new Set(['connect', 'health', 'status', 'system-presence', 'device.pair.list', 'models.list']);
  expect(gateway.asked.filter(({ method }) => !reads.has(method))).toEqual([]);
});

const broken: [string, FakeCliOptions & { script?: Script; config?: string }, string][] = [
  ['config', { config: '{ gateway: { bind: 5 } }' }, 'config'],
  [
    'nobody listens',
    { tcp: () => new Error('connect ECONNREFUSED 127.0.0.1:18789'), http: () => new Error('connect ECONNREFUSED') },
    'tcp',
  ],
  [
    'wrong token',
    { script: { connect: new Refuse({ code: 'INVALID_REQUEST', message: 'unauthorized', details: { code: 'AUTH_TOKEN_MISMATCH' } }) } },
    'auth',
  ],
  ['sick gateway', { script: { ...answers, health: { ok: false } } }, 'gateway'],
  [
    'no credentials for --url',
    { config: '{ gateway: { mode: "remote", remote: { url: "wss://x.example", token: { source: "env", id: "NOT_SET_ANYWHERE" } } } }' },
    'credentials',
  ],
  ['remote without url', { config: '{ gateway: { mode: "remote" } }' }, 'address'],
];
test.each(broken)('CL-51 %s: the broken hop is named, with one fix; exit 1', async (_name, { script, config, ...options }, hop) => {
  if (config !== undefined) writeFileSync(join(dir, 'openclaw.json'), config, { mode: 0o600 });
  const t = terminal({ ...(script === undefined ? {} : { openSocket: scriptedGateway(script).openSocket }), ...options });
  expect(await t.run('status', '--deep', '--json')).toBe(1);
  const json = t.json() as unknown as Hops & { error: { fix?: string } };
  expect(json.ok).toBe(false);
  expect(json.broken).toBe(hop);
  expect(json.error.fix).toBeTruthy();
});

test('CL-51 what works is not broken: no model and waiting devices are hints, exit 0', async () => {
  socketFile();
  const t = terminal({
    openSocket: scriptedGateway({ ...answers, 'models.list': { models: [] }, 'device.pair.list': { pending: [{}], paired: [] } })
      .openSocket,
  });
  expect(await t.run('status', '--json')).toBe(0);
  expect(states(t.json())).toMatchObject({ model: 'warn', devices: 'warn' });
});

test('CL-50 what was asked for and is not there, and what the door noticed, are hops of their own', async () => {
  socketFile();
  const note = { path: 'gateway.trustedProxies', message: 'a forwarder that nobody listed: 192.0.2.1' };
  const exposure = { tailscale: { state: 'failed', why: 'not in this version', fix: 'tailscale serve --bg 18789' } };
  const gateway = scriptedGateway({ ...answers, status: { gateway: { exposure, warnings: [note] } } });
  const t = terminal({ openSocket: gateway.openSocket });
  expect(await t.run('status', '--json')).toBe(0);
  const { hops } = t.json() as unknown as Hops;
  expect(hops.find(({ id }) => id === 'exposure')).toMatchObject({ state: 'warn', fix: 'tailscale serve --bg 18789' });
  expect(hops.find(({ id }) => id === 'notes')).toMatchObject({ state: 'warn', detail: note.message });
});

test('CL-50 no secret in any line', async () => {
  for (const argv of [['status'], ['status', '--deep'], ['status', '--all'], ['status', '--all', '--json'], ['gateway', 'status']]) {
    const t = terminal({ openSocket: scriptedGateway(answers).openSocket });
    await t.run(...argv);
    expect(t.out() + t.err()).not.toContain('a-token-that-is-long-enough');
  }
});
