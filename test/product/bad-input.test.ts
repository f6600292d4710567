import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket, connect as tcp } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LIMITS } from '../../src/protocol/limits.ts';
import { WIRE_METHODS } from '../../src/protocol/registry.ts';
import { newStateDir, productEnv, runCli, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { ownerCall } from '../support/knocker.ts';
import { frameOf, RawSocket, rawHttp, rssOf, statusOf } from '../support/raw.ts';
import { type ScriptedProvider, startScriptedProvider } from '../support/scripted-provider.ts';
import { until } from '../support/until.ts';
import { connect, connectParams, type Frame, RawClient } from '../support/wire.ts';

/** The running product fed with what nobody should send: a typed error, no stack trace, no hang, no changed state, bounded memory. */

const TOKEN = 'bad-input-token-0000000000000000001';
const MiB = 1024 * 1024;
const STACK = /\n\s+at |node:internal|\.[cm]?[jt]s:\d+:\d+/;
const linux = process.platform === 'linux';

const config = (more: object = {}, gateway: object = {}): string =>
  JSON.stringify({
    gateway: { auth: { token: TOKEN }, http: { endpoints: { chatCompletions: { enabled: true, maxBodyBytes: MiB } } }, ...gateway },
    ...more,
  });
const withProvider = ({ url }: ScriptedProvider) => ({
  models: { providers: { p: { baseUrl: url, apiKey: 'sk-none-0123456789', api: 'openai-completions', models: [{ id: 'm', name: 'M' }] } } },
  agents: { defaults: { model: 'p/m' } },
});
const nested = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);
const upgradeHead = (port: number): string =>
  `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`;

/** Whether the socket takes more within a second. */
const drained = (socket: Socket): Promise<boolean> =>
  new Promise((resolve) => {
    const settle = (answer: boolean) => () => {
      clearTimeout(timer);
      socket.off('drain', onDrain).off('close', onGone);
      resolve(answer);
    };
    const [onDrain, onGone] = [settle(true), settle(false)];
    const timer = setTimeout(onGone, 1_000);
    socket.on('drain', onDrain).on('close', onGone);
  });

/** Answers, and has not grown beyond reason. */
async function sound(gateway: TestGateway, maxRss = 256): Promise<void> {
  expect(await ownerCall(gateway.stateDir, 'health')).toMatchObject({ ok: true });
  await using client = await connect(gateway.url, { auth: { token: TOKEN } });
  expect(await client.call('health')).toMatchObject({ ok: true });
  if (linux) expect(rssOf(gateway.child.pid as number), 'resident memory, MiB').toBeLessThan(maxRss);
  expect(gateway.output()).not.toMatch(STACK);
}
const connected = (gateway: TestGateway) => connect(gateway.url, { auth: { token: TOKEN } });
/** A raw socket that has said a good `connect`. */
async function rawConnected(gateway: TestGateway): Promise<RawSocket> {
  const raw = await RawSocket.open(gateway.port);
  await raw.until(() => raw.received.length > 0);
  const challenge = (raw.json(0) as Frame).payload;
  raw.send({ type: 'req', id: 'c', method: 'connect', params: connectParams(challenge, { auth: { token: TOKEN } }) });
  await raw.until(() => raw.received.length > 1);
  expect(raw.json(1)).toMatchObject({ id: 'c', ok: true });
  return raw;
}
const stateOf = async (gateway: TestGateway): Promise<unknown> => ({
  devices: await ownerCall(gateway.stateDir, 'device.pair.list'),
  sessions: (await ownerCall(gateway.stateDir, 'sessions.list')).sessions,
  config: (await ownerCall(gateway.stateDir, 'config.get')).hash,
});

describe('frames', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway({ config: config() });
  });
  afterAll(async () => {
    await sound(gateway);
    await gateway[Symbol.asyncDispose]();
  });

  test('WS-2 before connect: nothing but a connect, or the door closes with a reason', async () => {
    const before = await stateOf(gateway);
    const req = (more: object): string => JSON.stringify({ type: 'req', id: 'x', method: 'connect', params: {}, ...more });
    const table: [string, string | Buffer, number, string | undefined][] = [
      ['nothing', '', 1000, undefined],
      ['no JSON', 'hello', 1000, undefined],
      ['half of it', '{"type":"req"', 1000, undefined],
      ['a list', '[]', 1008, undefined],
      ['null', 'null', 1008, undefined],
      ['a number', '42', 1008, undefined],
      ['an event', '{"type":"event","event":"x"}', 1008, undefined],
      ['an answer', '{"type":"res","id":"1","ok":true}', 1008, undefined],
      ['another method', req({ method: 'health' }), 1008, 'invalid handshake: first request must be connect'],
      ['an unknown key', req({ extra: 1 }), 1008, "at root: unexpected property 'extra'"],
      ['no id', '{"type":"req","method":"connect"}', 1008, 'at /id'],
      ['an id of another type', req({ id: 7 }), 1008, 'at /id'],
      ['an endless id', req({ id: 'x'.repeat(300) }), 1008, 'at /id'],
      ['a method of another type', req({ method: ['connect'] }), 1008, 'at /method'],
      ['no params', '{"type":"req","id":"x","method":"connect"}', 1008, 'invalid connect params'],
      ['params of another type', req({ params: [] }), 1008, 'invalid connect params'],
      ['deep', req({ params: 0 }).replace(':0', `:${nested(10_000)}`), 1008, 'nests deeper than 128'],
      ['deep and broken', nested(10_000).slice(0, 15_000), 1008, 'nests deeper than 128'],
      ['a lone surrogate', req({ params: { client: { id: 'X' } } }).replace('"X"', '"\\ud800"'), 1008, 'lone surrogate'],
      ['a lone surrogate as id', '{"type":"req","id":"\\udc00","method":"connect"}', 1008, 'lone surrogate'],
      ['__proto__ as a frame key', '{"__proto__":{"type":"req"},"id":"x","method":"connect"}', 1008, undefined],
      ['64 KiB and one byte', `"${'x'.repeat(64 * 1024 - 1)}"`, 1009, undefined],
    ];
    for (const [name, payload, code, message] of table) {
      await using raw = await RawSocket.open(gateway.port);
      raw.frame(1, payload);
      await raw.until(() => raw.closeCode !== undefined || raw.isClosed);
      expect([name, raw.closeCode === 1005 ? 1000 : raw.closeCode]).toEqual([name, code]);
      const answer = raw.received.filter(({ opcode }) => opcode === 1)[1]?.payload.toString();
      if (message === undefined) expect([name, answer]).toEqual([name, undefined]);
      else {
        expect([name, answer]).toEqual([name, expect.stringContaining(message)]);
        expect(JSON.parse(answer as string)).toMatchObject({ type: 'res', ok: false, error: { code: 'INVALID_REQUEST' } });
        expect(answer).not.toMatch(STACK);
      }
    }
    expect(await stateOf(gateway)).toEqual(before);
  });

  test('WS-1 a protocol that nobody speaks here', async () => {
    for (const [min, max] of [
      [1, 2],
      [5, 9],
      [4, 3],
      [2 ** 53 - 1, 2 ** 53 - 1],
      [1, 1],
    ] as const) {
      await using client = new RawClient(gateway.url);
      const challenge = await client.event('connect.challenge');
      const res = await client.request('connect', connectParams(challenge, { protocol: [min, max], auth: { token: TOKEN } }));
      expect(res.error).toMatchObject({ code: 'INVALID_REQUEST', message: 'protocol mismatch', details: { code: 'PROTOCOL_MISMATCH' } });
      expect((await client.closing()).code).toBe(1002);
    }
    for (const wrong of [0, -1, 3.5, '4', null, [4], true]) {
      await using client = new RawClient(gateway.url);
      const challenge = await client.event('connect.challenge');
      const res = await client.request('connect', { ...connectParams(challenge, { auth: { token: TOKEN } }), maxProtocol: wrong });
      expect(res.error).toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('/maxProtocol') });
    }
  });

  test('WS-5 connect: every known field of every wrong type is named, no unknown one is in the way', async () => {
    const fields = [
      'client',
      'client.id',
      'client.version',
      'client.platform',
      'client.mode',
      'client.displayName',
      'client.deviceFamily',
      'caps',
      'commands',
      'permissions',
      'pathEnv',
      'role',
      'scopes',
      'device',
      'device.id',
      'device.publicKey',
      'device.signature',
      'device.signedAt',
      'device.nonce',
      'auth',
      'auth.token',
      'auth.password',
      'auth.deviceToken',
      'auth.bootstrapToken',
      'locale',
      'userAgent',
    ];
    const device = { id: 'a', publicKey: 'b', signature: 'c', signedAt: 1, nonce: 'd' };
    for (const field of fields) {
      for (const wrong of [1.5, null, { a: { b: 1 } }, [[]], 'x'.repeat(20_000)]) {
        if (typeof wrong === 'string' && field === 'role') continue;
        if (wrong !== null && typeof wrong === 'object' && !Array.isArray(wrong) && /^(auth|client|device|permissions)$/.test(field))
          continue;
        await using client = new RawClient(gateway.url);
        const challenge = await client.event('connect.challenge');
        const params: Frame = {
          ...connectParams(challenge, {}),
          auth: { token: TOKEN },
          ...(field.startsWith('device') ? { device } : {}),
        };
        const [top, leaf] = field.split('.') as [string, string | undefined];
        if (leaf === undefined) params[top] = wrong;
        else params[top] = { ...params[top], [leaf]: wrong };
        const res = await client.request('connect', params);
        const kind = `${field} = ${JSON.stringify(wrong)?.slice(0, 20)}`;
        expect([kind, res.error?.code, res.error?.message]).toEqual([
          kind,
          'INVALID_REQUEST',
          expect.stringContaining(`/${field.replace('.', '/')}`),
        ]);
        expect((await client.closing()).code).toBe(1008);
      }
    }
    await using client = new RawClient(gateway.url);
    const challenge = await client.event('connect.challenge');
    const extra = Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`k${i}`, i]));
    const text = JSON.stringify({
      type: 'req',
      id: 'x',
      method: 'connect',
      params: { ...connectParams(challenge, { auth: { token: TOKEN } }), extra, ...extra },
    });
    client.send(text.replace('"extra"', '"__proto__":{"scopes":["operator.admin"]},"constructor":{"prototype":{"role":"admin"}},"extra"'));
    expect((await client.frame((frame) => frame.type === 'res')).ok).toBe(true);
  });

  test('WS-6 after connect: refused one by one, and the connection goes on', async () => {
    const before = await stateOf(gateway);
    await using client = await connected(gateway);
    const table: [string, string, RegExp][] = [
      ['a list', '[]', /expected a JSON object/],
      ['another type', '{"type":"event","id":"a1","event":"x"}', /at \/type/],
      ['an unknown key', '{"type":"req","id":"a2","method":"health","x":1}', /unexpected property 'x'/],
      ['__proto__', '{"type":"req","id":"a3","method":"health","__proto__":1}', /unexpected property '__proto__'/],
      ['an empty id', '{"type":"req","id":"","method":"health"}', /at \/id/],
      ['an empty method', '{"type":"req","id":"a4","method":""}', /at \/method/],
      ['a long method', `{"type":"req","id":"a5","method":"${'m'.repeat(200)}"}`, /at \/method/],
      ['deep', `{"type":"req","id":"a6","method":"health","params":${nested(10_000)}}`, /nests deeper/],
      [
        'deep objects',
        `{"type":"req","id":"a7","method":"health","params":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}}`,
        /nests deeper/,
      ],
      [
        'a lone surrogate',
        '{"type":"req","id":"a8","method":"chat.send","params":{"sessionKey":"main","message":"\\udfff","idempotencyKey":"k"}}',
        /at \/params\/message: text holds a lone surrogate/,
      ],
      ['a lone surrogate in a key', '{"type":"req","id":"a9","method":"chat.send","params":{"\\ud800":1}}', /lone surrogate/],
      ['another connect', '{"type":"req","id":"b1","method":"connect","params":{}}', /only valid as the first request/],
    ];
    for (const [name, text, message] of table) {
      const seen = client.frames.length;
      client.send(text);
      const answer = await client.frame((frame) => frame.type === 'res' && client.frames.indexOf(frame) >= seen, name);
      expect([name, answer.ok, answer.error.code]).toEqual([name, false, 'INVALID_REQUEST']);
      expect(answer.error.message).toMatch(message);
    }
    // What is not JSON has no id to answer.
    const seen = client.frames.filter(({ type }) => type === 'res').length;
    for (const text of ['', 'hello', '{', '\u0000', 'NaN', "{'type':'req'}"]) client.send(text === '' ? '' : text);
    expect((await client.request('health')).ok).toBe(true);
    expect(client.frames.filter(({ type }) => type === 'res')).toHaveLength(seen + 1);
    for (const method of [
      'nope',
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      'Health',
      'health ',
      'gateway.stop',
      'chat',
      '.',
      'chat.send\u0000',
      '🦞',
    ]) {
      const answer = await client.request(method, {});
      expect([method, answer.error]).toEqual([method, { code: 'INVALID_REQUEST', message: `unknown method: ${method}` }]);
    }
    expect(client.closed).toBeUndefined();
    expect(await stateOf(gateway)).toEqual(before);
  });

  test('WS-7 every method with every parameter of every wrong kind: an answer, typed, and nothing breaks inside', async () => {
    await using client = await connected(gateway);
    // `agent.wait` and `chat.send` with good values would do what they are for; here nothing is good.
    const whole = [[], 'x', 1, true, null, [[[]]], '__proto__'];
    const values: unknown[] = [
      null,
      -1,
      1.5,
      1e308,
      2 ** 53,
      '',
      'x'.repeat(5_000),
      '\u0000',
      '../../../etc/passwd',
      '__proto__',
      'constructor',
      true,
      [],
      {},
      [null],
      { length: 1e9 },
      { toString: 1 },
    ];
    let asked = 0;
    const judge = (what: string, answer: Frame): void => {
      asked++;
      if (answer.ok) return;
      expect([what, answer.error.code, answer.error.message]).not.toEqual([
        what,
        'UNAVAILABLE',
        expect.stringContaining('inside the gateway'),
      ]);
      expect([what, typeof answer.error.message, STACK.test(answer.error.message)]).toEqual([what, 'string', false]);
    };
    for (const { name, params } of Object.values(WIRE_METHODS)) {
      for (const value of whole) judge(`${name} ${JSON.stringify(value)}`, await client.request(name, value));
      const known = Object.keys((params as unknown as { _zod: { def: { shape?: object } } })._zod.def.shape ?? {});
      for (const key of [...known, '__proto__', 'constructor', 'prototype']) {
        for (const value of values) {
          // Writes are rated: what is refused for its shape would otherwise wait for a slot.
          const text = `{"type":"req","id":"w${asked}","method":${JSON.stringify(name)},"params":{${JSON.stringify(key)}:${JSON.stringify(value)}}}`;
          const id = `w${asked}`;
          client.send(text);
          judge(`${name} ${key}=${JSON.stringify(value)?.slice(0, 30)}`, await client.frame((frame) => frame.id === id, name));
        }
      }
    }
    expect(asked).toBeGreaterThan(1_000);
    const log = readdirSync(join(gateway.stateDir, 'gateway', 'logs')).map((file) =>
      readFileSync(join(gateway.stateDir, 'gateway', 'logs', file), 'utf8'),
    );
    expect(log.join('')).not.toMatch(/a handler failed/);
  });

  test('WS-11 too large for its method: typed, the connection stays; too large for all: 1009', async () => {
    await using client = await connected(gateway);
    for (const method of ['status', 'chat.history', 'device.pair.approve', 'config.get']) {
      const answer = await client.request(method, { filler: 'x'.repeat(70_000) });
      expect([method, answer.error?.code, answer.error?.details?.code]).toEqual([method, 'INVALID_REQUEST', 'PARAMS_TOO_LARGE']);
    }
    const long = await client.request('chat.send', { sessionKey: 'main', message: 'x'.repeat(600_000), idempotencyKey: 'long' });
    expect(long.error).toMatchObject({ code: 'INVALID_REQUEST', details: { code: 'MESSAGE_TOO_LARGE' } });
    const attachment = await client.request('chat.send', {
      sessionKey: 'main',
      message: 'x',
      attachments: [{ mimeType: 'image/png', content: 'A'.repeat(8_000_000) }],
      idempotencyKey: 'large',
    });
    expect(attachment.error).toMatchObject({ code: 'INVALID_REQUEST', message: expect.stringContaining('attachments[0]') });
    client.ws.send(`"${'x'.repeat(LIMITS.maxPayload)}"`);
    expect((await client.closing()).code).toBe(1009);
  });

  test('WS-22 what is no frame by RFC 6455 ends the connection with the right code', async () => {
    const bad = Buffer.from([0xc3, 0x28]);
    const surrogate = Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]);
    const code = (value: number, reason: Buffer = Buffer.alloc(0)): Buffer => {
      const payload = Buffer.alloc(2);
      payload.writeUInt16BE(value);
      return Buffer.concat([payload, reason]);
    };
    const table: [string, Buffer[], number][] = [
      ['invalid UTF-8', [frameOf(1, bad)], 1007],
      ['an encoded surrogate', [frameOf(1, surrogate)], 1007],
      ['invalid UTF-8 over two fragments', [frameOf(1, bad.subarray(0, 1), { fin: false }), frameOf(0, bad.subarray(1))], 1007],
      ['compressed', [frameOf(1, 'x', { rsv: 4 })], 1002],
      ['RSV2', [frameOf(1, 'x', { rsv: 2 })], 1002],
      ['RSV3', [frameOf(1, 'x', { rsv: 1 })], 1002],
      ['no mask', [frameOf(1, '{}', { masked: false })], 1002],
      ['reserved opcode 3', [frameOf(3, 'x')], 1002],
      ['reserved opcode 11', [frameOf(11, 'x')], 1002],
      ['a continuation of nothing', [frameOf(0, 'x')], 1002],
      ['a new message inside another', [frameOf(1, 'x', { fin: false }), frameOf(1, 'y')], 1002],
      ['a ping in fragments', [frameOf(9, 'x', { fin: false })], 1002],
      ['a ping of 126 bytes', [frameOf(9, Buffer.alloc(126))], 1002],
      ['a close of one byte', [frameOf(8, Buffer.from([3]))], 1002],
      ...[0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535].map((value): [string, Buffer[], number] => [
        `close ${value}`,
        [frameOf(8, code(value))],
        1002,
      ]),
      ['close with a reason that is no text', [frameOf(8, code(1000, bad))], 1007],
      ['close with a code of ours', [frameOf(8, code(4001))], 4001],
      ['a length of 2^63', [Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])], 1009],
    ];
    for (const [name, frames, expected] of table) {
      for (const open of [() => RawSocket.open(gateway.port), () => rawConnected(gateway)]) {
        await using raw = await open();
        for (const frame of frames) raw.socket.write(frame);
        await raw.until(() => raw.closeCode !== undefined || raw.isClosed);
        expect([name, raw.closeCode]).toEqual([name, expected]);
      }
    }
    // What is allowed works: fragments of one byte, with pings between them.
    await using raw = await RawSocket.open(gateway.port);
    await raw.until(() => raw.received.length > 0);
    const text = JSON.stringify({
      type: 'req',
      id: 'f',
      method: 'connect',
      params: connectParams((raw.json(0) as Frame).payload, { auth: { token: TOKEN } }),
    });
    for (let i = 0; i < text.length; i++) {
      raw.frame(i === 0 ? 1 : 0, text[i] as string, { fin: i === text.length - 1 });
      if (i % 100 === 0) raw.frame(9, 'still here');
    }
    await raw.until(() => raw.received.some(({ opcode, payload }) => opcode === 1 && payload.toString().includes('hello-ok')));
    expect(raw.received.filter(({ opcode }) => opcode === 10).length).toBeGreaterThan(3);
  });
});

describe('floods', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway({ config: config() });
  });
  afterAll(async () => {
    await sound(gateway, 512);
    await gateway[Symbol.asyncDispose]();
  });

  /** Writes until `bytes` are sent, the other side closes, or nobody takes any more for a second. */
  async function pour(socket: Socket, chunk: Buffer, bytes: number): Promise<number> {
    let sent = 0;
    while (sent < bytes && !socket.destroyed && socket.writable) {
      sent += chunk.length;
      if (!socket.write(chunk) && !(await drained(socket))) break;
    }
    return sent;
  }

  test('WS-20 pings without end, whose answers nobody reads, cost no memory', async () => {
    for (const open of [() => RawSocket.open(gateway.port), () => rawConnected(gateway)]) {
      await using raw = await open();
      const before = rssOf(gateway.child.pid as number);
      raw.socket.pause();
      await pour(raw.socket, Buffer.concat(Array<Buffer>(500).fill(frameOf(9, Buffer.alloc(125)))), 256 * MiB);
      if (linux) expect(rssOf(gateway.child.pid as number) - before).toBeLessThan(64);
    }
    await sound(gateway, 512);
  });

  test('WS-20 a message in endless fragments ends at the limit of its size or their number', async () => {
    for (const [name, piece, code] of [
      ['empty fragments', frameOf(0, '', { fin: false }), 1008],
      ['fragments of one byte', frameOf(0, 'x', { fin: false }), 1008],
      ['fragments of 4 KiB', frameOf(0, 'x'.repeat(4_096), { fin: false }), 1009],
    ] as const) {
      await using raw = await RawSocket.open(gateway.port);
      raw.frame(1, '"', { fin: false });
      await pour(raw.socket, Buffer.concat(Array<Buffer>(100).fill(piece)), 8 * MiB);
      await raw.until(() => raw.closeCode !== undefined || raw.isClosed);
      expect([name, raw.closeCode]).toEqual([name, code]);
    }
    await sound(gateway, 512);
  });

  test('WS-7 ten thousand requests at once on one connection: ten thousand answers, in order', async () => {
    await using raw = await rawConnected(gateway);
    const seen = raw.received.length;
    const frames: Buffer[] = [];
    for (let i = 0; i < 10_000; i++) frames.push(frameOf(1, `{"type":"req","id":"p${i}","method":"health"}`));
    const began = performance.now();
    raw.socket.write(Buffer.concat(frames));
    const isAnswer = (frame: { opcode: number; payload: Buffer }): boolean =>
      frame.opcode === 1 && frame.payload.subarray(0, 13).toString() === '{"type":"res"';
    const answers = (): Frame[] => raw.received.slice(seen).filter(isAnswer);
    await raw.until(() => raw.received.length >= seen + 10_000 && answers().length >= 10_000, 30_000);
    expect(answers().map(({ payload }) => JSON.parse(payload.toString()).id)).toEqual(Array.from({ length: 10_000 }, (_, i) => `p${i}`));
    console.log(`10,000 pipelined requests: ${(performance.now() - began).toFixed(0)} ms`);
  });

  test('HT-12 ten thousand requests at once on one HTTP connection', async () => {
    const socket = tcp(gateway.port, '127.0.0.1');
    let answers = 0;
    let rest = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      const text = rest + chunk;
      answers += text.split('HTTP/1.1 200').length - 1;
      rest = text.slice(-11);
      if (rest.includes('HTTP/1.1 200')) rest = '';
    });
    socket.write(`GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n\r\n`.repeat(10_000));
    await until(() => answers >= 10_000, 30_000);
    expect(answers).toBe(10_000);
    socket.destroy();
  });

  test('WS-21 a client that leaves calls waiting for a run without end is told to come back', async () => {
    await using provider = await startScriptedProvider();
    await using busy = await startTestGateway({ config: config(withProvider(provider)) });
    await using raw = await rawConnected(busy);
    raw.send({
      type: 'req',
      id: 's',
      method: 'chat.send',
      params: { sessionKey: 'main', message: 'TEST:hang after=1', idempotencyKey: 'hang' },
    });
    await raw.until(() => raw.received.some(({ payload }) => payload.includes('"started"')));
    const before = rssOf(busy.child.pid as number);
    const wait = frameOf(1, '{"type":"req","id":"w","method":"agent.wait","params":{"runId":"hang","timeoutMs":86400000}}');
    for (let i = 0; i < 100; i++) if (!raw.socket.write(Buffer.concat(Array<Buffer>(1_000).fill(wait)))) await drained(raw.socket);
    await raw.until(
      () => raw.received.filter(({ payload }) => payload.includes('TOO_MANY_WAITING')).length >= 100_000 - LIMITS.waitingCalls,
      30_000,
    );
    if (linux) expect(rssOf(busy.child.pid as number) - before).toBeLessThan(200);
    await sound(busy, 512);
  });

  test('WS-9 a reader that takes nothing of up to 256 MiB of events is closed as slow; who reads gets all', {
    timeout: 180_000,
  }, async () => {
    await using provider = await startScriptedProvider();
    await using busy = await startTestGateway({ config: config(withProvider(provider)) });
    await using reader = await connected(busy);
    await using writer = await connect(busy.url, { auth: { token: TOKEN }, scopes: ['operator.write'] });
    const slow = await rawConnected(busy);
    slow.socket.pause();
    let [produced, ended] = [0, 0];
    let seq: number | undefined;
    const holes: number[] = [];
    // Read, counted, and thrown away: nothing may be missing, whatever happens to the other.
    reader.ws.on('message', (data: Buffer) => {
      const frame = reader.frames.pop();
      if (frame.type !== 'event') return void reader.frames.push(frame);
      produced += data.length;
      if (seq !== undefined && frame.seq !== seq + 1) holes.push(frame.seq);
      seq = frame.seq;
      if (frame.event === 'chat' && frame.payload.state === 'final') ended++;
    });
    const before = rssOf(busy.child.pid as number);
    let peak = 0;
    let sent = 0;
    const isGone = async (): Promise<boolean> => (await ownerCall(busy.stateDir, 'status')).gateway.connections <= 3;
    while (produced < 256 * MiB && !(await isGone())) {
      for (let i = 0; i < 4; i++, sent++)
        await writer.call('chat.send', { sessionKey: `slow-${sent}`, message: 'x'.repeat(250_000), idempotencyKey: `slow-${sent}` });
      await until(() => ended === sent, 30_000);
      writer.frames.length = 0;
      peak = Math.max(peak, linux ? rssOf(busy.child.pid as number) : 0);
    }
    await until(isGone);
    console.log(
      `slow reader: closed after ${(produced / MiB).toFixed(0)} MiB of events; memory ${before.toFixed(0)} → ${peak.toFixed(0)} MiB at most`,
    );
    slow.socket.resume();
    await slow.closed();
    expect([1008, undefined]).toContain(slow.closeCode);
    expect(reader.closed).toBeUndefined();
    expect(holes, 'who reads misses nothing').toEqual([]);
    if (linux) expect(peak - before).toBeLessThan(400);
    await sound(busy, 512);
  });

  test('WS-4 six hundred silent sockets push out the oldest of their own, never who comes next', async () => {
    const sockets: Socket[] = [];
    const closed = new Set<number>();
    for (let i = 0; i < 600; i++) {
      // Twenty addresses of thirty: the limit per address is not what is looked at.
      const socket = tcp({ port: gateway.port, host: '127.0.0.1', ...(linux ? { localAddress: `127.0.1.${1 + (i % 20)}` } : {}) });
      sockets.push(socket);
      socket.on('error', () => {});
      socket.on('close', () => closed.add(i));
      await once(socket, 'connect');
      socket.write(upgradeHead(gateway.port));
      await once(socket, 'data');
      if (i % 100 === 50) await (await connected(gateway))[Symbol.asyncDispose]();
    }
    const expected = linux ? 600 - LIMITS.preauthTotal : 600 - LIMITS.preauthPerAddress;
    await until(() => closed.size >= expected);
    expect([...closed].sort((a, b) => a - b)).toEqual(Array.from({ length: expected }, (_, i) => i));
    for (const socket of sockets) socket.destroy();
  });

  test('WS-4 one address has room for 32', async () => {
    const raws: RawSocket[] = [];
    for (let i = 0; i < 40; i++) raws.push(await RawSocket.open(gateway.port));
    await until(() => raws.filter(({ isClosed }) => isClosed).length >= 8);
    expect(raws.map(({ isClosed }) => isClosed)).toEqual([...Array<boolean>(8).fill(true), ...Array<boolean>(32).fill(false)]);
    for (const raw of raws) await raw[Symbol.asyncDispose]();
  });

  test('HT-12 two thousand connections that say nothing: the oldest go, and who speaks is answered', async () => {
    const sockets: Socket[] = [];
    let closed = 0;
    for (let i = 0; i < 2_000; i++) {
      const socket = tcp(gateway.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.on('close', () => closed++);
      sockets.push(socket);
      if (i % 50 === 49) await once(socket, 'connect');
    }
    await until(() => closed >= 900);
    const began = performance.now();
    expect((await fetch(`${gateway.httpUrl}/healthz`)).status).toBe(200);
    await (await connected(gateway))[Symbol.asyncDispose]();
    expect(performance.now() - began).toBeLessThan(2_000);
    for (const socket of sockets) socket.destroy();
  });

  test('WS-3 HT-12 silence, half a head, a head that drips: all end at their deadline', { timeout: 40_000 }, async () => {
    const began = performance.now();
    const seconds = (): number => (performance.now() - began) / 1000;
    const silentWs = await RawSocket.open(gateway.port);
    const pinging = await RawSocket.open(gateway.port);
    const timer = setInterval(() => pinging.frame(9, 'x'), 1_000);
    const ending = async (socket: Socket): Promise<{ s: number; text: string }> => {
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.on('error', () => {});
      await once(socket, 'close');
      return { s: seconds(), text };
    };
    const open = (first: string, drip?: string): Promise<{ s: number; text: string }> => {
      const socket = tcp(gateway.port, '127.0.0.1', () => void socket.write(first));
      const dripping = drip === undefined ? undefined : setInterval(() => socket.writable && socket.write(drip), 500);
      socket.on('close', () => clearInterval(dripping));
      return ending(socket);
    };
    const ends = await Promise.all([
      open(''),
      open('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: '),
      open('GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n', 'X-A: b\r\n'),
      open('G', 'E'),
      open(`${upgradeHead(gateway.port).trimEnd()}\r\n`, 'X-A: b\r\n'),
    ]);
    for (const { s } of ends) expect(s).toBeLessThan(13);
    expect(ends.map(({ text }) => statusOf(text))).toEqual([408, 408, 408, 400, 408]);
    await silentWs.until(() => silentWs.closeCode !== undefined, 20_000);
    expect(seconds()).toBeGreaterThan(14);
    expect(seconds()).toBeLessThan(17);
    // A ping is no word.
    await pinging.until(() => pinging.closeCode !== undefined, 5_000);
    clearInterval(timer);
    expect([silentWs.closeCode, pinging.closeCode]).toEqual([1000, 1000].map((code) => (silentWs.closeCode === 1005 ? 1005 : code)));
    for (const raw of [silentWs, pinging]) await raw[Symbol.asyncDispose]();
  });
});

describe('HTTP', () => {
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway({ config: config() });
  });
  afterAll(async () => {
    await sound(gateway);
    await gateway[Symbol.asyncDispose]();
  });
  const head = (method: string, path: string, ...more: string[]): string =>
    [`${method} ${path} HTTP/1.1`, `Host: 127.0.0.1:${gateway.port}`, ...more, '\r\n'].join('\r\n');
  const auth = `Authorization: Bearer ${TOKEN}`;

  test('HT-11 100 MB are refused before they are read, declared or chunked, with a credential or without', async () => {
    const path = '/v1/chat/completions';
    const chunk = Buffer.from(`10000\r\n${'x'.repeat(65_536)}\r\n`);
    const cases: [string, string, Buffer, number][] = [
      ['declared, no credential', head('POST', path, 'Content-Length: 104857600'), Buffer.alloc(65_536, 'x'), 401],
      ['declared', head('POST', path, auth, 'Content-Length: 104857600'), Buffer.alloc(65_536, 'x'), 413],
      ['chunked, no credential', head('POST', path, 'Transfer-Encoding: chunked'), chunk, 401],
      ['chunked', head('POST', path, auth, 'Transfer-Encoding: chunked'), chunk, 413],
      ['where no body belongs', head('GET', '/healthz', 'Content-Length: 104857600'), Buffer.alloc(65_536, 'x'), 413],
      ['on a method that is not there', head('POST', '/', 'Content-Length: 104857600'), Buffer.alloc(65_536, 'x'), 405],
      ['on a path that is not there', head('POST', '/nothing', 'Transfer-Encoding: chunked'), chunk, 404],
    ];
    const before = rssOf(gateway.child.pid as number);
    for (const [name, start, piece, status] of cases) {
      const socket = tcp(gateway.port, '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1').on('data', (data: string) => {
        text += data;
      });
      socket.on('error', () => {});
      socket.write(start);
      const began = performance.now();
      while (!socket.destroyed && performance.now() - began < 10_000 && socket.bytesWritten < 100 * MiB) {
        if (!socket.write(piece)) await drained(socket);
      }
      await until(() => socket.destroyed, 10_000);
      expect([name, statusOf(text)]).toEqual([name, status]);
      expect(text).toMatch(/connection: close/i);
      // What the kernel holds, what is read to let the answer through, and for the chunked one the limit itself.
      expect(socket.bytesWritten / MiB, name).toBeLessThan(16);
    }
    if (linux) expect(rssOf(gateway.child.pid as number) - before).toBeLessThan(64);
    const asked = await rawHttp(gateway.port, head('POST', path, auth, 'Content-Length: 104857600', 'Expect: 100-continue'), {
      quietMs: 300,
    });
    expect(asked).toMatch(/^HTTP\/1\.1 413/);
    const stranger = await rawHttp(gateway.port, head('POST', path, 'Content-Length: 100', 'Expect: 100-continue'), { quietMs: 300 });
    expect(stranger).toMatch(/^HTTP\/1\.1 401/);
  });

  test('HT-13 half requests and requests that are none', async () => {
    const table: [string, string | Buffer, number][] = [
      ['another protocol', 'SSH-2.0-OpenSSH_9.6\r\n', 400],
      ['TLS', Buffer.from([0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0]), 400],
      ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
      ['bytes', randomBytes(512), 400],
      ['two lengths', `${head('POST', '/v1/chat/completions', auth, 'Content-Length: 2', 'Content-Length: 3')}{}`, 400],
      [
        'length and chunks',
        `${head('POST', '/v1/chat/completions', auth, 'Content-Length: 2', 'Transfer-Encoding: chunked')}0\r\n\r\n`,
        400,
      ],
      ['a length that is none', head('POST', '/v1/chat/completions', auth, 'Content-Length: -1'), 400],
      ['a length beyond all', head('POST', '/v1/chat/completions', auth, 'Content-Length: 99999999999999999999999'), 400],
      ['a chunk size that is none', `${head('POST', '/v1/chat/completions', auth, 'Transfer-Encoding: chunked')}zz\r\n`, 400],
      ['a chunk beyond all', `${head('POST', '/v1/chat/completions', auth, 'Transfer-Encoding: chunked')}ffffffffffffffffff\r\n`, 400],
      ['a space before the colon', head('GET', '/healthz', 'X-A : b'), 400],
      ['a folded header', head('GET', '/healthz', 'X-A: b\r\n c'), 400],
      ['NUL in a header', head('GET', '/healthz', 'X-A: \u0000'), 400],
      ['a long head', head('GET', '/healthz', `X-A: ${'y'.repeat(20_000)}`), 431],
      ['many headers', head('GET', '/healthz', ...Array.from({ length: 3_000 }, (_, i) => `X-${i}: ${i}`)), 431],
      ['a long target', head('GET', `/${'x'.repeat(9_000)}`), 414],
      ['HTTP/1.0 without Host', 'GET /healthz HTTP/1.0\r\n\r\n', 400],
      ['an unknown expectation', head('GET', '/healthz', 'Expect: miracles'), 417],
      [
        'an upgrade with a bad key',
        head('GET', '/', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: short'),
        400,
      ],
      [
        'an upgrade of another version',
        head(
          'GET',
          '/',
          'Connection: Upgrade',
          'Upgrade: websocket',
          'Sec-WebSocket-Version: 99',
          'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
        ),
        400,
      ],
      ['an upgrade to something else', head('GET', '/healthz', 'Connection: Upgrade, close', 'Upgrade: h2c'), 200],
    ];
    for (const [name, bytes, status] of table) {
      const answer = await rawHttp(gateway.port, bytes, { quietMs: 300 });
      expect([name, statusOf(answer)]).toEqual([name, status]);
      expect(answer).not.toMatch(STACK);
    }
    // A body that stops half-way, and a client that leaves: nothing of it is done.
    const before = await stateOf(gateway);
    const socket = tcp(gateway.port, '127.0.0.1');
    socket.write(`${head('POST', '/v1/chat/completions', auth, 'Content-Length: 1000')}{"messages":[`);
    await once(socket, 'connect');
    await (await connected(gateway))[Symbol.asyncDispose]();
    socket.destroy();
    await sound(gateway);
    expect(await stateOf(gateway)).toEqual(before);
  });

  test('HT-43 bodies that mean nothing: 400 with the place, and nothing is made of them', async () => {
    const before = await stateOf(gateway);
    const good = '{"messages":[{"role":"user","content":"hi"}]}';
    const bodies: [string, string | Buffer][] = [
      ['nothing', ''],
      ['no JSON', 'hello'],
      ['JSON5', "{messages: [{role: 'user', content: 'hi',}],}"],
      ['cut', good.slice(0, -1)],
      ['null', 'null'],
      ['a list', '[]'],
      ['no messages', '{}'],
      ['messages of another type', '{"messages":"hi"}'],
      ['empty messages', '{"messages":[]}'],
      ['a message of another type', '{"messages":["hi"]}'],
      ['no role', '{"messages":[{"content":"hi"}]}'],
      ['another role', '{"messages":[{"role":"root","content":"hi"}]}'],
      ['content of another type', '{"messages":[{"role":"user","content":7}]}'],
      ['content of another kind', '{"messages":[{"role":"user","content":[{"type":"input_file","file":"/etc/passwd"}]}]}'],
      [
        'an image to fetch',
        '{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}]}]}',
      ],
      ['deep', `{"messages":${nested(10_000)}}`],
      ['a lone surrogate', '{"messages":[{"role":"user","content":"\\ud800"}]}'],
      ['no UTF-8', Buffer.from([...Buffer.from('{"messages":[{"role":"user","content":"'), 0xff, ...Buffer.from('"}]}')])],
      ['UTF-16', Buffer.from(good, 'utf16le')],
      ['temperature of another type', good.replace('{', '{"temperature":"hot",')],
      ['temperature out of range', good.replace('{', '{"temperature":9,')],
      ['n of two', good.replace('{', '{"n":2,')],
      ['max_tokens of nothing', good.replace('{', '{"max_tokens":0,')],
      ['an unknown model', good.replace('{', '{"model":"gpt-4",')],
      ['an unknown agent', good.replace('{', '{"model":"openclaw/nobody",')],
      ['a user with line ends', good.replace('{', '{"user":"a\\nb",')],
    ];
    for (const [name, body] of bodies) {
      const answer = await fetch(`${gateway.httpUrl}/v1/chat/completions`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}` },
        body: typeof body === 'string' ? body : new Uint8Array(body),
      });
      const text = await answer.text();
      expect([name, answer.status, text]).toEqual([name, 400, expect.stringContaining('"error"')]);
      expect(JSON.parse(text).error).toMatchObject({ type: 'invalid_request_error', message: expect.any(String) });
      expect(text).not.toMatch(STACK);
    }
    for (const headers of [
      { 'x-openclaw-session-key': 'agent:main:cron:x' },
      { 'x-openclaw-session-key': 'agent:../..:x' },
      { 'x-openclaw-agent-id': 'nobody' },
      { 'x-openclaw-agent': '__proto__' },
    ]) {
      const answer = await fetch(`${gateway.httpUrl}/v1/chat/completions`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}`, ...headers },
        body: good,
      });
      expect([headers, answer.status]).toEqual([headers, 400]);
    }
    // Keys that mean something elsewhere mean nothing here.
    const polluted = await fetch(`${gateway.httpUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${TOKEN}` },
      body: good.replace('{', '{"__proto__":{"stream":true},"constructor":{"prototype":{"n":5}},'),
    });
    expect(polluted.status).toBe(200);
    expect(polluted.headers.get('content-type')).toContain('application/json');
    expect(await stateOf(gateway)).toMatchObject({ devices: (before as Frame).devices, config: (before as Frame).config });
    const keys = ((await stateOf(gateway)) as Frame).sessions.map(({ key }: Frame) => key);
    expect(keys.filter((key: string) => !/^agent:main:openai:[0-9a-f-]{36}$/.test(key))).toEqual([]);
  });
});

describe('the admin socket', () => {
  test('WS-17 bad lines get an answer or an end, and the next caller is served', async () => {
    await using gateway = await startTestGateway({ config: config() });
    const say = (bytes: string | Buffer, ms = 3_000): Promise<string> =>
      new Promise((resolve) => {
        const socket = tcp(join(gateway.stateDir, 'gateway', 'admin.sock'));
        let text = '';
        const end = setTimeout(() => socket.destroy(), ms);
        socket.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        socket.on('error', () => {});
        socket.on('close', () => {
          clearTimeout(end);
          resolve(text);
        });
        socket.write(bytes, () => socket.end());
      });
    const table: [string, string | Buffer, RegExp][] = [
      ['no JSON', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', /"ok":false/],
      ['bytes', Buffer.concat([randomBytes(64), Buffer.from('\n')]), /"ok":false/],
      ['a list', '[]\n', /expected a JSON object/],
      ['deep', `${nested(10_000)}\n`, /nests deeper/],
      ['an unknown key', '{"type":"req","id":"1","method":"health","x":1}\n', /unexpected property/],
      ['an unknown method', '{"type":"req","id":"1","method":"nope"}\n', /unknown method: nope/],
      ['connect, as on a WebSocket', '{"type":"req","id":"1","method":"connect","params":{}}\n', /unknown method: connect/],
      ['a lone surrogate', '{"type":"req","id":"1","method":"models.set","params":{"model":"\\ud800"}}\n', /lone surrogate/],
      ['half a line', '{"type":"req"', /^$/],
      ['empty lines', '\n\n\n', /^$/],
    ];
    for (const [name, bytes, expected] of table) {
      const answer = await say(bytes);
      expect([name, answer]).toEqual([name, expect.stringMatching(expected)]);
      expect(answer).not.toMatch(STACK);
    }
    expect(await say(Buffer.alloc(26 * MiB, 'x'), 10_000)).toMatch(/a line is longer than/);
    await sound(gateway);
  });
});

describe('settings', () => {
  const BAD: [string, string | Buffer, RegExp][] = [
    ['no JSON5', '{ gateway: { port: 1,, } }', /line 1, column \d+/],
    ['cut', '{ gateway: {', /ends too early/],
    ['empty', '', /./],
    ['a list', '[]', /must be an object/],
    ['a wrong type', '{ gateway: { port: "high" } }', /gateway\.port must be/],
    ['a wrong value', '{ gateway: { bind: "everywhere" } }', /gateway\.bind must be/],
    ['deep', `{ a: ${nested(10_000)} }`, /./],
    ['deep objects', `{ a: ${'{a:'.repeat(10_000)}1${'}'.repeat(10_000)} }`, /./],
    ['__proto__', '{ "__proto__": { gateway: { bind: "lan" } } }', /__proto__/],
    ['constructor', '{ gateway: { constructor: { prototype: 1 } } }', /constructor/],
    ['NUL', '{ gateway: \u0000 }', /NUL/],
    ['UTF-16', Buffer.from('{ gateway: {} }', 'utf16le'), /./],
    ['no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), /UTF-8/],
    ['6 MiB', `{ a: "${'x'.repeat(6 * MiB)}" }`, /bytes|larger/],
  ];

  test('CF-14 a bad file at the start: one error with the file, the place and what to do; nothing is started or made', async () => {
    const dir = newStateDir();
    const file = join(dir, 'openclaw.json');
    for (const [name, text, expected] of BAD) {
      writeFileSync(file, text, { mode: 0o600 });
      const { code, stdout, stderr } = await runCli(['gateway', 'run', '--port', '0'], { env: productEnv(dir), timeoutMs: 20_000 });
      if (name === 'empty' && code === null) throw new Error('an empty file starts a gateway');
      expect([name, code]).toEqual([name, 1]);
      expect([name, stderr]).toEqual([name, expect.stringMatching(expected)]);
      expect([name, stderr]).toEqual([name, expect.stringContaining(file)]);
      expect([name, stderr]).toEqual([name, expect.stringMatching(/Fix:/)]);
      expect(stdout + stderr).not.toMatch(STACK);
      expect(stderr.length, name).toBeLessThan(4_000);
      expect(existsSync(join(dir, 'gateway', 'token'))).toBe(false);
    }
    rmSync(file);
    mkdirSync(file);
    const { code, stderr } = await runCli(['gateway', 'run', '--port', '0'], { env: productEnv(dir), timeoutMs: 20_000 });
    expect([code, stderr]).toEqual([1, expect.stringMatching(/is a directory/)]);
    rmSync(dir, { recursive: true });
  });

  test('CF-35 a bad file while it runs: reported once, the last good one goes on, the next good one counts', async () => {
    await using gateway = await startTestGateway({ config: config() });
    const file = join(gateway.stateDir, 'openclaw.json');
    await using client = await connected(gateway);
    const hash = (await client.call('config.get')).hash;
    let reports = 0;
    for (const [name, text] of BAD) {
      writeFileSync(file, text, { mode: 0o600 });
      reports++;
      await until(() => gateway.output().split('was not taken over').length - 1 === reports, 10_000).catch(() => {
        throw new Error(`not reported: ${name}`);
      });
      expect((await client.call('config.get')).hash).toBe(hash);
    }
    expect(client.closed).toBeUndefined();
    expect(gateway.output()).not.toMatch(STACK);
    await sound(gateway);
    writeFileSync(file, config({}, { auth: { token: `${TOKEN}-next` } }), { mode: 0o600 });
    expect((await client.closing()).code).toBe(4001);
    await using next = await connect(gateway.url, { auth: { token: `${TOKEN}-next` } });
    expect((await next.call('config.get')).hash).not.toBe(hash);
  });
});

describe('models that fail', () => {
  let provider: ScriptedProvider;
  beforeAll(async () => {
    provider = await startScriptedProvider();
  });
  afterAll(() => provider.close());

  test('AG-9 every way a provider fails: one typed error with what to do, on every door; the next message works', {
    timeout: 120_000,
  }, async () => {
    const models = (baseUrl: string, more: object = {}) => ({
      baseUrl,
      apiKey: 'sk-none-0123456789',
      api: 'openai-completions',
      models: [{ id: 'm', name: 'M', ...more }],
    });
    const unused = createServer().listen(0, '127.0.0.1');
    await once(unused, 'listening');
    const { port } = unused.address() as AddressInfo;
    unused.close();
    await using gateway = await startTestGateway({
      config: config({
        models: {
          providers: {
            p: models(provider.url),
            gone: models(`http://127.0.0.1:${port}/v1`),
            small: models(provider.url, { contextWindow: 1_024 }),
          },
        },
        agents: {
          list: [
            { id: 'main', default: true, model: 'p/m' },
            { id: 'gone', model: 'gone/m' },
            { id: 'small', model: 'small/m' },
          ],
        },
      }),
    });
    await using client = await connected(gateway);
    const cases: { name: string; agent: string; message: string; kind: string; http: number; code: string; says: RegExp }[] = [
      {
        name: 'unreachable',
        agent: 'gone',
        message: 'hello',
        kind: 'unreachable',
        http: 502,
        code: 'provider_unreachable',
        says: /connection refused/,
      },
      { name: 'cut mid-stream', agent: 'main', message: 'TEST:cut after=3', kind: 'cut', http: 502, code: 'provider_cut', says: /./ },
      {
        name: 'context too small',
        agent: 'main',
        message: 'TEST:context n_ctx=256 always',
        kind: 'context-too-small',
        http: 400,
        code: 'context_length_exceeded',
        says: /context/i,
      },
      {
        name: 'more than the model can take',
        agent: 'small',
        message: 'word '.repeat(10_000),
        kind: 'context-too-small',
        http: 400,
        code: 'context_length_exceeded',
        says: /context/i,
      },
      {
        name: 'an error of its own',
        agent: 'main',
        message: 'TEST:error 400',
        kind: 'bad-request',
        http: 400,
        code: 'provider_rejected',
        says: /./,
      },
      {
        name: 'a web page instead of a stream',
        agent: 'main',
        message: 'TEST:html',
        kind: 'cut',
        http: 502,
        code: 'provider_cut',
        says: /./,
      },
      {
        name: 'broken stream',
        agent: 'main',
        message: 'TEST:malformed after=2',
        kind: 'malformed',
        http: 502,
        code: 'provider_malformed',
        says: /./,
      },
    ];
    const run = async ({ name, agent, message, kind, http, code, says }: (typeof cases)[number], i: number): Promise<void> => {
      const sessionKey = `agent:${agent}:bad-${i}`;
      const runId = `bad-${i}`;
      const seen = client.frames.length;
      client.send({ type: 'req', id: runId, method: 'agent', params: { message, sessionKey, idempotencyKey: runId } });
      const direct = fetch(`${gateway.httpUrl}/v1/chat/completions`, {
        method: 'POST',
        headers: { Authorization: `Bearer ${TOKEN}` },
        body: JSON.stringify({ model: `openclaw/${agent}`, messages: [{ role: 'user', content: message }] }),
      });
      const answer = await client.frame((frame) => frame.id === runId && frame.ok === false, name, 60_000);
      expect([name, answer.error]).toEqual([
        name,
        { code: 'UNAVAILABLE', message: expect.stringMatching(says), retryable: false, details: { runId, kind } },
      ]);
      const events = client.frames.slice(seen).filter((frame) => frame.event === 'chat' && frame.payload.runId === runId);
      expect([name, events.filter(({ payload }) => payload.state === 'error').map(({ payload }) => payload.errorMessage)]).toEqual([
        name,
        [answer.error.message],
      ]);
      expect(events.at(-1)?.payload.state).toBe('error');
      const { status, text } = await direct.then(async (response) => ({ status: response.status, text: await response.text() }));
      expect([name, status, JSON.parse(text).error.code]).toEqual([name, http, code]);
      expect(text + JSON.stringify(events)).not.toMatch(STACK);
      console.log(`${name}: ${answer.error.message}`);
      // Not left running, and what was asked stands in the history beside why there is no answer.
      const history = await client.call('chat.history', { sessionKey });
      expect([name, JSON.stringify(history.messages).includes(message.slice(0, 1_000))]).toEqual([name, true]);
      if (agent !== 'gone') {
        const next = await client.call('chat.send', { sessionKey, message: 'hello again', idempotencyKey: `next-${i}` });
        const final = await client.event(
          'chat',
          (payload) => payload.runId === next.runId && payload.state !== 'delta' && payload.state !== 'status',
          20_000,
        );
        expect([name, final.state]).toEqual([name, 'final']);
      }
    };
    // At once: most of the time goes into asking again.
    await Promise.all(cases.map(run));
    expect((await ownerCall(gateway.stateDir, 'status')).gateway.activeRuns).toBe(0);
    await sound(gateway);
  });
});
