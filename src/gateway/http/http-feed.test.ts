import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { Pieces } from '../intake/pieces.ts';
import { feedHttp, httpFeed } from './http-feed.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A real server with the feed before its parser. `seen`: what each request brought, in order; `upgraded`: what came behind an upgrade. */
async function fed() {
  const seen: string[] = [];
  const bodies: Buffer[] = [];
  let upgraded = Buffer.alloc(0);
  const upgradedPieces: Buffer[] = [];
  const sockets: Socket[] = [];
  const server = createServer((request, response) => {
    seen.push(request.url ?? '');
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      bodies.push(Buffer.concat(chunks));
      response.end();
    });
  });
  const pieces = new Pieces();
  server.on('connection', (socket) => {
    sockets.push(socket);
    feedHttp(socket, pieces);
  });
  server.on('upgrade', (_request, socket, head) => {
    // As the library does it: what came with the request goes back first, and is read when somebody is ready for it.
    setImmediate(() => {
      socket.unshift(head);
      socket.on('data', (chunk: Buffer) => {
        upgradedPieces.push(chunk);
        upgraded = Buffer.concat([upgraded, chunk]);
      });
    });
  });
  server.prependListener('upgrade', ({ socket }) => httpFeed(socket)?.leave());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  client.resume();
  closers.push(
    () => client.destroy(),
    () => server.close(),
  );
  return { client, seen, bodies, sockets, upgraded: () => upgraded, pieces: upgradedPieces };
}

test('WS-83 ten thousand requests in one piece come in order', async () => {
  const { client, seen } = await fed();
  client.write(Array.from({ length: 10_000 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
  await until(() => seen.length === 10_000);
  expect(seen).toEqual(Array.from({ length: 10_000 }, (_, i) => `/${i}`));
});

test('WS-83 bodies arrive as they were sent, however they are cut', async () => {
  const { client, bodies } = await fed();
  const sent = [0, 1, 4_095, 4_096, 4_097, 70_000, 3_000_000].map((length) => randomBytes(length));
  const wire = Buffer.concat(
    sent.flatMap((body) => [Buffer.from(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`), body]),
  );
  for (let at = 0; at < wire.length; ) {
    const to = at + randomInt(1, 200_000);
    if (!client.write(wire.subarray(at, to))) await once(client, 'drain');
    at = to;
  }
  await until(() => bodies.length === sent.length);
  for (const [i, body] of sent.entries()) expect(bodies[i]?.equals(body)).toBe(true);
});

test('WS-83 what follows an upgrade in the same piece stays in order', async () => {
  const { client, upgraded } = await fed();
  const behind = randomBytes(300_000);
  client.write(Buffer.concat([Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'), behind]));
  await until(() => upgraded().length === behind.length);
  expect(upgraded().equals(behind)).toBe(true);
});

test('WS-83 what follows an upgrade does not lie in the memory that all buffers share, which its reader would free', async () => {
  const { client, pieces } = await fed();
  client.write(
    Buffer.concat([Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'), Buffer.alloc(20_000, 'x')]),
  );
  await until(() => pieces.reduce((sum, { length }) => sum + length, 0) === 20_000);
  const pool = Buffer.allocUnsafe(1).buffer;
  for (const { buffer, length } of pieces) expect([buffer === pool, buffer.byteLength >= length]).toEqual([false, true]);
  expect(pieces.at(-1)?.buffer.byteLength).toBe(pieces.at(-1)?.length);
});

test('WS-83 held back, nothing more is parsed until it is let go', async () => {
  const { client, seen, sockets } = await fed();
  client.write('GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
  await until(() => seen.length === 1);
  const feed = httpFeed(sockets[0] as Socket);
  feed?.hold();
  client.write(Array.from({ length: 1_000 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''));
  for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(seen.length).toBe(1);
  feed?.release();
  await until(() => seen.length === 1_001);
});

test('WS-83 a body that nobody reads stays with its sender, however busy the gateway is, and arrives whole when it is read', async () => {
  let request: IncomingMessage | undefined;
  const server = createServer((each) => {
    request = each;
  });
  const pieces = new Pieces();
  // Others use up every turn: what comes in large pieces waits.
  let isBusy = true;
  const others = {
    goOn(): void {
      const until = performance.now() + 5;
      while (performance.now() < until);
      if (isBusy) pieces.later(others);
    },
  };
  pieces.later(others);
  server.on('connection', (socket) => feedHttp(socket, pieces));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  closers.push(
    () => client.destroy(),
    () => server.close(),
    () => {
      isBusy = false;
    },
  );
  const body = randomBytes(8 * 1024 * 1024);
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
  client.write(body);
  await until(() => request !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 500));
  // What one read of the system brings, at most, beyond the mark.
  expect(request?.readableLength).toBeLessThan(256 * 1024);
  isBusy = false;
  const chunks: Buffer[] = [];
  for await (const chunk of request as IncomingMessage) chunks.push(chunk as Buffer);
  expect(Buffer.concat(chunks).equals(body)).toBe(true);
});
