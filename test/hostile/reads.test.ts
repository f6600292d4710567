import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newStateDir } from '../support/gateway.ts';
import { until } from '../support/until.ts';
import { connect, type Frame, type RawClient } from '../support/wire.ts';
import { expectWithinBounds, startWatchedGateway, type WatchedGateway } from './support/attack.ts';
import { seedSessions } from './support/seed-sessions.ts';

// 20,000 sessions; one of 1,000 messages of 100 to 500 KB; 64 of some big ones; messages of a size that is read whole.
const stateDir = newStateDir();
let gateway: WatchedGateway;

beforeAll(async () => {
  mkdirSync(join(stateDir, 'gateway'), { recursive: true, mode: 0o700 });
  await seedSessions(stateDir, {
    sessions: 20_000,
    big: [
      { messages: 1_000, bytes: (n) => 100_000 + (n % 5) * 100_000 },
      { messages: 400, bytes: () => 100_000 },
      { messages: 3_000, bytes: () => 9_000 },
      ...Array.from({ length: 64 }, () => ({ messages: 8, bytes: () => 400_000 })),
    ],
  });
  gateway = await startWatchedGateway({ stateDir });
}, 300_000);
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  rmSync(stateDir, { recursive: true, force: true });
});

/** A connection with read scope that counts answers without parsing them. */
async function reader(
  scopes: readonly string[] = ['operator.read'],
): Promise<RawClient & { flood(calls: readonly [string, object][], window?: number): Promise<{ bytes: number; largest: number }> }> {
  const client = await connect(gateway.url, { auth: { token: gateway.token() }, scopes, client: { id: 'cli', mode: 'cli' } });
  client.ws.removeAllListeners('message');
  return Object.assign(client, {
    async flood(calls: readonly [string, object][], window = calls.length) {
      let answered = 0;
      let bytes = 0;
      let largest = 0;
      client.ws.on('message', (data: Buffer) => {
        if (!data.subarray(0, 16).includes('"res"')) return;
        answered++;
        bytes += data.length;
        largest = Math.max(largest, data.length);
      });
      for (const [index, [method, params]] of calls.entries()) {
        if (index >= window) await until(() => answered > index - window, 100_000);
        client.ws.send(JSON.stringify({ type: 'req', id: `f${index}`, method, params }));
      }
      await until(() => answered === calls.length || client.closed !== undefined, 100_000);
      expect(client.closed).toBeUndefined();
      client.ws.removeAllListeners('message');
      return { bytes, largest };
    },
  });
}
const times = (n: number, call: (i: number) => [string, object]): [string, object][] => Array.from({ length: n }, (_, i) => call(i));
const BIG = 'agent:main:big-0';
const big = (n: number): string => `agent:main:big-${n}`;

test('EV-152 previews: one big session named 64 times, 64 big ones, and all of what may be asked', async () => {
  await using client = await reader();
  const figures = await gateway.under('previews', async () => {
    await client.flood([
      ['sessions.preview', { keys: Array.from({ length: 64 }, () => BIG), limit: 200, maxChars: 10_000 }],
      ...times(20, () => ['sessions.preview', { keys: Array.from({ length: 64 }, (_, i) => big(i + 3)), limit: 200, maxChars: 10_000 }]),
      ...times(20, (i) => ['sessions.preview', { keys: [big(i % 3)], limit: 200, maxChars: 10_000 }]),
    ]);
  });
  expectWithinBounds(figures);
}, 300_000);

test('EV-153 500 histories of big messages, asked for at once', async () => {
  await using client = await reader();
  const figures = await gateway.under('histories', async () => {
    const { largest } = await client.flood(
      times(500, (i) => [
        'chat.history',
        { sessionKey: big(i % 3), limit: 1_000, ...(i % 7 === 0 && { maxChars: 131_072 }), offset: (i * 13) % 300 },
      ]),
    );
    expect(largest).toBeLessThan(6 * 1024 * 1024 + 4_096);
  });
  expectWithinBounds(figures);
}, 300_000);

test('EV-153 start-ups and cursors over big messages', async () => {
  await using client = await reader();
  const full = await connect(gateway.url, { auth: { token: gateway.token() } });
  const cursors: string[] = [];
  for (const n of [0, 1, 2]) {
    const page: Frame = await full.call('chat.history', { sessionKey: big(n), limit: 1 });
    const cursor = JSON.parse(Buffer.from(page.deltaCursor, 'base64url').toString());
    for (const back of [10, 40, 400, 1_000])
      cursors.push(Buffer.from(JSON.stringify({ ...cursor, lastSeq: Math.max(0, cursor.lastSeq - back) })).toString('base64url'));
  }
  await full[Symbol.asyncDispose]();
  const figures = await gateway.under('start-ups and cursors', async () => {
    await client.flood([
      ...times(60, (i) => ['chat.startup', { sessionKey: big(i % 3), limit: 1_000 }]),
      ...times(60, (i) => ['chat.history', { sessionKey: big(Math.floor((i % 12) / 4)), limit: 1_000, cursor: cursors[i % 12] }]),
    ]);
  });
  expectWithinBounds(figures);
}, 300_000);

test('EV-154 searches of all sorts, and the ends of long lists', async () => {
  await using client = await reader();
  const words = [
    'a',
    '%',
    '_',
    'é',
    '你',
    'title',
    'hello this is title number',
    'zzzzzz',
    'agent:main:openai',
    '"',
    "'",
    '\\',
    '* OR *',
    '\0',
    '\ud800',
    '🦞🦞🦞',
  ];
  const long = ['x'.repeat(256), 'hello this is title number '.repeat(9), 'lo t'.repeat(64), 'x'.repeat(60_000)];
  const figures = await gateway.under('searches', async () => {
    await client.flood([
      ...times(200, (i) => ['sessions.list', { search: [...words, ...long][i % 20], limit: 1_000, offset: (i % 3) * 700 }]),
      ...times(60, (i) => [
        'sessions.list',
        { limit: 1_000, offset: [0, 19_990, 10_000, 19_000, 9_999_999][i % 5], includeDerivedTitles: true, includeLastMessage: true },
      ]),
      ...times(60, (i) => [
        'sessions.list',
        { limit: 10, agentId: i % 2 ? 'main' : 'none', activeMinutes: i * 1e6, label: i % 3 ? 'x' : undefined },
      ]),
    ]);
  });
  expectWithinBounds(figures);
}, 300_000);

test('AG-112 short turns in a session of big messages', async () => {
  await using client = await connect(gateway.url, { auth: { token: gateway.token() } });
  const figures = await gateway.under('short turns', async () => {
    for (let n = 0; n < 40; n++) {
      const runId = `short-${n}`;
      await client.call('chat.send', { sessionKey: big(n % 3), message: 'hi', idempotencyKey: runId });
      await client.event('chat', (payload) => payload.runId === runId && payload.state === 'final', 60_000);
    }
  });
  expectWithinBounds(figures);
}, 300_000);

test('EV-155 what else reads: health, status, ids, labels, logs, config, runs that ended', async () => {
  await using client = await reader(['operator.read', 'operator.write']);
  const figures = await gateway.under('other reads', async () => {
    await client.flood(
      [
        ...times(400, () => ['health', { probe: true }]),
        ...times(400, () => ['status', {}]),
        ...times(400, (i) => ['sessions.resolve', i % 2 ? { label: 'x' } : { sessionId: 'x' }]),
        ...times(400, (i) => ['agent.wait', { runId: `seeded-0-${i}`, timeoutMs: 1 }]),
        ...times(400, () => ['models.list', {}]),
        ...times(400, () => ['agents.list', {}]),
        ...times(400, () => ['system-presence', {}]),
      ],
      16,
    );
  });
  expectWithinBounds(figures);
}, 300_000);

test('EV-155 the log and the config, read over and over', async () => {
  await using client = await reader(['operator.read', 'operator.admin']);
  const figures = await gateway.under('logs and config', async () => {
    await client.flood([
      ...times(300, () => ['logs.tail', { limit: 5_000, maxBytes: 1_000_000 }]),
      ...times(300, () => ['config.get', {}]),
    ]);
  });
  expectWithinBounds(figures);
}, 300_000);
