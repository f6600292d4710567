import { randomBytes, randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { frameOf } from '../../../test/support/raw.ts';
import { until } from '../../../test/support/until.ts';
import { Pieces } from '../intake/pieces.ts';
import { Unfinished } from './unfinished.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A real server of the library with our reader in between, and raw bytes into it. */
async function reader() {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, autoPong: false });
  const server = createServer();
  const messages: Buffer[] = [];
  const pings: Buffer[] = [];
  const held: number[] = [];
  let made: { ws: WebSocket; unfinished: Unfinished } | undefined;
  server.on('upgrade', (request, socket, head) =>
    sockets.handleUpgrade(request, socket, head, (ws) => {
      const unfinished = new Unfinished(ws, socket, new Pieces(), { held: (bytes) => held.push(bytes) });
      ws.on('message', (data: Buffer) => {
        unfinished.delivered(data);
        messages.push(data);
      });
      ws.on('ping', (data) => pings.push(Buffer.from(data)));
      ws.on('error', () => {});
      made = { ws, unfinished };
    }),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client: Socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
  client.on('error', () => {});
  closers.push(
    () => client.destroy(),
    () => server.close(),
  );
  client.write(
    'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
  );
  await until(() => made !== undefined);
  return { client, messages, pings, held, get: () => made as { ws: WebSocket; unfinished: Unfinished } };
}

test('WS-81 messages of every size, in fragments and with pings between, arrive as they were sent', async () => {
  const { client, messages, pings, held } = await reader();
  const sent: Buffer[] = [];
  const wire: Buffer[] = [];
  for (let i = 0; i < 300; i++) {
    const payload = randomBytes(i % 50 === 0 ? 3_000_000 : randomInt(0, 5_000));
    sent.push(payload);
    if (i % 3 === 0) wire.push(frameOf(2, payload));
    else {
      const cut = randomInt(0, payload.length + 1);
      wire.push(frameOf(2, payload.subarray(0, cut), { fin: false }), frameOf(9, `p${i}`), frameOf(0, payload.subarray(cut)));
    }
  }
  const bytes = Buffer.concat(wire);
  for (let from = 0; from < bytes.length; ) {
    const to = from + randomInt(1, 200_000);
    client.write(bytes.subarray(from, to));
    from = to;
    if (from % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => messages.length === sent.length, 30_000);
  expect(messages.every((message, i) => message.equals(sent[i] as Buffer))).toBe(true);
  expect(pings.map(String)).toEqual(Array.from({ length: 300 }, (_, i) => `p${i}`).filter((_, i) => i % 3 !== 0));
  expect(Math.max(...held)).toBeGreaterThan(1_000_000);
  expect(held.at(-1)).toBe(0);
});

test('WS-80 WS-81 what is unfinished is counted, a fragment of one byte costs little, and all of it can be dropped', async () => {
  const { client, messages, pings: taken, held, get } = await reader();
  client.write(frameOf(1, 'x', { fin: false }));
  const pings = Buffer.concat(Array<Buffer>(8_000).fill(frameOf(9, '')));
  for (let i = 0; i < 50; i++) {
    client.write(frameOf(0, 'y', { fin: false }));
    client.write(pings);
  }
  await until(() => taken.length === 400_000 && (held.at(-1) ?? 0) > 50 && get().unfinished.bytes < 60_000, 20_000);
  client.write(frameOf(0, Buffer.alloc(2_000_000, 0x61)).subarray(0, 1_500_000));
  await until(() => get().unfinished.bytes > 1_400_000);
  expect(get().unfinished.bytes).toBeLessThan(1_700_000);
  get().unfinished.drop();
  expect(get().unfinished.bytes).toBe(0);
  get().ws.terminate();
  expect(messages).toEqual([]);
});
