import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import type { AnyMethod } from '../../src/protocol/registry.ts';
import { WIRE_METHODS } from '../../src/protocol/registry.ts';
import { sampleOf } from '../support/samples.ts';
import { BOUNDS, expectWithinBounds, startWatchedGateway } from './support/attack.ts';

/** Repeated to fill a text: what patterns loop over, and what parsers step through. */
// biome-ignore-start lint/suspicious/noTemplateCurlyInString: these are the placeholders of the config file
const PUMPS = [
  ...[
    '.',
    ' ',
    'a',
    '"',
    "'",
    '\\',
    '<',
    '0',
    '\n',
    '\t',
    '/',
    '=',
    '-',
    ':',
    '!',
    '{',
    '[',
    '(',
    '%',
    '@',
    '#',
    '`',
    '，',
    '。',
    '\u00a0',
  ],
  ...[
    '\u0301',
    '\u200d',
    '\u202e',
    '😀',
    'a.',
    'a ',
    '${',
    '${A}',
    '</',
    '<!--',
    'data:',
    '://',
    'sk-',
    'A=',
    '&amp;',
    '**',
    '](',
    '```\n',
    '# a\n',
    'agent:',
    '../',
    '"},',
    '\\u',
    '\\"',
    'a@',
    'AAAA',
    'AA==',
    '\r\n',
    'ab12',
    'Ⅷ',
    'İ',
  ],
];
// biome-ignore-end lint/suspicious/noTemplateCurlyInString: as above

/** A local client with every right: the admin socket, which no rate limit cuts short. */
async function openAdmin(
  stateDir: string,
): Promise<{ call(method: string, params: string): Promise<Record<string, unknown>>; socket: Socket }> {
  const socket = connect(join(stateDir, 'gateway', 'admin.sock'));
  await once(socket, 'connect');
  socket.setEncoding('utf8');
  const waiting = new Map<string, (answer: Record<string, unknown>) => void>();
  let rest = '';
  socket.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      const frame = JSON.parse(line) as Record<string, unknown>;
      const id = String(frame['id']);
      waiting.get(id)?.(frame);
      waiting.delete(id);
    }
  });
  let count = 0;
  return {
    socket,
    call: (method, params) =>
      new Promise((resolve) => {
        const id = `p${count++}`;
        waiting.set(id, resolve);
        socket.write(`{"type":"req","id":"${id}","method":"${method}","params":${params}}\n`);
      }),
  };
}

const METHODS = Object.values(WIRE_METHODS) as unknown as readonly AnyMethod[];
/** What waits by design is asked for no longer than this. */
const KNOWN = { timeoutMs: 1, timeout: 1 };

test('WS-71: the samples cover every method of the registry', () => {
  for (const { name, params } of METHODS) expect(z.safeParse(params, sampleOf(params, KNOWN).params).success, name).toBe(true);
  expect(METHODS.reduce((sum, { params }) => sum + sampleOf(params, KNOWN).texts.length, 0)).toBeGreaterThan(50);
});

test('WS-71: no text of any parameter of any method holds the others up', async () => {
  await using gateway = await startWatchedGateway();
  const admin = await openAdmin(gateway.stateDir);
  // Written out beforehand: what is measured is the gateway.
  const slow: string[] = [];
  let asked = 0;
  const figures = await gateway.under('60 KB of each pump in every text of every method', async () => {
    for (const { name, params, maxBytes } of METHODS) {
      for (const { path, put } of sampleOf(params, KNOWN).texts) {
        for (const pump of PUMPS) {
          // JSON writes some characters as six, and the method's own limit comes first.
          const room = Math.min(60_000, maxBytes - 2_000);
          const text = pump.repeat(Math.ceil(room / JSON.stringify(pump).slice(1, -1).length));
          const frame = JSON.stringify({ ...(put(text) as object), idempotencyKey: `k${asked}` }, (key, value) =>
            key === 'idempotencyKey' && path.endsWith('idempotencyKey') ? text : value,
          );
          const started = performance.now();
          const answer = await admin.call(name, frame);
          const ms = performance.now() - started;
          if (ms > 500) slow.push(`${name} ${path} ${JSON.stringify(pump)} ${Math.round(ms)} ms`);
          expect(answer['type']).toBe('res');
          asked++;
          await turn();
        }
      }
    }
  });
  admin.socket.destroy();
  console.log(`${asked} calls`);
  expect(slow).toEqual([]);
  expectWithinBounds(figures);
});

test('WS-71: nor does a message of 900 KB, of whatever it is made', async () => {
  await using gateway = await startWatchedGateway();
  const admin = await openAdmin(gateway.stateDir);
  const slow: string[] = [];
  const messages = ['.', ' ', 'a', '\\', '"', '\n', '😀', '。', '!', '[.', 'a ', '```\n', '# a\n', 'data:,', '\u0301'].map((pump, i) => {
    const text = pump.repeat(Math.floor(900_000 / JSON.stringify(pump).slice(1, -1).length));
    return { pump, frame: JSON.stringify({ sessionKey: `agent:main:m${i}`, idempotencyKey: `m${i}`, message: `a${text}` }) };
  });
  // What is loaded at the first turn is no part of it.
  await admin.call('chat.send', '{"sessionKey":"agent:main:first","idempotencyKey":"first","message":"hello"}');
  await admin.call('agent.wait', '{"runId":"first","timeoutMs":10000}');
  const figures = await gateway.under('900 KB of each pump as a message', async () => {
    for (const { pump, frame } of messages) {
      for (const method of ['chat.send']) {
        const started = performance.now();
        await admin.call(method, frame);
        const ms = performance.now() - started;
        if (ms > 500) slow.push(`${method} ${JSON.stringify(pump)} ${Math.round(ms)} ms`);
      }
      // What is done with it afterwards counts, too: the answer of the guide, the transcript.
      await admin.call('agent.wait', `{"runId":${JSON.stringify(JSON.parse(frame).idempotencyKey)},"timeoutMs":10000}`);
    }
  });
  admin.socket.destroy();
  expect(slow).toEqual([]);
  // Fifteen messages of 900 KB are few ticks of a short run: of those, the worst says what one of them costs.
  expect(figures.lag.worst).toBeLessThanOrEqual(BOUNDS.lagWorstMs);
  expect(figures.peakMiB).toBeLessThanOrEqual(BOUNDS.rssMiB);
});

test('WS-71: nor does an attachment, of whatever it is made', async () => {
  await using gateway = await startWatchedGateway();
  const admin = await openAdmin(gateway.stateDir);
  const frames = [' ', 'A', '=', '\\n', 'data:', ',', 'A ', '= ', 'A=', 'data:,data:'].map((pump, i) => {
    const content = pump.repeat(Math.floor(1_000_000 / pump.length));
    return `{"sessionKey":"agent:main:a${i}","idempotencyKey":"a${i}","message":"a","attachments":[{"mimeType":"image/png","content":"${content}!"}]}`;
  });
  const figures = await gateway.under('1 MB of each pump as an attachment', async () => {
    for (const frame of frames) {
      const started = performance.now();
      const answer = await admin.call('chat.send', frame);
      expect(answer['ok']).toBe(false);
      expect(performance.now() - started).toBeLessThan(1_000);
    }
  });
  admin.socket.destroy();
  expectWithinBounds(figures);
});

test('WS-72: no path and no header of an HTTP request holds the others up', async () => {
  await using gateway = await startWatchedGateway({
    config: '{ gateway: { http: { endpoints: { chatCompletions: { enabled: true } } }, trustedProxies: ["127.0.0.1"] } }',
  });
  const token = gateway.token();
  const headers = [
    'Host',
    'Origin',
    'Authorization',
    'X-Forwarded-For',
    'X-Forwarded-Host',
    'Forwarded',
    'X-Real-IP',
    'Accept-Language',
    'Accept',
    'Cookie',
    'Content-Type',
    'Sec-Fetch-Site',
    'X-OpenClaw-Session-Key',
    'X-OpenClaw-Agent-Id',
    'Sec-WebSocket-Protocol',
    'Sec-WebSocket-Extensions',
    'Tailscale-User-Login',
    'User-Agent',
    'If-None-Match',
  ];
  const pumps = [
    '.',
    'a',
    ' ',
    '\t',
    '"',
    '\\',
    ',',
    ';',
    '=',
    ':',
    '[',
    '0',
    '/',
    '%',
    'for=',
    'for="',
    'a,',
    '\\"',
    '1.1.1.1,',
    'a@',
    'Bearer ',
    'zh;',
    '\u00e9',
  ];
  const requests: string[] = [];
  for (const pump of pumps) {
    const value = pump.repeat(Math.floor(7_000 / pump.length));
    for (const header of headers) {
      const own = header === 'Host' ? `Host: ${value}` : `Host: 127.0.0.1:${gateway.port}\r\n${header}: ${value}`;
      requests.push(`GET / HTTP/1.1\r\n${own}\r\nConnection: close\r\n\r\n`);
      const auth = header === 'Authorization' ? '' : `Authorization: Bearer ${token}\r\n`;
      requests.push(`POST /v1/chat/completions HTTP/1.1\r\n${own}\r\n${auth}Content-Length: 2\r\nConnection: close\r\n\r\n{}`);
      requests.push(
        `GET / HTTP/1.1\r\n${own}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
      );
    }
    if (!/\s/.test(pump))
      requests.push(
        `GET /${value} HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\nConnection: close\r\n\r\n`,
        `GET /?${value} HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\nConnection: close\r\n\r\n`,
      );
  }
  const figures = await gateway.under(`7 KB of each pump in every header and path, ${requests.length} requests`, async () => {
    for (const request of requests) {
      const socket = connect(gateway.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(request, 'latin1');
      // An upgrade that is taken stays open.
      await Promise.race([once(socket, 'data'), once(socket, 'close')]);
      socket.destroy();
    }
  });
  expectWithinBounds(figures);
});
