import { readdirSync, readFileSync } from 'node:fs';
import { connect as tcp } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WIRE_METHODS } from '../../src/protocol/registry.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { ownerCall } from '../support/knocker.ts';
import { frameOf, RawSocket, rawHttp, rssOf } from '../support/raw.ts';
import { seeded } from '../support/seed.ts';
import { connectParams, type Frame, newDevice } from '../support/wire.ts';

/** Valid input, changed at random, against a running gateway: it may refuse all of it, and does not fall over. A failing seed is printed. */

const TOKEN = 'fuzz-test-token-0000000000000000001';
/** How long each of the tests goes on, ms. */
const BUDGET = 4_500;
const { seed, random } = seeded('fuzz');
const int = (below: number): number => Math.floor(random() * below);
const pick = <T>(from: readonly T[]): T => from[int(from.length)] as T;

const ODD: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  -1e-308,
  2 ** 31,
  2 ** 53,
  '',
  ' ',
  '\u0000',
  '\ud7ff',
  '🦞',
  '../..',
  '__proto__',
  'constructor',
  '%s%n',
  'x'.repeat(300),
  'x'.repeat(70_000),
  '%00',
  '\r\n',
  [],
  [[]],
  {},
  { toString: null },
  { length: -1 },
  JSON.parse('{"then":1,"__proto__":2}'),
  Array(200).fill(0),
];
const KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'then',
  'length',
  '',
  'x',
  'sessionKey',
  'id',
  'method',
  'params',
  'type',
  'scopes',
  'auth',
  'device',
  'limit',
];

/** A copy with one thing changed somewhere inside. */
function mutated(value: unknown, depth = 0): unknown {
  if (Array.isArray(value) && value.length > 0 && random() < 0.8) {
    const at = int(value.length);
    return value.map((item, i) => (i === at ? mutated(item, depth + 1) : item));
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const entries = Object.entries(value);
    const at = int(entries.length + 1);
    const entry = entries[at];
    if (entry === undefined) return Object.fromEntries([...entries, [pick(KEYS), pick(ODD)]]);
    const kind = int(5);
    if (kind === 0) return Object.fromEntries(entries.filter((_, i) => i !== at));
    if (kind === 1) return Object.fromEntries(entries.map(([key, item], i) => [i === at ? pick(KEYS) : key, item]));
    return Object.fromEntries(entries.map(([key, item], i) => [key, i === at ? mutated(item, depth + 1) : item]));
  }
  if (typeof value === 'string' && random() < 0.5) return spoiled(value);
  return pick(ODD);
}
/** A text with a few characters changed, dropped, doubled or put in. */
function spoiled(text: string): string {
  let out = text;
  for (let i = 0; i <= int(3); i++) {
    const at = int(out.length + 1);
    const put = pick([
      '',
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '\u0000',
      '\\ud800',
      'ÿ',
      '\u2028',
      '1e999',
      String.fromCharCode(int(0x2fff)),
    ]);
    out = pick([
      out.slice(0, at) + put + out.slice(at + 1),
      out.slice(0, at) + put + out.slice(at),
      out.slice(0, at),
      out.slice(0, at) + out.slice(int(at + 1)),
    ]);
  }
  return out;
}
/** `__proto__` is a key like any other in JSON; an object literal would swallow it. */
const json = (value: unknown): string => JSON.stringify(value) ?? 'null';

const CORPUS: readonly Frame[] = [
  ...Object.values(WIRE_METHODS).map(({ name }) => ({ method: name, params: {} })),
  { method: 'health', params: { probe: true } },
  {
    method: 'chat.send',
    params: {
      sessionKey: 'agent:main:main',
      message: 'hello',
      idempotencyKey: 'k',
      attachments: [{ mimeType: 'image/png', content: 'iVBORw0KGgo=' }],
      timeoutMs: 1_000,
    },
  },
  { method: 'chat.abort', params: { sessionKey: 'main', runId: 'k' } },
  { method: 'chat.history', params: { sessionKey: 'main', limit: 10, offset: 0, maxChars: 100, cursor: 'eyJ2IjoxfQ' } },
  { method: 'agent', params: { message: 'hello', agentId: 'main', idempotencyKey: 'k2', timeout: 1 } },
  { method: 'agent.wait', params: { runId: 'k', timeoutMs: 1 } },
  { method: 'sessions.list', params: { limit: 5, search: 'a', includeDerivedTitles: true, activeMinutes: 5 } },
  { method: 'sessions.preview', params: { keys: ['main', 'agent:main:x'], limit: 3, maxChars: 50 } },
  { method: 'sessions.resolve', params: { key: 'main' } },
  { method: 'sessions.reset', params: { key: 'agent:main:fuzz', reason: 'new' } },
  { method: 'sessions.messages.subscribe', params: { key: 'main' } },
  { method: 'logs.tail', params: { cursor: 0, limit: 10, maxBytes: 1_000 } },
  { method: 'device.pair.approve', params: { requestId: 'x' } },
  { method: 'device.token.rotate', params: { deviceId: 'a'.repeat(64), role: 'operator', scopes: ['operator.read'] } },
  { method: 'device.pair.remove', params: { deviceId: 'a'.repeat(64) } },
];
const request = (i: number): Frame => ({ type: 'req', id: `f${i}`, ...pick(CORPUS) });
const connectOf = (challenge: Frame): Record<string, unknown> =>
  connectParams(challenge, {
    auth: { token: TOKEN },
    ...(random() < 0.5 ? { device: newDevice() } : {}),
    ...(random() < 0.2 ? { role: 'node', scopes: [] } : {}),
    protocol: pick([3, 4, [3, 4]] as const),
    caps: ['tool-events'],
  });

describe(`SEED=${seed}`, () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway({
      config: JSON.stringify({ gateway: { auth: { token: TOKEN }, http: { endpoints: { chatCompletions: { enabled: true } } } } }),
    });
  });
  afterAll(() => gateway[Symbol.asyncDispose]());

  async function sound(what: string, count: number): Promise<void> {
    expect([gateway.child.exitCode, gateway.child.signalCode], `SEED=${seed}`).toEqual([null, null]);
    expect(await ownerCall(gateway.stateDir, 'health')).toMatchObject({ ok: true });
    expect((await fetch(`${gateway.httpUrl}/readyz`)).status).toBe(200);
    const log = readdirSync(join(gateway.stateDir, 'gateway', 'logs'))
      .map((name) => readFileSync(join(gateway.stateDir, 'gateway', 'logs', name), 'utf8'))
      .join('');
    expect(
      log.split('\n').filter((line) => /"level":"(error|fatal)"/.test(line)),
      `SEED=${seed}`,
    ).toEqual([]);
    expect(gateway.output()).not.toMatch(/\n\s+at |Warning:/);
    const rss = process.platform === 'linux' ? rssOf(gateway.child.pid as number) : 0;
    console.log(`${what}: ${count}; memory ${rss.toFixed(0)} MiB`);
    expect(count).toBeGreaterThan(100);
    expect(rss).toBeLessThan(512);
  }

  test('WS-6 requests after a good connect', async () => {
    const end = performance.now() + BUDGET;
    let sent = 0;
    while (performance.now() < end) {
      await using raw = await RawSocket.open(gateway.port);
      await raw.until(() => raw.received.length > 0);
      raw.send({
        type: 'req',
        id: 'c',
        method: 'connect',
        params: connectParams((raw.json(0) as Frame).payload, { auth: { token: TOKEN } }),
      });
      await raw.until(() => raw.received.length > 1);
      for (let i = 0; i < 200 && !raw.isClosed && performance.now() < end; i++, sent++) {
        const frame = request(sent);
        const text = json(random() < 0.8 ? mutated(frame) : frame);
        raw.frame(random() < 0.9 ? 1 : 2, random() < 0.3 ? spoiled(text) : text);
        if (i % 20 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      // Whatever came, the connection still answers, or was closed with a code.
      if (!raw.isClosed) raw.send({ type: 'req', id: 'last', method: 'health' });
      await raw.until(
        () => raw.isClosed || raw.closeCode !== undefined || raw.received.some(({ payload }) => payload.subarray(0, 30).includes('"last"')),
      );
      for (const { opcode, payload } of raw.received) if (opcode === 1) expect(() => JSON.parse(payload.toString())).not.toThrow();
    }
    await sound('requests', sent);
  });

  test('WS-2 connects', async () => {
    const end = performance.now() + BUDGET;
    let sent = 0;
    while (performance.now() < end) {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          await using raw = await RawSocket.open(
            gateway.port,
            random() < 0.3 ? [`Origin: ${spoiled(gateway.httpUrl).replace(/[^\x20-\x7e]/g, '')}`] : [],
          );
          await raw.until(() => raw.received.length > 0 || raw.isClosed);
          if (raw.isClosed) return;
          const frame = { type: 'req', id: 'c', method: 'connect', params: connectOf((raw.json(0) as Frame).payload) };
          const text = json(mutated(frame));
          raw.frame(1, random() < 0.3 ? spoiled(text) : text);
          sent++;
          await raw.until(() => raw.isClosed || raw.closeCode !== undefined || raw.received.length > 1);
        }),
      );
    }
    await sound('connects', sent);
    // Nothing of it made an owner: what is paired came with the right secret and a proof.
    const { paired } = await ownerCall(gateway.stateDir, 'device.pair.list');
    for (const device of paired) expect(device.deviceId).toMatch(/^[0-9a-f]{64}$/);
  });

  test('WS-22 bytes where frames should be', async () => {
    const end = performance.now() + BUDGET;
    let sent = 0;
    while (performance.now() < end) {
      await Promise.all(
        Array.from({ length: 10 }, async () => {
          await using raw = await RawSocket.open(gateway.port);
          for (let i = 0; i < 5 && !raw.isClosed; i++, sent++) {
            const frame = frameOf(int(16), 'x'.repeat(pick([0, 1, 125, 126, 1_000, 70_000])), {
              fin: random() < 0.7,
              rsv: random() < 0.2 ? int(8) : 0,
              masked: random() < 0.9,
            });
            for (let j = 0; j < int(4); j++) frame[int(Math.min(frame.length, 16))] = int(256);
            const cut = int(frame.length + 1);
            raw.socket.write(frame.subarray(0, cut));
            if (random() < 0.7) raw.socket.write(frame.subarray(cut));
          }
        }),
      );
    }
    await sound('frames', sent);
  });

  test('HT-13 HTTP requests and lines of the admin socket', async () => {
    const end = performance.now() + BUDGET;
    let sent = 0;
    const body = json({
      model: 'openclaw',
      messages: [
        { role: 'system', content: 'x' },
        { role: 'user', content: [{ type: 'text', text: 'hi' }] },
      ],
      stream: false,
      temperature: 1,
    });
    while (performance.now() < end) {
      await Promise.all(
        Array.from({ length: 24 }, async () => {
          const changed = random() < 0.7 ? json(mutated(JSON.parse(body))) : spoiled(body);
          const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\nAuthorization: Bearer ${TOKEN}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(changed)}\r\nConnection: close\r\n\r\n`;
          const answer = await rawHttp(gateway.port, (random() < 0.4 ? spoiled(head) : head) + changed, { quietMs: 30, maxMs: 400 });
          expect(answer).not.toMatch(/\n\s+at |HTTP\/1\.1 500/);
          sent++;
        }),
      );
      await new Promise<void>((resolve) => {
        const socket = tcp(join(gateway.stateDir, 'gateway', 'admin.sock'));
        socket
          .on('error', () => {})
          .on('data', () => {})
          .on('close', () => resolve());
        for (let i = 0; i < 10; i++, sent++)
          socket.write(`${random() < 0.8 ? json(mutated(request(sent))) : spoiled(json(request(sent)))}\n`);
        socket.end();
      });
    }
    await sound('HTTP requests and lines', sent);
  });
});
