import { execFileSync } from 'node:child_process';
import { createHash, generateKeyPairSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { hostsMissing, type TwoHosts, twoHosts } from '../support/hosts.ts';
import type { Knock } from '../support/knock.ts';
import { type Knocker, ownerCall, startKnocker } from '../support/knocker.ts';
import type { Frame } from '../support/wire.ts';

/**
 * Who gets in, over real sockets: the table of `auth/decide` with real processes at real distances. `local` and `neighbour` differ by
 * the uid of the process, `remote` stands behind a cable, and a forwarder is whoever sends a forwarding header.
 */

const missing =
  hostsMissing() ??
  (existsSync('/usr/bin/setpriv') || existsSync('/bin/setpriv') ? undefined : 'needs setpriv: apt-get install -y util-linux');

const TOKEN = 'door-test-shared-token-0123456789abcdef';
const OTHER_USER = '61234';
const PROXY = '10.86.0.3';
const ALL = ['operator.admin', 'operator.approvals', 'operator.pairing', 'operator.read', 'operator.write'];
const READ = ['operator.read'];
const RW = ['operator.read', 'operator.write'];

/** One call per scope: what a connection can do is what it is answered, not what it was told. */
const CALLS = [
  { letter: 'R', method: 'status', params: {} },
  { letter: 'W', method: 'chat.abort', params: { sessionKey: 'door' } },
  { letter: 'A', method: 'sessions.reset', params: { key: 'door' } },
  { letter: 'P', method: 'device.pair.list', params: {} },
] as const;

const PLACES = ['local', 'neighbour', 'unlisted', 'remote', 'proxied', 'public'] as const;
type Place = (typeof PLACES)[number];

interface Key {
  readonly id: string;
  readonly pem: string;
}
function newKey(): Key {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return { id: createHash('sha256').update(raw).digest('hex'), pem: String(privateKey.export({ format: 'pem', type: 'pkcs8' })) };
}

describe.skipIf(missing !== undefined)(`who gets in, over real sockets${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let hosts: TwoHosts;
  let own: Knocker;
  let neighbour: Knocker;
  let laptop: Knocker;
  const gateways: TestGateway[] = [];

  beforeAll(() => {
    hosts = twoHosts();
    const device = execFileSync('ip', ['-n', hosts.laptop.name, '-o', 'route', 'show', '10.86.0.0/24'])
      .toString()
      .match(/dev (\S+)/)?.[1];
    execFileSync('ip', ['-n', hosts.laptop.name, 'addr', 'add', `${PROXY}/24`, 'dev', device as string]);
    own = startKnocker(hosts.server.on);
    neighbour = startKnocker([...hosts.server.on, 'setpriv', '--reuid', OTHER_USER, '--regid', OTHER_USER, '--clear-groups']);
    laptop = startKnocker(hosts.laptop.on);
  });
  afterAll(async () => {
    for (const one of [own, neighbour, laptop, ...gateways]) await one?.[Symbol.asyncDispose]();
    await hosts?.[Symbol.asyncDispose]();
  });

  const start = async (config: object): Promise<TestGateway> => {
    const gateway = await startTestGateway({ wrap: hosts.server.on, config: JSON.stringify(config) });
    gateways.push(gateway);
    return gateway;
  };
  const guarded = (more: object = {}, auth: object = {}) => ({
    gateway: {
      bind: 'lan',
      trustedProxies: [PROXY],
      auth: { token: TOKEN, ...auth },
      http: { endpoints: { chatCompletions: { enabled: true } } },
      ...more,
    },
  });

  /** How a client at this place reaches the gateway, and what its way adds. */
  function way(
    place: Place,
    port: number,
  ): { by: Knocker; host: string; headers: Record<string, string>; localAddress?: string; url: string } {
    const near = { host: '127.0.0.1', url: `ws://127.0.0.1:${port}/` };
    const far = { host: hosts.server.address, url: `ws://${hosts.server.address}:${port}/`, localAddress: hosts.laptop.address };
    switch (place) {
      case 'local':
        return { by: own, ...near, headers: {} };
      case 'neighbour':
        return { by: neighbour, ...near, headers: {} };
      case 'unlisted':
        return { by: own, ...near, headers: { 'X-Forwarded-For': '127.0.0.1' } };
      case 'remote':
        return { by: laptop, ...far, headers: {} };
      case 'proxied':
        return { by: laptop, ...far, localAddress: PROXY, headers: { 'X-Forwarded-For': '203.0.113.9' } };
      case 'public':
        return { by: own, ...near, headers: { 'Tailscale-Funnel-Request': '?1' } };
    }
  }

  async function knock(gateway: TestGateway, place: Place, connect: Knock['connect']) {
    const { by, url, headers, localAddress } = way(place, gateway.port);
    const answer = await by.knock({
      url,
      connect: { ...connect, headers: { ...headers, ...connect.headers }, ...(localAddress === undefined ? {} : { localAddress }) },
      calls: CALLS,
    });
    return answer;
  }

  /** `in RW`, `in R, files scope-upgrade`, `PAIRING_REQUIRED, files not-paired`: what happened, in the fewest words. */
  async function outcome(gateway: TestGateway, place: Place, connect: Knock['connect'], key?: Key): Promise<string> {
    const answer = await knock(gateway, place, connect);
    const list = await ownerCall(gateway.stateDir, 'device.pair.list');
    const filed: Frame[] = list.pending.filter((one: Frame) => one.deviceId === key?.id);
    // What a stranger tried must not lie about for the next row.
    for (const { requestId } of filed) await ownerCall(gateway.stateDir, 'device.pair.reject', { requestId });
    expect(list.pending.length, 'nobody else has filed anything').toBe(filed.length);
    const files = filed.length === 0 ? '' : `, files ${filed.map((one) => one.reason).join('+')}`;
    if (!answer.ok) {
      expect(answer.closed?.code).toBe(1008);
      return `${answer.error.details?.code ?? answer.error.message}${files}`;
    }
    const role = answer.hello.auth.role;
    const letters = CALLS.filter(({ method }) => answer.answers[method] === 'ok').map(({ letter }) => letter);
    const said = (answer.hello.auth.scopes as string[]).map((scope) => scope.replace('operator.', ''));
    const words = { read: 'R', write: 'W', admin: 'A', pairing: 'P' } as Record<string, string>;
    const told = said.flatMap((scope) => words[scope] ?? []);
    expect(new Set(letters), 'what it may do is what it was told').toEqual(
      new Set(told.includes('A') ? ['R', 'W', 'A', 'P'] : told.includes('W') ? [...told, 'R'] : told),
    );
    return `in ${role === 'operator' ? letters.join('') || 'without scopes' : role}${files}`;
  }

  /** A device that was paired here for these scopes, with its token. */
  async function paired(gateway: TestGateway, scopes: readonly string[], role = 'operator'): Promise<Key & { token: string }> {
    const key = newKey();
    const connect: Knock['connect'] = { deviceKey: key.pem, role, scopes: role === 'node' ? [] : scopes, auth: { token: TOKEN } };
    let answer = await knock(gateway, 'local', connect);
    if (!answer.ok) {
      await ownerCall(gateway.stateDir, 'device.pair.approve', { requestId: answer.error.details.requestId });
      answer = await knock(gateway, 'local', connect);
    }
    return { ...key, token: answer.hello.auth.deviceToken };
  }
  const approvedScopes = async (gateway: TestGateway, id: string): Promise<string[]> =>
    (await ownerCall(gateway.stateDir, 'device.pair.list')).paired.find((one: Frame) => one.deviceId === id)?.scopes ?? [];

  /** HTTP with this credential: which of a read route and a write route answer. */
  async function http(gateway: TestGateway, place: Place, bearer: string | undefined): Promise<string> {
    const { by, host, headers, localAddress } = way(place, gateway.port);
    const common = {
      host,
      port: gateway.port,
      headers: { ...headers, ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }) },
      ...(localAddress === undefined ? {} : { localAddress }),
    };
    const read = await by.http({ ...common, path: '/v1/models' });
    const body = JSON.stringify({ messages: [{ role: 'user', content: 'hello' }] });
    const write = await by.http({
      ...common,
      path: '/v1/chat/completions',
      method: 'POST',
      body,
      headers: { ...common.headers, 'Content-Type': 'application/json' },
    });
    const letters = `${read.status === 200 ? 'R' : ''}${write.status === 200 ? 'W' : ''}`;
    if (letters !== '') return write.status === 200 ? `in ${letters}` : `in ${letters} (${write.status})`;
    return read.status === write.status ? String(read.status) : `${read.status}/${write.status}`;
  }

  const same = (text: string): Record<Place, string> => Object.fromEntries(PLACES.map((place) => [place, text])) as Record<Place, string>;
  const own5 = (local: string, near: string, else_: string, more: Partial<Record<Place, string>> = {}): Record<Place, string> => ({
    ...same(else_),
    local,
    neighbour: near,
    ...more,
  });

  test('AU-1 the table: every row at every place', async () => {
    const gateway = await start(guarded());
    const run = (place: Place, connect: Knock['connect'], key?: Key) =>
      outcome(gateway, place, { scopes: ALL, ...connect, ...(key === undefined ? {} : { deviceKey: key.pem }) }, key);
    const origin = (place: Place): string => new URL(way(place, gateway.port).url.replace('ws:', 'http:')).origin;

    const rows: { name: string; expected: Record<Place, string>; at: (place: Place) => Promise<string> }[] = [
      { name: 'nothing presented', expected: same('AUTH_TOKEN_MISSING'), at: (place) => run(place, {}) },
      { name: 'nothing presented, new signed device', expected: same('AUTH_TOKEN_MISSING'), at: (place) => run(place, {}, newKey()) },
      {
        name: 'wrong secret, new signed device',
        expected: same('AUTH_TOKEN_MISMATCH'),
        at: (place) => run(place, { auth: { token: `${TOKEN}x` } }, newKey()),
      },
      {
        name: 'secret + new signed device',
        expected: own5('in RWAP', 'in RW, files scope-upgrade', 'PAIRING_REQUIRED, files not-paired'),
        at: (place) => run(place, { auth: { token: TOKEN } }, newKey()),
      },
      {
        name: 'secret + device paired for read, asks for all',
        expected: own5('in RWAP (kept)', 'in R, files scope-upgrade', 'in R, files scope-upgrade'),
        at: async (place) => {
          const key = await paired(gateway, READ);
          const said = await run(place, { auth: { token: TOKEN } }, key);
          return (await approvedScopes(gateway, key.id)).includes('operator.admin') ? `${said} (kept)` : said;
        },
      },
      {
        name: 'device token + its key, paired for read and write, asks for all',
        expected: same('in RW, files scope-upgrade'),
        at: async (place) => {
          const key = await paired(gateway, RW);
          return run(place, { auth: { deviceToken: key.token } }, key);
        },
      },
      {
        name: 'device token + its key, asks for less',
        expected: same('in R'),
        at: async (place) => {
          const key = await paired(gateway, ALL);
          return run(place, { scopes: READ, auth: { deviceToken: key.token } }, key);
        },
      },
      {
        name: 'device token without its key',
        expected: same('DEVICE_IDENTITY_REQUIRED'),
        at: async (place) => run(place, { auth: { deviceToken: (await paired(gateway, RW)).token } }),
      },
      {
        name: 'device token + the key of another paired device',
        expected: same('AUTH_DEVICE_TOKEN_MISMATCH'),
        at: async (place) => {
          const [one, other] = [await paired(gateway, RW), await paired(gateway, READ)];
          return run(place, { auth: { deviceToken: one.token } }, other);
        },
      },
      {
        name: 'secret, no device, no Origin',
        expected: own5('in RWAP', 'in RW', 'in RW', { public: 'DEVICE_IDENTITY_REQUIRED' }),
        at: (place) => run(place, { auth: { token: TOKEN } }),
      },
      {
        name: 'secret in auth.password, no device, no Origin',
        expected: own5('in RWAP', 'in RW', 'in RW', { public: 'DEVICE_IDENTITY_REQUIRED' }),
        at: (place) => run(place, { auth: { password: TOKEN } }),
      },
      {
        name: 'secret, no device, browser',
        expected: same('CONTROL_UI_DEVICE_IDENTITY_REQUIRED'),
        at: (place) => run(place, { auth: { token: TOKEN }, origin: origin(place) }),
      },
      {
        name: 'secret + new signed device, browser',
        expected: own5('in RWAP', 'in RW, files scope-upgrade', 'PAIRING_REQUIRED, files not-paired'),
        at: (place) =>
          run(place, { auth: { token: TOKEN }, origin: origin(place), client: { id: 'openclaw-control-ui', mode: 'webchat' } }, newKey()),
      },
      {
        name: 'foreign Origin, whatever is presented',
        expected: same('CONTROL_UI_ORIGIN_NOT_ALLOWED'),
        at: async (place) => {
          const key = await paired(gateway, ALL);
          return run(place, { auth: { token: TOKEN, deviceToken: key.token }, origin: 'https://evil.example' }, key);
        },
      },
      {
        name: 'forged tailnet identity + new signed device',
        expected: same('AUTH_TOKEN_MISSING'),
        at: (place) => run(place, { headers: { 'Tailscale-User-Login': 'owner@example.com', 'X-Forwarded-For': '100.64.0.9' } }, newKey()),
      },
      {
        name: 'role node, new, with the secret',
        expected: same('PAIRING_REQUIRED, files not-paired'),
        at: (place) => run(place, { role: 'node', scopes: [], auth: { token: TOKEN } }, newKey()),
      },
      {
        name: 'role node, no device',
        expected: same('DEVICE_IDENTITY_REQUIRED'),
        at: (place) => run(place, { role: 'node', scopes: [], auth: { token: TOKEN } }),
      },
      {
        name: 'role node, paired, its token',
        expected: same('in node'),
        at: async (place) => {
          const key = await paired(gateway, [], 'node');
          return run(place, { role: 'node', scopes: ALL, auth: { deviceToken: key.token } }, key);
        },
      },
      {
        name: 'an operator device comes as a node',
        expected: same('PAIRING_REQUIRED, files role-upgrade'),
        at: async (place) => run(place, { role: 'node', scopes: [], auth: { token: TOKEN } }, await paired(gateway, ALL)),
      },
      {
        name: 'device whose platform changed',
        expected: same('PAIRING_REQUIRED, files metadata-upgrade'),
        at: async (place) => {
          const key = await paired(gateway, ALL);
          return run(place, { client: { platform: 'plan9' }, auth: { token: TOKEN, deviceToken: key.token } }, key);
        },
      },
      {
        name: 'device that was removed before, with the secret',
        expected: same('PAIRING_REQUIRED, files not-paired'),
        at: async (place) => {
          const key = await paired(gateway, ALL);
          await ownerCall(gateway.stateDir, 'device.pair.remove', { deviceId: key.id });
          return run(place, { auth: { token: TOKEN } }, key);
        },
      },
      { name: 'HTTP: nothing', expected: same('401'), at: (place) => http(gateway, place, undefined) },
      { name: 'HTTP: wrong secret', expected: same('401'), at: (place) => http(gateway, place, `${TOKEN}x`) },
      { name: 'HTTP: secret', expected: same('in RW'), at: (place) => http(gateway, place, TOKEN) },
      {
        name: 'HTTP: token of a device paired for all',
        expected: own5('in RW', 'in RW', 'in RW', { public: '401' }),
        at: async (place) => http(gateway, place, (await paired(gateway, ALL)).token),
      },
      {
        name: 'HTTP: token of a device paired for read',
        expected: own5('in R (403)', 'in R (403)', 'in R (403)', { public: '401' }),
        at: async (place) => http(gateway, place, (await paired(gateway, READ)).token),
      },
      {
        name: "HTTP: a node's token",
        expected: same('401'),
        at: async (place) => http(gateway, place, (await paired(gateway, [], 'node')).token),
      },
    ];

    const observed = new Map<string, Record<Place, string>>();
    for (const { name, at } of rows) {
      const cells = {} as Record<Place, string>;
      for (const place of PLACES) cells[place] = await at(place);
      observed.set(name, cells);
    }
    print('what holds', [...observed], PLACES);
    for (const { name, expected } of rows) expect(observed.get(name), name).toEqual(expected);
  });

  test('AU-96 the admin socket: owner, all scopes, whatever is said; no other user reaches it', async () => {
    const gateway = await start(guarded());
    for (const { method, params } of CALLS) await ownerCall(gateway.stateDir, method, params);
    const steal = (user: string[]): string => {
      const script = `require('net').connect(${JSON.stringify(`${gateway.stateDir}/gateway/admin.sock`)}).on('connect',()=>{console.log('in');process.exit()}).on('error',e=>console.log(e.code))`;
      return execFileSync('setpriv', [...user, process.execPath, '-e', script])
        .toString()
        .trim();
    };
    expect(steal(['--reuid', OTHER_USER, '--regid', OTHER_USER, '--clear-groups'])).toBe('EACCES');
    expect(steal(['--clear-groups'])).toBe('in');
  });

  test('AU-12 every forwarding header lowers a loopback peer; none raises anybody', async () => {
    const gateway = await start(guarded());
    const headers = [
      'Forwarded',
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Forwarded-Proto',
      'X-Forwarded-Port',
      'X-Forwarded-Server',
      'X-Forwarded-By',
      'X-Forwarded-User',
      'X-Forwarded-Prefix',
      'X-Forwarded-Anything',
      'X-FORWARDED-FOR',
      'X-Real-IP',
      'CF-Connecting-IP',
      'CF-Ray',
      'CF-Visitor',
      'CF-IPCountry',
      'CF-Access-Jwt-Assertion',
      'Tailscale-User-Login',
      'Tailscale-User-Name',
      'Tailscale-User-Profile-Pic',
      'Tailscale-Headers-Info',
      'Tailscale-App-Capabilities',
    ];
    const bare = await outcome(gateway, 'local', { scopes: ALL, auth: { token: TOKEN } });
    expect(bare).toBe('in RWAP');
    const seen: [string, Record<string, string>][] = [];
    for (const name of headers) {
      const cells: Record<string, string> = {};
      for (const [label, value] of [
        ['127.0.0.1', '127.0.0.1'],
        ['for=…', 'for=127.0.0.1;host=localhost'],
        ['empty', ''],
      ] as const) {
        cells[label] = await outcome(gateway, 'local', { scopes: ALL, auth: { token: TOKEN }, headers: { [name]: value } });
      }
      seen.push([name, cells]);
    }
    print('header from an unlisted loopback peer', seen, ['127.0.0.1', 'for=…', 'empty']);
    for (const [name, cells] of seen) expect(cells, name).toEqual({ '127.0.0.1': 'in RW', 'for=…': 'in RW', empty: 'in RW' });
    for (const value of ['?1', '?0', '', 'false']) {
      for (const place of ['local', 'neighbour', 'remote', 'proxied'] as const) {
        const said = await outcome(gateway, place, { auth: { token: TOKEN }, headers: { 'Tailscale-Funnel-Request': value } });
        expect(said, `${place} ${value}`).toBe('DEVICE_IDENTITY_REQUIRED');
      }
    }
  });

  test('AU-11 a listed proxy that names no client is remote, and an unlisted one cannot choose its address', async () => {
    const gateway = await start(guarded({}, { rateLimit: { maxAttempts: 3, windowMs: 60_000, lockoutMs: 60_000 } }));
    const from = async (place: Place, headers: Record<string, string>, token: string, localAddress?: string) =>
      outcome(gateway, place, { scopes: ALL, auth: { token }, headers, ...(localAddress === undefined ? {} : { localAddress }) });
    // A lock follows the peer of an unlisted forwarder, whatever it claims …
    for (let i = 0; i < 3; i++) expect(await from('remote', { 'X-Forwarded-For': `198.51.100.${i}` }, 'wrong')).toBe('AUTH_TOKEN_MISMATCH');
    expect(await from('remote', { 'X-Forwarded-For': '198.51.100.77' }, TOKEN)).toBe('AUTH_RATE_LIMITED');
    expect(await from('remote', {}, TOKEN)).toBe('AUTH_RATE_LIMITED');
    // … and the client that a listed one names: others behind it go on.
    const proxied = (client: string) => ({ 'X-Forwarded-For': client });
    for (let i = 0; i < 3; i++) expect(await from('proxied', proxied('203.0.113.9'), 'wrong')).toBe('AUTH_TOKEN_MISMATCH');
    expect(await from('proxied', proxied('203.0.113.9'), TOKEN)).toBe('AUTH_RATE_LIMITED');
    // What the client itself wrote stands left of what the proxy wrote.
    expect(await from('proxied', proxied('192.0.2.1, 203.0.113.9'), TOKEN)).toBe('AUTH_RATE_LIMITED');
    expect(await from('proxied', proxied('203.0.113.10'), TOKEN)).toBe('in RW');
    // Nor is the way through the proxy the way from its address.
    const { by, url } = way('proxied', gateway.port);
    const direct = await by.knock({ url, connect: { scopes: ALL, auth: { token: TOKEN }, localAddress: PROXY }, calls: CALLS });
    expect(
      direct.ok &&
        CALLS.filter(({ method }) => direct.answers[method] === 'ok')
          .map(({ letter }) => letter)
          .join(''),
    ).toBe('RW');
    // Nobody is locked on the way of this machine's own user.
    expect(await from('local', {}, TOKEN)).toBe('in RWAP');
  });

  test('AU-20 a lock holds for the whole /64 of an IPv6 address, and for nobody else', async () => {
    const on = (host: { name: string }, ...addresses: string[]): void => {
      const device = execFileSync('ip', ['-n', host.name, '-o', 'route', 'show', '10.86.0.0/24'])
        .toString()
        .match(/dev (\S+)/)?.[1] as string;
      for (const address of addresses) execFileSync('ip', ['-n', host.name, 'addr', 'add', address, 'dev', device, 'nodad']);
    };
    on(hosts.server, 'fd00:86::1/32');
    on(hosts.laptop, 'fd00:86:0:a::1/32', 'fd00:86:0:a:1:2:3:4/32', 'fd00:86:0:b::1/32');
    const gateway = await start({ gateway: { bind: 'custom', customBindHost: 'fd00:86::1', auth: { token: TOKEN } } });
    const knockFrom = async (localAddress: string, token: string): Promise<string> => {
      const answer = await laptop.knock({ url: `ws://[fd00:86::1]:${gateway.port}/`, connect: { auth: { token }, localAddress } });
      return answer.ok ? 'in' : answer.error.details.code;
    };
    for (let i = 0; i < 10; i++)
      expect(await knockFrom(i % 2 === 0 ? 'fd00:86:0:a::1' : 'fd00:86:0:a:1:2:3:4', 'wrong')).toBe('AUTH_TOKEN_MISMATCH');
    expect(await knockFrom('fd00:86:0:a::1', TOKEN)).toBe('AUTH_RATE_LIMITED');
    expect(await knockFrom('fd00:86:0:a:1:2:3:4', TOKEN)).toBe('AUTH_RATE_LIMITED');
    expect(await knockFrom('fd00:86:0:b::1', TOKEN)).toBe('in');
  });

  test('AU-75 mode none: WebSocket of this user alone, nothing on HTTP', async () => {
    const gateway = await start({ gateway: { auth: { mode: 'none' }, http: { endpoints: { chatCompletions: { enabled: true } } } } });
    const seen: [string, Record<string, string>][] = [];
    for (const [name, at] of [
      ['WebSocket, no device', (place: Place) => outcome(gateway, place, { scopes: ALL })],
      ['HTTP', (place: Place) => http(gateway, place, undefined)],
      ['HTTP, any Bearer', (place: Place) => http(gateway, place, TOKEN)],
    ] as const) {
      const cells: Record<string, string> = {};
      for (const place of ['local', 'neighbour', 'unlisted', 'public'] as const) cells[place] = await at(place);
      seen.push([name, cells]);
    }
    print('mode none', seen, ['local', 'neighbour', 'unlisted', 'public']);
    expect(Object.fromEntries(seen)).toEqual({
      'WebSocket, no device': { local: 'in RWAP', neighbour: 'AUTH_REQUIRED', unlisted: 'AUTH_REQUIRED', public: 'AUTH_REQUIRED' },
      HTTP: { local: '401', neighbour: '401', unlisted: '401', public: '401' },
      'HTTP, any Bearer': { local: '401', neighbour: '401', unlisted: '401', public: '401' },
    });
  });

  test("AU-1 the panel's opt-outs act on local alone", async () => {
    const gateway = await start(guarded({ controlUi: { allowInsecureAuth: true, dangerouslyDisableDeviceAuth: true } }));
    for (const place of PLACES) {
      const origin = new URL(way(place, gateway.port).url.replace('ws:', 'http:')).origin;
      const said = await outcome(gateway, place, { scopes: ALL, auth: { token: TOKEN }, origin });
      expect(said, place).toBe(place === 'local' ? 'in RWAP' : 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED');
      expect(await outcome(gateway, place, { scopes: ALL, origin }), place).toBe('AUTH_TOKEN_MISSING');
    }
  });

  test('AU-74 mode trusted-proxy: the listed proxy names an allowed user; nobody else is believed', async () => {
    const identity = { userHeader: 'X-Auth-User', requiredHeaders: ['X-Auth-Checked'], allowUsers: ['ada'] };
    const config = (allowUsers?: readonly string[]) => ({
      gateway: {
        bind: 'lan',
        trustedProxies: [PROXY, '127.0.0.1'],
        auth: {
          mode: 'trusted-proxy',
          trustedProxy: { ...identity, ...(allowUsers === undefined ? {} : { allowUsers }) },
        },
      },
    });
    const gateway = await start(config());
    const vouched = { 'X-Auth-User': 'ada', 'X-Auth-Checked': 'yes' };
    const at = (place: Place, headers: Record<string, string>, key: Key | undefined = newKey()) =>
      outcome(gateway, place, { scopes: ALL, headers, ...(key === undefined ? {} : { deviceKey: key.pem }) }, key);
    expect(await at('proxied', vouched)).toBe('in RW, files scope-upgrade');
    expect(await outcome(gateway, 'proxied', { scopes: ALL, headers: vouched })).toBe('DEVICE_IDENTITY_REQUIRED');
    expect(await at('proxied', { ...vouched, 'X-Auth-User': 'mallory' })).toBe('AUTH_UNAUTHORIZED');
    expect(await at('proxied', { ...vouched, 'X-Auth-User': 'ada, mallory' })).toBe('AUTH_UNAUTHORIZED');
    expect(await at('proxied', { 'X-Auth-User': 'ada' })).toBe('AUTH_UNAUTHORIZED');
    expect(await at('proxied', {})).toBe('AUTH_UNAUTHORIZED');
    // Anybody on this machine can be a proxy on loopback; a stranger on the network can write any header.
    for (const place of ['remote', 'unlisted', 'neighbour', 'local'] as const)
      expect(await at(place, vouched), place).toBe('AUTH_UNAUTHORIZED');
    expect(await at('public', vouched)).toBe('AUTH_UNAUTHORIZED');
    const { by, host, localAddress } = way('proxied', gateway.port);
    const page = await by.http({
      host,
      port: gateway.port,
      path: '/control-ui-config.json',
      headers: { ...vouched, 'X-Forwarded-For': '203.0.113.9' },
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    expect(page.status).toBe(401);
    // An empty list allows nobody.
    const nobody = await start(config([]));
    expect(await outcome(nobody, 'proxied', { scopes: ALL, headers: vouched, deviceKey: newKey().pem })).toBe('AUTH_UNAUTHORIZED');
  });
});

function print(title: string, rows: readonly [string, Record<string, string>][], columns: readonly string[]): void {
  const cells = [[title, ...columns], ...rows.map(([name, row]) => [name, ...columns.map((column) => row[column] ?? '')])];
  const widths = cells[0]?.map((_, i) => Math.max(...cells.map((row) => (row[i] ?? '').length))) ?? [];
  console.log(cells.map((row) => row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')).join('\n'));
}
