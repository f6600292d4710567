import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { parseIp } from './addresses.ts';
import { listInterfaces } from './interfaces.ts';
import { peerUidReader, type SocketEnds } from './peer-uid.ts';
import { parseProcRow, procEndpoint } from './proc-net.ts';

const isLinux = process.platform === 'linux';
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

/** Connects and returns the server's side. */
async function accepted(listenHost: string, dialHost: string): Promise<{ ours: Socket; theirs: Socket }> {
  const { server, port } = await listening(listenHost);
  const theirs = connect({ host: dialHost, port });
  theirs.on('error', () => {});
  const [ours] = (await once(server, 'connection')) as [Socket];
  closers.push(
    () => ours.destroy(),
    () => theirs.destroy(),
  );
  return { ours, theirs };
}

/** A client in a process of its own, under another uid and from wherever `command` puts it. */
function client(port: number, options: { uid?: number; host?: string; prefix?: readonly string[] } = {}): ChildProcess {
  const script = `require('node:net').connect(${port}, ${JSON.stringify(options.host ?? '127.0.0.1')}).on('error', () => process.exit(3)); setTimeout(() => {}, 60000)`;
  const [program = '', ...args] = [...(options.prefix ?? []), process.execPath, '-e', script];
  const child = spawn(program, args, {
    stdio: 'ignore',
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    cwd: '/',
  });
  closers.push(() => child.kill('SIGKILL'));
  return child;
}

describe('NET-24 the peer’s uid', { skip: !isLinux }, () => {
  const read = peerUidReader();
  const own = { kind: 'uid', uid: process.getuid?.() };

  test('own connection over IPv4', async () => {
    const { ours } = await accepted('127.0.0.1', '127.0.0.1');
    expect(await read(ours)).toEqual(own);
  });

  test('own connection over IPv6', async ({ skip }) => {
    if (!listInterfaces().some(({ address }) => address === '::1')) skip('this machine has no ::1');
    const { ours } = await accepted('::1', '::1');
    expect(await read(ours)).toEqual(own);
  });

  test('IPv4 through dual-stack sockets, on either side', async ({ skip }) => {
    if (!listInterfaces().some(({ address }) => address === '::1')) skip('this machine has no IPv6');
    const dual = await accepted('::', '127.0.0.1');
    expect(dual.ours.remoteAddress).toBe('::ffff:127.0.0.1');
    expect(await read(dual.ours)).toEqual(own);
    const mappedClient = await accepted('127.0.0.1', '::ffff:127.0.0.1');
    expect(await read(mappedClient.ours)).toEqual(own);
  });

  test('a process of another uid', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('needs root, to start a process of another uid');
    const { server, port } = await listening('127.0.0.1');
    client(port, { uid: 4242 });
    const [socket] = (await once(server, 'connection')) as [Socket];
    closers.push(() => socket.destroy());
    expect(await read(socket)).toEqual({ kind: 'uid', uid: 4242 });
  });

  test('the user nobody is somebody else, whether or not this is a user namespace', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('needs root, to start a process of another uid');
    const { server, port } = await listening('127.0.0.1');
    client(port, { uid: 65_534 });
    const [socket] = (await once(server, 'connection')) as [Socket];
    closers.push(() => socket.destroy());
    expect([{ kind: 'uid', uid: 65_534 }, { kind: 'missing' }]).toContainEqual(await read(socket));
  });

  test('a peer that has gone is missing, not root (a time-wait row says uid 0)', async ({ skip }) => {
    if (process.getuid?.() !== 0) skip('needs root, to start a process of another uid');
    const { server, port } = await listening('127.0.0.1');
    const child = client(port, { uid: 4242 });
    const [socket] = (await once(server, 'connection')) as [Socket];
    closers.push(() => socket.destroy());
    socket.pause();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await read(socket)).toEqual({ kind: 'missing' });
  });

  test('a connection of another network namespace is missing', async ({ skip }) => {
    const name = `ocnet${process.pid}`;
    if (process.getuid?.() !== 0 || spawnSync('ip', ['netns', 'add', name]).status !== 0)
      skip('needs root and iproute2: apt-get install iproute2');
    closers.push(() => void spawnSync('ip', ['netns', 'del', name]));
    const [here, there] = [`ocn${process.pid}a`, `ocn${process.pid}b`];
    const ip = (...args: string[]): void => expect(spawnSync('ip', args).status, args.join(' ')).toBe(0);
    ip('link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', name);
    closers.push(() => void spawnSync('ip', ['link', 'del', here]));
    ip('addr', 'add', '198.18.77.1/30', 'dev', here);
    ip('link', 'set', here, 'up');
    ip('-n', name, 'addr', 'add', '198.18.77.2/30', 'dev', there);
    ip('-n', name, 'link', 'set', there, 'up');
    const { server, port } = await listening('198.18.77.1');
    client(port, { host: '198.18.77.1', prefix: ['ip', 'netns', 'exec', name] });
    const [socket] = (await once(server, 'connection')) as [Socket];
    closers.push(() => socket.destroy());
    expect(await read(socket)).toEqual({ kind: 'missing' });
  });

  test('NET-45 a hundred questions at once, each answered', async () => {
    const { server, port } = await listening('127.0.0.1');
    const sockets: Socket[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    const clients = Array.from({ length: 100 }, () => connect(port, '127.0.0.1'));
    await Promise.all(clients.map((each) => once(each, 'connect')));
    while (sockets.length < 100) await once(server, 'connection');
    closers.push(() => {
      for (const socket of [...clients, ...sockets]) socket.destroy();
    });
    expect(await Promise.all(sockets.map(read))).toEqual(sockets.map(() => own));
    const [twice] = sockets;
    if (twice) expect(await Promise.all([read(twice), read(twice)])).toEqual([own, own]);
  });
});

describe('NET-24 rows', { skip: !isLinux }, () => {
  const ends: SocketEnds = { localAddress: '127.0.0.1', localPort: 18789, remoteAddress: '127.0.0.1', remotePort: 50_000 };
  const end = (text: string, port: number): string => {
    const ip = parseIp(text);
    return ip ? procEndpoint({ ip, port }, 'tcp') : '';
  };
  const key = `${end('127.0.0.1', 50_000)} ${end('127.0.0.1', 18_789)}`;
  const row = (state: string, uid: number, inode: number): string =>
    `   0: ${key} ${state} 00000000:00000000 00:00000000 00000000 ${uid}        0 ${inode} 1 0\n`;
  const answer = async (table: string): Promise<unknown> => {
    const folder = mkdtempSync(join(tmpdir(), 'oc-proc-'));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'tcp'), table);
    writeFileSync(join(folder, 'tcp6'), '  sl  local_address\n');
    return peerUidReader({ procNet: folder })(ends);
  };
  const missing = { kind: 'missing' };

  test('only a row that a living process holds counts', async () => {
    expect(await answer(row('01', 1000, 77))).toEqual({ kind: 'uid', uid: 1000 });
    expect(await answer(row('08', 1000, 77))).toEqual({ kind: 'uid', uid: 1000 });
    expect(await answer(row('06', 0, 0))).toEqual(missing);
    expect(await answer(row('06', 0, 77))).toEqual(missing);
    expect(await answer(row('04', 0, 0))).toEqual(missing);
    expect(await answer(row('02', 1000, 77))).toEqual(missing);
  });

  test('a long table is read to its end, over every cut of the reads', async () => {
    const other = row('01', 5, 5).replace(end('127.0.0.1', 50_000), end('127.0.0.2', 50_000));
    expect(await answer(other.repeat(3000) + row('01', 1000, 77))).toEqual({ kind: 'uid', uid: 1000 });
    expect(await answer(other.repeat(3000))).toEqual(missing);
  });

  test('NET-45 who hung up keeps nobody waiting', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'oc-proc-'));
    closers.push(() => rmSync(folder, { recursive: true, force: true }));
    writeFileSync(join(folder, 'tcp'), row('01', 1000, 77));
    writeFileSync(join(folder, 'tcp6'), '');
    const read = peerUidReader({ procNet: folder });
    const answered: string[] = [];
    await Promise.all([
      read({ ...ends, remotePort: 50_001 }).then(({ kind }) => answered.push(kind)),
      read(ends).then(({ kind }) => answered.push(kind)),
    ]);
    expect(answered).toEqual(['uid', 'missing']);
  });

  test('garbage, no table, no address: missing', async () => {
    expect(await answer('\u0000garbage\n: : :\n\n')).toEqual(missing);
    expect(await peerUidReader({ procNet: '/nowhere' })(ends)).toEqual(missing);
    expect(await peerUidReader()({ ...ends, remoteAddress: undefined })).toEqual(missing);
    expect(await peerUidReader()({ ...ends, remoteAddress: '::1' })).toEqual(missing);
    expect(parseProcRow('')).toBeUndefined();
  });
});

test('NET-24 elsewhere than on Linux it cannot be told, and says so', async () => {
  expect(
    await peerUidReader({ platform: 'darwin' })({ localAddress: '127.0.0.1', localPort: 1, remoteAddress: '127.0.0.1', remotePort: 2 }),
  ).toEqual({ kind: 'unknown' });
});
