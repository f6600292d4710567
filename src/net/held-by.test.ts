import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { type Holder, listenerIs, peerIs } from './held-by.ts';

const uid = process.getuid?.() ?? -1;
const own: Holder = { pid: process.pid, uids: [uid] };
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function listening(host: string): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}));
  server.listen(0, host);
  await once(server, 'listening');
  closers.push(() => server.close());
  return { server, port: (server.address() as AddressInfo).port };
}

async function elsewhere(as?: number): Promise<{ child: ChildProcess; port: number }> {
  const script = "const s = require('node:net').createServer(() => {}).listen(0, '127.0.0.1', () => console.log(s.address().port))";
  const child = spawn(process.execPath, ['-e', script], {
    cwd: '/',
    stdio: ['ignore', 'pipe', 'ignore'],
    ...(as === undefined ? {} : { uid: as, gid: as }),
  });
  closers.push(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout as NonNullable<typeof child.stdout>, 'data')) as [Buffer];
  return { child, port: Number(line) };
}

async function dialled(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ host, port });
  closers.push(() => socket.destroy());
  await once(socket, 'connect');
  return socket;
}

describe('CR-22 who holds the other end on this machine', { skip: process.platform !== 'linux' }, () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['::', '127.0.0.1'],
    ['::1', '::1'],
    ['::', '::1'],
  ])('a listener on %s, dialled as %s', async (bound, host) => {
    const { server, port } = await listening(bound);
    expect(await listenerIs(host, port, own)).toBe('right');
    const taken = once(server, 'connection');
    const socket = await dialled(port, host);
    await taken;
    expect(await peerIs(socket, own)).toBe('right');
    for (const wrong of [{ pid: process.ppid, uids: [uid] }, { pid: 0, uids: [uid] }, { uids: [uid + 1] }, { uids: [] }]) {
      expect([await listenerIs(host, port, wrong), await peerIs(socket, wrong)]).toEqual(['wrong', 'wrong']);
    }
  });

  test('another process of the same user is another process', async () => {
    const { child, port } = await elsewhere();
    expect(await listenerIs('127.0.0.1', port, own)).toBe('wrong');
    expect(await listenerIs('127.0.0.1', port, { pid: child.pid ?? 0, uids: [uid] })).toBe('right');
    expect(await listenerIs('127.0.0.1', port, { uids: [uid] })).toBe('right');
  });

  test.skipIf(uid !== 0)('another user’s process is another user’s (skipped: needs root)', async () => {
    const { port } = await elsewhere(61_234);
    expect(await listenerIs('127.0.0.1', port, { uids: [uid, 0] })).toBe('wrong');
  });

  test('nobody is nobody; a connection that nobody has taken yet proves nothing', async () => {
    const { server, port } = await listening('127.0.0.1');
    server.close();
    await once(server, 'close');
    expect(await listenerIs('127.0.0.1', port, own)).toBe('nobody');
    expect(await peerIs({ localAddress: '127.0.0.1', localPort: 1, remoteAddress: '127.0.0.1', remotePort: port }, own)).toBe('wrong');
    expect(await peerIs({}, own)).toBe('wrong');
    expect(await listenerIs('no address', 1, own)).toBe('nobody');
  });
});
