import { once } from 'node:events';
import { type Socket, connect as tcp } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { connect, RawClient } from '../support/wire.ts';
import { expectWithinBounds, startWatchedGateway, TIMES, type WatchedGateway } from './support/attack.ts';

/** Memory that connections make the gateway hold, in both directions, and honest ones in a crowd. */

const MiB = 1024 * 1024;
const HTTP = { gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } } };

const open: Socket[] = [];
const clients: RawClient[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.destroy();
  for (const { ws } of clients.splice(0)) ws.terminate();
});

const socketOf = (ws: WebSocket): Socket => (ws as unknown as { _socket: Socket })._socket;

/** A connection to the port, or to a socket file, that survives whatever is done to it. */
async function dial(to: number | string): Promise<Socket> {
  const socket = typeof to === 'number' ? tcp(to, '127.0.0.1') : tcp(to);
  open.push(socket);
  const connected = once(socket, 'connect');
  socket.on('error', () => {});
  await connected;
  return socket;
}

async function admitted(gateway: WatchedGateway, count: number, scopes: readonly string[]): Promise<RawClient[]> {
  const auth = { token: gateway.token() };
  for (let i = 0; i < count; i++) clients.push(await connect(gateway.url, { auth, scopes, client: { instanceId: `attacker-${i}` } }));
  for (const { ws } of clients) ws.on('error', () => {});
  return [...clients];
}

/** Writes `bytes` as far as the other side takes them; gives up when it is closed or takes nothing for two seconds. */
async function pour(socket: Socket, head: Buffer, piece: Buffer, bytes: number): Promise<void> {
  socket.on('error', () => {});
  socket.write(head);
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += piece.length) if (!socket.write(piece)) await writable(socket);
}

/** Resolves when more can be written, when it is over, or when nothing was taken for two seconds. */
function writable(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      socket.off('drain', done).off('close', done);
      resolve();
    };
    const timer = setTimeout(done, 2_000);
    socket.on('drain', done).on('close', done);
  });
}

/** The same from somebody who reads nothing from now on. */
function pourUnread(ws: WebSocket, piece: Buffer, bytes: number): Promise<void> {
  ws.pause();
  return pour(socketOf(ws), Buffer.alloc(0), piece, bytes);
}

/** The head of a masked frame (mask 0) whose payload is to follow. */
function frameHead(opcode: number, length: number, fin = true): Buffer {
  const head = Buffer.alloc(14);
  head[0] = (fin ? 0x80 : 0) | opcode;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  return head;
}

/** It gives the memory back when they have left: within 1.5 times of what it held before, within two minutes. */
async function expectGivenBack(gateway: WatchedGateway, idleMiB: number): Promise<void> {
  const bound = TIMES > 1 ? 1.75 : 1.5;
  const began = performance.now();
  while (gateway.rssMiB() > idleMiB * bound && performance.now() - began < GIVE_BACK_MS) await wait(500);
  console.log(
    `hostile |   after they left: ${gateway.rssMiB().toFixed(0)} MiB of ${idleMiB.toFixed(0)} idle, ${((performance.now() - began) / 1000).toFixed(0)} s`,
  );
  expect(gateway.rssMiB(), 'resident memory after they left, MiB').toBeLessThanOrEqual(idleMiB * bound);
}

function leave(): void {
  for (const socket of open.splice(0)) socket.destroy();
  for (const { ws } of clients.splice(0)) ws.terminate();
}

const SILENT_MS = 3_000;
const GIVE_BACK_MS = 120_000;
const piece = Buffer.alloc(64 * 1024, 0x61);

/** Attacks that make it keep what they have sent. */
const INCOMING: Record<string, (gateway: WatchedGateway) => Promise<() => Promise<unknown>>> = {
  'sixty halves of frames of 24 MB, no scopes': async (gateway) => {
    const them = await admitted(gateway, 60, []);
    return () => Promise.all(them.map(({ ws }) => pour(socketOf(ws), frameHead(1, 24 * MiB), piece, 23 * MiB)));
  },
  'sixty halves of frames of 24 MB, all scopes': async (gateway) => {
    const them = await admitted(gateway, 60, ['operator.admin', 'operator.read', 'operator.write']);
    return () => Promise.all(them.map(({ ws }) => pour(socketOf(ws), frameHead(1, 24 * MiB), piece, 23 * MiB)));
  },
  'messages in fragments that never end, pings between': async (gateway) => {
    const them = await admitted(gateway, 40, ['operator.write']);
    const small = Buffer.concat([frameHead(0, 1, false), Buffer.from('a')]);
    const ping = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);
    const many = Buffer.concat([small, ...Array<Buffer>(10_000).fill(ping)]);
    return () =>
      Promise.all(them.map(({ ws }) => pour(socketOf(ws), Buffer.concat([frameHead(1, 1, false), Buffer.from('a')]), many, MiB / 2)));
  },
  'hundred bodies of 20 MiB that never end, with the credential': async (gateway) => {
    const head = Buffer.from(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${gateway.token()}\r\nContent-Type: application/json\r\nContent-Length: ${20 * MiB}\r\n\r\n`,
    );
    return async () =>
      Promise.all((await Promise.all(Array.from({ length: 100 }, () => dial(gateway.port)))).map((s) => pour(s, head, piece, 19 * MiB)));
  },
  'hundred bodies of 20 MiB that never end, without one': async (gateway) => {
    const head = Buffer.from(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${20 * MiB}\r\n\r\n`,
    );
    return async () =>
      Promise.all((await Promise.all(Array.from({ length: 100 }, () => dial(gateway.port)))).map((s) => pour(s, head, piece, 19 * MiB)));
  },
  'thirty lines without an end on the admin socket': async (gateway) => {
    const file = join(gateway.stateDir, 'gateway', 'admin.sock');
    return async () =>
      Promise.all((await Promise.all(Array.from({ length: 30 }, () => dial(file)))).map((s) => pour(s, Buffer.from('{'), piece, 24 * MiB)));
  },
  'three hundred upgrades with 60 KB before connect': async (gateway) => {
    return async () => {
      const them = Array.from({ length: 300 }, () => new RawClient(gateway.url));
      clients.push(...them);
      for (const { ws } of them) ws.on('error', () => {});
      await Promise.all(them.map(({ ws }) => once(ws, 'open')));
      await Promise.all(them.map(({ ws }) => pour(socketOf(ws), frameHead(1, 60 * 1024), piece.subarray(0, 59 * 1024), 59 * 1024)));
    };
  },
};

/** Attacks that make it keep what they do not read. */
const OUTGOING: Record<string, (gateway: WatchedGateway) => Promise<() => Promise<unknown>>> = {
  'hundred silent readers that ask for large answers': async (gateway) => {
    await longList(gateway);
    const them = await admitted(gateway, 100, ['operator.read']);
    const ask = Buffer.from('{"type":"req","id":"a","method":"system-presence"}');
    const asks = Buffer.concat(Array.from({ length: 120 }, () => Buffer.concat([Buffer.from([0x81, 0x80 | ask.length, 0, 0, 0, 0]), ask])));
    return () => Promise.all(them.map(({ ws }) => pourUnread(ws, asks, asks.length)));
  },
  'hundred subscribers that read nothing while sessions change': async (gateway) => {
    const them = await admitted(gateway, 100, ['operator.admin', 'operator.read']);
    for (const client of them) await client.call('sessions.subscribe');
    const [talker] = await admitted(gateway, 1, ['operator.admin', 'operator.read']).then((all) => all.slice(-1));
    return async () => {
      for (const { ws } of them) ws.pause();
      for (let i = 0; i < 550; i++) await talker?.call('sessions.reset', { key: 'main' });
    };
  },
  'hundred connections whose pipelined requests nobody reads': async (gateway) => {
    const asks = Buffer.from('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.repeat(3_000));
    return async () => {
      const them = await Promise.all(Array.from({ length: 100 }, () => dial(gateway.port)));
      for (const socket of them) socket.pause();
      await Promise.all(them.map((socket) => pour(socket, Buffer.alloc(0), asks, asks.length)));
    };
  },
  'hundred readers of nothing that ping': async (gateway) => {
    const them = await admitted(gateway, 100, []);
    const pings = Buffer.concat(
      Array.from({ length: 500 }, () => Buffer.concat([Buffer.from([0x89, 0x80 | 125, 0, 0, 0, 0]), Buffer.alloc(125)])),
    );
    return () => Promise.all(them.map(({ ws }) => pourUnread(ws, pings, 4 * MiB)));
  },
};

/** Fills the list of who is here: two hundred entries with long names. */
async function longList(gateway: WatchedGateway): Promise<void> {
  const auth = { token: gateway.token() };
  const name = 'n'.repeat(256);
  for (let i = 0; i < 200; i++) {
    const client = await connect(gateway.url, { auth, client: { instanceId: `${i}-${name}`.slice(0, 256), displayName: name } });
    client.ws.terminate();
  }
}

for (const [name, prepare] of Object.entries({ ...INCOMING, ...OUTGOING })) {
  test(`WS-80 WS-81 WS-83 ${name}`, { timeout: 300_000 }, async () => {
    await using gateway = await startWatchedGateway({ config: JSON.stringify(HTTP) });
    // One that has served somebody: compiled code is no leak.
    await gateway.under('nothing', () => wait(1_000));
    const idle = gateway.rssMiB();
    const attack = await prepare(gateway);
    const figures = await gateway.under(name, async () => {
      await attack();
      await wait(SILENT_MS);
    });
    leave();
    await expectGivenBack(gateway, idle);
    expectWithinBounds(figures);
  });
}
