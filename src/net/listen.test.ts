import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, lstatSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { planBind } from './bind.ts';
import { listInterfaces } from './interfaces.ts';
import { type Listening, listen } from './listen.ts';
import { fitsSocketPath, listenUnix } from './listen-unix.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

const serverFor = (): Server => createServer((socket) => socket.end('hi'));
const hasIpv6 = listInterfaces().some(({ address }) => address === '::1');

async function opened(addresses: readonly { host: string; required: boolean }[], port = 0): Promise<Listening> {
  const result = await listen({ addresses, port, serverFor });
  if (!result.ok) throw new Error(result.error.message);
  closers.push(result.value.close);
  return result.value;
}

async function greeting(host: string, port: number): Promise<string> {
  const socket = connect({ host, port });
  const [data] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return data.toString();
}

describe('NET-7 listen', () => {
  test('loopback answers on 127.0.0.1 and, at the same port, on ::1', async ({ skip }) => {
    if (!hasIpv6) skip('this machine has no ::1');
    const plan = planBind({ mode: 'loopback', port: 0, interfaces: listInterfaces() });
    if (plan.kind !== 'listen') throw new Error('no plan');
    const { port, listeners, missing } = await opened(plan.addresses);
    expect(listeners.map((each) => [each.host, each.port])).toEqual([
      ['127.0.0.1', port],
      ['::1', port],
    ]);
    expect(missing).toEqual([]);
    expect(await greeting('127.0.0.1', port)).toBe('hi');
    expect(await greeting('::1', port)).toBe('hi');
  });

  test('an address that is not required may be missing, and is named', async () => {
    const { port, missing } = await opened([
      { host: '127.0.0.1', required: true },
      { host: '2001:db8::1', required: false },
    ]);
    expect(missing).toMatchObject([{ host: '2001:db8::1', port, code: 'ADDRESS_NOT_AVAILABLE' }]);
  });

  test('with a fixed port, a taken ::1 is named and 127.0.0.1 still answers', async ({ skip }) => {
    if (!hasIpv6) skip('this machine has no ::1');
    const { port } = await opened([{ host: '::1', required: true }]);
    const { listeners, missing } = await opened(
      [
        { host: '127.0.0.1', required: true },
        { host: '::1', required: false },
      ],
      port,
    );
    expect(listeners.map(({ host }) => host)).toEqual(['127.0.0.1']);
    expect(missing).toMatchObject([{ code: 'PORT_IN_USE', host: '::1', holder: { pid: process.pid } }]);
  });

  test('takes http servers as they are', async () => {
    const result = await listen({
      addresses: [{ host: '127.0.0.1', required: true }],
      port: 0,
      serverFor: () => createHttpServer((_req, res) => res.end('ok')),
    });
    if (!result.ok) throw new Error('not open');
    closers.push(result.value.close);
    expect(await (await fetch(`http://127.0.0.1:${result.value.port}/`)).text()).toBe('ok');
  });

  test('all or nothing: a required address that fails closes those before it', async () => {
    const result = await listen({
      addresses: [
        { host: '127.0.0.1', required: true },
        { host: '192.0.2.1', required: true },
      ],
      port: 0,
      serverFor,
    });
    if (result.ok) throw new Error('open');
    expect(result.error).toMatchObject({ code: 'ADDRESS_NOT_AVAILABLE', host: '192.0.2.1' });
    await expect(greeting('127.0.0.1', result.error.port)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });
});

describe('NET-22 a busy port', () => {
  test('names host, port and the process of the same user, which goes on', async ({ skip }) => {
    if (process.platform !== 'linux') skip('the holder is named on Linux only');
    const script = "const s = require('node:net').createServer().listen(0, '127.0.0.1', () => console.log(s.address().port))";
    const child = spawn(process.execPath, ['-e', script, '--', 'a-secret-argument'], { stdio: ['ignore', 'pipe', 'inherit'] });
    closers.push(() => child.kill());
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const port = Number(line.toString());
    const result = await listen({ addresses: [{ host: '127.0.0.1', required: true }], port, serverFor });
    if (result.ok) throw new Error('open');
    expect(result.error).toMatchObject({ code: 'PORT_IN_USE', holder: { pid: child.pid, uid: process.getuid?.() } });
    expect(result.error.message).toContain(`127.0.0.1:${port} is already in use by pid ${child.pid} (node`);
    expect(result.error.message).not.toContain('secret');
    expect(child.exitCode).toBeNull();
  });

  test('a wildcard listener is found too', async ({ skip }) => {
    if (process.platform !== 'linux') skip('the holder is named on Linux only');
    const { port } = await opened([{ host: '0.0.0.0', required: true }]);
    const result = await listen({ addresses: [{ host: '127.0.0.1', required: true }], port, serverFor });
    expect(result).toMatchObject({ ok: false, error: { code: 'PORT_IN_USE', holder: { pid: process.pid } } });
  });
});

describe('NET-23 the admin socket', { skip: process.platform === 'win32' }, () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'oc-net-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));
  const served = (): Server => {
    const server = serverFor();
    closers.push(() => server.close());
    return server;
  };

  test('is 0600 in a 0700 folder, made or mended', async () => {
    for (const folder of [join(root, 'new', 'deep'), join(root, 'open')]) {
      if (folder.endsWith('open')) {
        mkdirSync(folder);
        chmodSync(folder, 0o777);
      }
      const path = join(folder, 'admin.sock');
      expect(await listenUnix(served(), path)).toEqual({ ok: true, value: undefined });
      expect(statSync(folder).mode & 0o777).toBe(0o700);
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
  });

  test('a dead process’s socket is replaced, a living one’s is not', async () => {
    const path = join(root, 'admin.sock');
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => console.log('up'))`;
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    closers.push(() => child.kill('SIGKILL'));
    await once(child.stdout, 'data');
    expect(await listenUnix(served(), path)).toMatchObject({ ok: false, error: { code: 'SOCKET_IN_USE' } });
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(lstatSync(path).isSocket()).toBe(true);
    expect(await listenUnix(served(), path)).toMatchObject({ ok: true });
  });

  test('a file or a link in its place is left alone', async () => {
    const file = join(root, 'file');
    writeFileSync(file, 'mine');
    const link = join(root, 'link');
    symlinkSync(file, link);
    for (const path of [file, link])
      expect(await listenUnix(served(), path)).toMatchObject({ ok: false, error: { code: 'SOCKET_NOT_OURS' } });
    symlinkSync(root, join(root, 'folder'));
    expect(await listenUnix(served(), join(root, 'folder', 's'))).toMatchObject({ ok: false, error: { code: 'SOCKET_DIR_UNSAFE' } });
  });

  test('a shared folder is neither used nor closed to its other users', async () => {
    const shared = join(root, 'shared');
    mkdirSync(shared);
    chmodSync(shared, 0o1777);
    for (const folder of [shared, '/tmp', '/run']) {
      const before = statSync(folder).mode;
      expect(await listenUnix(served(), join(folder, 'oc-test.sock'))).toMatchObject({ ok: false, error: { code: 'SOCKET_DIR_UNSAFE' } });
      expect(statSync(folder).mode).toBe(before);
    }
  });

  test('a path that not every system takes is refused', async () => {
    const path = join(root, 'é'.repeat(50));
    expect(fitsSocketPath(path)).toBe(false);
    expect(await listenUnix(served(), path)).toMatchObject({ ok: false, error: { code: 'SOCKET_PATH_TOO_LONG' } });
  });

  test('somebody else’s folder is refused', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('needs root, to make a folder of another user');
    const { chownSync } = await import('node:fs');
    const folder = join(root, 'theirs');
    mkdirSync(folder);
    chownSync(folder, 65534, 65534);
    expect(await listenUnix(served(), join(folder, 's'))).toMatchObject({ ok: false, error: { code: 'SOCKET_DIR_UNSAFE' } });
  });
});
