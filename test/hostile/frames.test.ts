import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../support/until.ts';
import { connect, type RawClient } from '../support/wire.ts';
import { expectWithinBounds, startWatchedGateway, type WatchedGateway } from './support/attack.ts';

const MB = 1024 * 1024;
let gateway: WatchedGateway;

beforeAll(async () => {
  gateway = await startWatchedGateway({ config: '{ gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } } }' });
});
afterAll(() => gateway[Symbol.asyncDispose]());

const connected = (scopes: readonly string[]): Promise<RawClient> => connect(gateway.url, { scopes, auth: { token: gateway.token() } });
const padded = (method: string, filling: string, to: number): string => {
  const head = `{"type":"req","id":"big","method":"${method}","params":{"x":[`;
  return `${head}${filling.repeat(Math.floor((to - head.length) / filling.length))}0]}}`;
};

describe('WS-51 WS-54 large frames', () => {
  test('of a connection without scopes: not read beyond its limit', async () => {
    const frame = padded('health', '[],', 24 * MB);
    const clients = await Promise.all([1, 2, 3].map(() => connected([])));
    const figures = await gateway.under('24 MB health frames, no scopes', async () => {
      for (const client of clients) client.ws.send(frame);
      for (const client of clients) expect((await client.closing(60_000)).code).toBe(1009);
    });
    expectWithinBounds(figures);
  });

  test.each<[string, string, string]>([
    ['health', '[],', 'PARAMS_TOO_LARGE'],
    ['chat.send', '[],', 'more than 50000 values'],
    ['chat.send', '{"a":1},', 'more than 50000 values'],
    ['chat.send', '"",', 'more than 50000 values'],
    ['chat.send', '1,', 'more than 50000 values'],
    ['no.such.method', '[],', 'unknown method'],
    ['config.get', '[],', 'PARAMS_TOO_LARGE'],
  ])('of who may send them, method %s filled with %s', async (method, filling, answer) => {
    const frame = padded(method, filling, 24 * MB);
    const clients = await Promise.all([1, 2].map(() => connected(['operator.admin'])));
    const figures = await gateway.under(`24 MB ${method} of ${filling}`, async () => {
      for (const client of clients) client.ws.send(frame);
      for (const client of clients) {
        const refused = await client.frame((f) => f.type === 'res' && f.ok === false, 'a refusal', 60_000);
        expect(JSON.stringify(refused)).toContain(answer);
      }
    });
    expectWithinBounds(figures);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  test.each<[string, string]>([
    ['escapes', '\\n'],
    ['quotes', '\\"'],
    ['escaped characters', '\\u4e2d'],
    ['lone surrogates', '\\ud800'],
    ['three-byte characters', '中'],
    ['base64', 'QUJD'],
  ])('texts of 7 MB three times over: %s', async (name, unit) => {
    const text = unit.repeat(Math.floor((7 * MB) / Buffer.byteLength(unit)));
    const frame = `{"type":"req","id":"big","method":"chat.send","params":{"sessionKey":"big","message":"x","idempotencyKey":"${name}","attachments":[${Array(
      3,
    )
      .fill(`{"mimeType":"image/png","content":"${text}"}`)
      .join()}]}}`;
    const client = await connected(['operator.admin']);
    const figures = await gateway.under(`three texts of 7 MB: ${name}`, async () => {
      client.ws.send(frame);
      await client.frame((f) => f.type === 'res' && f.id === 'big', 'an answer', 60_000);
    });
    expectWithinBounds(figures);
    await client[Symbol.asyncDispose]();
  });

  test('a method that reads one way before it is parsed and another way after', async () => {
    const client = await connected(['operator.admin']);
    const filler = 'A'.repeat(100_000);
    for (const [id, frame] of [
      ['a', `{"type":"req","id":"a","method":"chat.send","m\\u0065thod":"health","params":{"x":"${filler}"}}`],
      ['b', `{"type":"req","id":"b","method":"chat.send","params":{"x":"${filler}"},"method":7}`],
      ['c', `{"type":"req","id":"c","m\\u0065thod":"chat.send","params":{"x":"${filler}"}}`],
    ] as const) {
      client.ws.send(frame);
      const answer = await client.frame((f) => f.type === 'res' && f.id === id);
      expect(answer.ok).toBe(false);
      expect(answer.error.message).toMatch(/at \/method/);
    }
    // The last of a name counts, as for every reader of JSON.
    client.ws.send(`{"type":"req","id":"d","method":"health","params":{"x":"${filler}"},"method":"chat.history"}`);
    const last = await client.frame((f) => f.type === 'res' && f.id === 'd');
    expect(last.error.message).toMatch(/invalid (health|chat\.history) params/);
    await client[Symbol.asyncDispose]();
  });

  test('HTTP bodies of 19 MB', async () => {
    const body = (filling: string): Buffer =>
      Buffer.from(`{"model":"openclaw","messages":[${filling.repeat(Math.floor((19 * MB) / filling.length))}0]}`);
    const bodies = ['[],', '{"a":1},', '"",', '1,'].map(body);
    const figures = await gateway.under('19 MB bodies of small values', async () => {
      const answers = await Promise.all(
        bodies.map((sent) =>
          fetch(`${gateway.httpUrl}/v1/chat/completions`, {
            method: 'POST',
            headers: { authorization: `Bearer ${gateway.token()}`, 'content-type': 'application/json' },
            body: sent as Uint8Array<ArrayBuffer>,
          }).then(async (response) => [response.status, await response.text()] as const),
        ),
      );
      for (const [status, text] of answers) {
        expect(status).toBe(400);
        expect(text).toContain('more than 50000 values');
      }
    });
    expectWithinBounds(figures);
  });
});

describe('WS-52 floods of small frames', () => {
  const flood = async (client: RawClient, n: number, frame: (i: number) => string): Promise<void> => {
    const frames = Array.from({ length: n }, (_, i) => frame(i));
    const before = client.frames.length;
    for (const each of frames) client.ws.send(each);
    await client.frame((f) => f.type === 'res' && f.id === `f${n - 1}`, 'the last answer', 120_000);
    expect(client.frames.slice(before).filter((f) => f.type === 'res').length).toBe(n);
  };
  const request = (method: string, params: object) => (i: number) => JSON.stringify({ type: 'req', id: `f${i}`, method, params });

  test.each<[string, number, object]>([
    ['health', 50_000, {}],
    ['chat.history', 2_000, { sessionKey: 'main', limit: 1000 }],
    ['sessions.list', 2_000, { search: 'a', limit: 1000 }],
    ['config.get', 1_000, {}],
    ['status', 2_000, {}],
    ['models.list', 2_000, {}],
    ['logs.tail', 1_000, { limit: 5000, maxBytes: 1_000_000 }],
    ['no.such.method', 20_000, {}],
  ])('%s, %i times at once on one connection: each answered, in order', async (method, n, params) => {
    const client = await connected(['operator.read']);
    const figures = await gateway.under(`${n} × ${method} pipelined`, () => flood(client, n, request(method, params)));
    expectWithinBounds(figures);
    await client[Symbol.asyncDispose]();
  });

  test('frames of 64 KiB full of values, on ten connections', async () => {
    const frame = padded('status', '[],', 64 * 1024);
    const clients = await Promise.all(Array.from({ length: 10 }, () => connected(['operator.read'])));
    const figures = await gateway.under('ten connections, 64 KiB of values per frame', async () => {
      await Promise.all(
        clients.map(async (client) => {
          for (let i = 0; i < 200; i++) client.ws.send(frame.replace('"big"', `"f${i}"`));
          await client.frame((f) => f.type === 'res' && f.id === 'f199', 'the last answer', 120_000);
        }),
      );
    });
    expectWithinBounds(figures);
    for (const client of clients) await client[Symbol.asyncDispose]();
  });

  test('lines on the admin socket', async () => {
    const socket = connectTcp(join(gateway.stateDir, 'gateway', 'admin.sock'));
    await once(socket, 'connect');
    let answers = 0;
    let resolve = (): void => {};
    const all = new Promise<void>((done) => {
      resolve = done;
    });
    socket.on('data', (chunk: Buffer) => {
      for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) if (++answers === 20_000) resolve();
    });
    const lines = Array.from({ length: 20_000 }, (_, i) => `${JSON.stringify({ type: 'req', id: `${i}`, method: 'health' })}\n`).join('');
    const figures = await gateway.under('20,000 lines on the admin socket', async () => {
      socket.write(lines);
      await all;
    });
    expectWithinBounds(figures);
    socket.destroy();
  });

  test('WS-52 what was sent in one breath with a goodbye is still done', async () => {
    const client = await connected(['operator.admin']);
    for (let i = 0; i < 3_000; i++) client.ws.send(JSON.stringify({ type: 'req', id: `h${i}`, method: 'status' }));
    client.ws.send(
      JSON.stringify({
        type: 'req',
        id: 'last',
        method: 'chat.send',
        params: { sessionKey: 'goodbye', message: 'hello', idempotencyKey: 'goodbye-1' },
      }),
    );
    client.ws.close();
    const other = await connected(['operator.read']);
    for (;;) {
      const answer = await other.request('chat.history', { sessionKey: 'goodbye' });
      if (answer.payload.messages.length > 0) break;
    }
    await other[Symbol.asyncDispose]();
  });
});

test('WS-55 who asks on and on and reads nothing is not asked for more, keeps little, and is cut when it goes on taking nothing', async () => {
  await using gateway = await startWatchedGateway();
  const connected = (): Promise<RawClient> => connect(gateway.url, { scopes: ['operator.read'], auth: { token: gateway.token() } });
  const client = await connected();
  const big = JSON.stringify({ type: 'req', id: 'f', method: 'logs.tail', params: { limit: 5000, maxBytes: 1_000_000 } });
  const reader = await connected();
  client.ws.pause();
  const before = gateway.rssMiB();
  const figures = await gateway.under('3,000 large answers that nobody reads', async () => {
    for (let i = 0; i < 3_000; i++) client.ws.send(big);
    for (let i = 0; i < 300; i++) reader.ws.send(big);
    await reader.frame(() => reader.frames.filter((f) => f.type === 'res' && f.id === 'f').length === 300, 'all answers', 60_000);
  });
  expectWithinBounds(figures);
  expect(gateway.rssMiB() - before).toBeLessThan(100);
  // Two pings of 20 s; what a paused socket has in its buffers is not seen here, so the gateway is asked.
  await until(async () => (await reader.call('status')).gateway.connections <= 1, 120_000);
  await client[Symbol.asyncDispose]();
  await reader[Symbol.asyncDispose]();
});
