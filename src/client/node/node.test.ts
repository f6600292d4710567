import { spawnSync } from 'node:child_process';
import { createHash, createPublicKey, verify, X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createServer as createNetServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { systemClock } from '../../lib/clock.ts';
import { GatewayClient } from '../client.ts';
import type { Holder, SocketClose } from '../socket.ts';
import { openAdminSocket } from './admin-socket.ts';
import { loadClientDevice } from './device-identity.ts';
import { openWebSocket } from './ws-socket.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'oc-client-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const load = (create = true) => loadClientDevice(dir, { create, nowMs: 1 });

test('CL-12 the device key is made once, 0600, and signs what its public key verifies', async () => {
  expect(load(false)).toBeUndefined();
  const device = load();
  const again = load(false);
  expect(again?.key.id).toBe(device?.key.id);
  expect(statSync(join(dir, 'client-device.json')).mode & 0o777).toBe(0o600);
  if (device === undefined) throw new Error('no device');
  const raw = Buffer.from(device.key.publicKey, 'base64url');
  expect(raw).toHaveLength(32);
  expect(device.key.id).toBe(createHash('sha256').update(raw).digest('hex'));
  const publicKey = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: device.key.publicKey }, format: 'jwk' });
  const signature = Buffer.from(await device.key.sign('v3|x'), 'base64url');
  expect(verify(null, Buffer.from('v3|x'), publicKey, signature)).toBe(true);
});

test('CL-12 a key file that others could read, a symlink and rubbish are refused with the fix', () => {
  load();
  const file = join(dir, 'client-device.json');
  chmodSync(file, 0o640);
  expect(() => load()).toThrow(expect.objectContaining({ code: 'DEVICE_FILE_UNSAFE', fix: `chmod 600 ${file}` }));
  rmSync(file);
  writeFileSync(join(dir, 'elsewhere'), '{}', { mode: 0o600 });
  symlinkSync(join(dir, 'elsewhere'), file);
  expect(() => load()).toThrow(expect.objectContaining({ code: 'DEVICE_FILE_UNSAFE' }));
  rmSync(file);
  for (const text of ['{', '[]', '{"privateKeyPem":"x"}']) {
    writeFileSync(file, text, { mode: 0o600 });
    expect(() => load()).toThrow(expect.objectContaining({ code: 'DEVICE_FILE_BROKEN' }));
  }
});

test('CL-12 device tokens are kept per gateway and role', () => {
  const tokens = load()?.tokens;
  if (tokens === undefined) throw new Error('no device');
  tokens.write('wss://claw.example', 'operator', { token: 'a', scopes: ['operator.read'] });
  tokens.write('ws://127.0.0.1:18789', 'operator', { token: 'b', scopes: [] });
  expect(tokens.read('wss://claw.example:443/ws', 'operator')?.token).toBe('a');
  expect(tokens.read('ws://claw.example:443', 'operator')).toBeUndefined();
  expect(tokens.read('wss://claw.example', 'node')).toBeUndefined();
  tokens.remove('wss://claw.example', 'operator');
  expect(tokens.read('wss://claw.example', 'operator')).toBeUndefined();
  expect(tokens.read('ws://127.0.0.1:18789', 'operator')?.token).toBe('b');
  expect(readFileSync(join(dir, 'client-device.json'), 'utf8')).not.toContain('"a"');
});

test('CL-2 lines over the admin socket: cut anywhere, several in one read, text outside ASCII', async () => {
  const path = join(dir, 's');
  const server = createNetServer((socket) => {
    socket.setNoDelay(true);
    socket.on('data', (data) => {
      const { id } = JSON.parse(String(data));
      const bytes = Buffer.from(
        `{"type":"event","event":"tick","payload":{"ts":1}}\n${JSON.stringify({ type: 'res', id, ok: true, payload: 'héllo 🦞' })}\n`,
      );
      let at = 0;
      const next = (): void => {
        if (at >= bytes.length) return;
        socket.write(bytes.subarray(at, at + 7), () => setImmediate(next));
        at += 7;
      };
      next();
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const client = clientTo('admin', path);
  const ticks: number[] = [];
  client.on('tick', ({ ts }) => ticks.push(ts));
  expect((await client.connect()).ok).toBe(true);
  expect(await client.call('health')).toEqual({ ok: true, value: 'héllo 🦞' });
  expect(ticks).toEqual([1]);
  client.close();
  await new Promise((resolve) => server.close(resolve));
});

test('CL-3 nobody behind the admin socket is ENOENT or ECONNREFUSED at once', async () => {
  expect(await clientTo('admin', join(dir, 'none')).connect()).toMatchObject({
    ok: false,
    error: { kind: 'unreachable', errno: 'ENOENT' },
  });
});

function clientTo(door: 'ws' | 'admin', url: string, holder?: Holder): GatewayClient {
  return new GatewayClient({
    openSocket: door === 'admin' ? openAdminSocket : openWebSocket,
    clock: systemClock,
    target: () => ({ endpoint: { door, url, ...(holder && { holder }) }, credentials: { token: 't' }, trusted: true }),
    hello: { client: { id: 'cli', mode: 'cli', version: '1', platform: 'linux' }, role: 'operator', scopes: [] },
  });
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

test('CL-1 over a real WebSocket: handshake, a request, the close code', async () => {
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  sockets.on('connection', (socket) => {
    socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: 5 } }));
    socket.on('message', (data) => {
      const { id, method } = JSON.parse(String(data));
      if (method === 'connect') socket.send(JSON.stringify({ type: 'res', id, ok: true, payload: { type: 'hello-ok', protocol: 4 } }));
      else if (method === 'bye') socket.close(4001, 'device removed');
      else socket.send(JSON.stringify({ type: 'res', id, ok: true, payload: method }));
    });
  });
  const port = await listening(server);
  const client = clientTo('ws', `ws://127.0.0.1:${port}/`);
  expect((await client.connect()).ok).toBe(true);
  expect(await client.call('health')).toEqual({ ok: true, value: 'health' });
  expect(await client.ping()).toBe(true);
  expect(await client.call('bye')).toEqual({ ok: false, error: { kind: 'closed', code: 4001, reason: 'device removed' } });
  sockets.close();
  server.close();
});

test('CL-3 an HTTP server that does not upgrade is named by its status; a free port by its errno', async () => {
  const server = createServer((_request, response) => response.writeHead(421).end('no'));
  const port = await listening(server);
  expect(await clientTo('ws', `ws://127.0.0.1:${port}/`).connect()).toMatchObject({
    ok: false,
    error: { kind: 'unreachable', httpStatus: 421 },
  });
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  expect(await clientTo('ws', `ws://127.0.0.1:${port}/`).connect()).toMatchObject({
    ok: false,
    error: { kind: 'unreachable', errno: 'ECONNREFUSED' },
  });
});

test('CL-13 a pin needs wss', async () => {
  const closed = await new Promise<SocketClose>((resolve) =>
    openWebSocket({ door: 'ws', url: 'ws://127.0.0.1:9/', tlsFingerprint: 'aa' }, { open: () => {}, message: () => {}, closed: resolve }),
  );
  expect(closed.error).toContain('requires a wss:// URL');
});

test('CL-13 the pin is compared before anything of the upgrade leaves; the right one connects without an authority', async (ctx) => {
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const made = spawnSync('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-keyout',
    key,
    '-out',
    cert,
    '-days',
    '2',
    '-subj',
    '/CN=other.example',
  ]);
  if (made.status !== 0) ctx.skip('openssl is missing: apt-get install openssl');
  let bytes = 0;
  const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      bytes += chunk.length;
    });
  });
  new WebSocketServer({ server }).on('connection', (socket) =>
    socket.send('{"type":"event","event":"connect.challenge","payload":{"nonce":"n"}}'),
  );
  const port = await listening(server as unknown as Server);
  const url = `wss://127.0.0.1:${port}/?x=1`;
  const dial = (tlsFingerprint?: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = openWebSocket(
        { door: 'ws', url, ...(tlsFingerprint === undefined ? {} : { tlsFingerprint }) },
        {
          open: () => {},
          message: () => {
            socket.close();
            resolve('connected');
          },
          closed: (close) => resolve(close.error ?? 'closed'),
        },
      );
    });
  const { fingerprint256 } = new X509Certificate(readFileSync(cert));
  expect(await dial('ab'.repeat(32))).toMatch(/fingerprint mismatch/);
  expect(await dial()).toMatch(/self-signed|unable to verify/);
  expect(bytes).toBe(0);
  // Twice: the second session could be a resumed one, which shows no certificate.
  for (const form of [fingerprint256, `sha256:${fingerprint256.replaceAll(':', '').toLowerCase()}`])
    expect(await dial(form)).toBe('connected');
  server.closeAllConnections();
  server.close();
});

test.skipIf(process.platform !== 'linux')('CR-22 the process at the other end is looked at before `connect` leaves', async () => {
  const server = createServer();
  const sockets = new WebSocketServer({ server });
  const heard: string[] = [];
  sockets.on('connection', (socket) => {
    socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: 5 } }));
    socket.on('message', (data) => {
      heard.push(String(data));
      const { id } = JSON.parse(String(data));
      socket.send(JSON.stringify({ type: 'res', id, ok: true, payload: { type: 'hello-ok', protocol: 4 } }));
    });
  });
  const url = `ws://127.0.0.1:${await listening(server)}/`;
  const uids = [process.getuid?.() ?? -1];
  const outcome = (pid: number) => clientTo('ws', url, { pid, uids }).connect();
  for (const pid of [process.ppid, 0]) {
    expect(await outcome(pid)).toMatchObject({ ok: false, error: { kind: 'unreachable', errno: 'NOT_THE_HOLDER' } });
  }
  expect(heard).toEqual([]);
  expect((await outcome(process.pid)).ok).toBe(true);
  expect(heard).toHaveLength(1);
  for (const socket of sockets.clients) socket.terminate();
  sockets.close();
  server.close();
});
