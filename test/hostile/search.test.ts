import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { type AnyMethod, SOCKET_METHODS, WIRE_METHODS } from '../../src/protocol/registry.ts';
import { ROUTES } from '../../src/protocol/routes.ts';
import { newStateDir } from '../support/gateway.ts';
import { BOUNDS, startWatchedGateway, type WatchedGateway } from './support/attack.ts';
import { firstSettings, type Settings, shapeOf, stepsFrom } from './support/frame-search.ts';
import { seedSessions } from './support/seed-sessions.ts';

// Looks for the frame that costs most: of each method and route some dozens are sent, the best are grown and shrunk. With
// HOSTILE_TABLE=file the result is written as the table of docs/performance.md.

const SEED = Number(process.env['HOSTILE_SEED'] ?? 7);
const PIPELINED = 50;
/** A frame on its own that costs less than this is told from noise only when it comes fifty times. */
const NOISE_MS = 1;

interface Candidate {
  /** For the table. */
  readonly label: string;
  readonly times: number;
  readonly bytes: number;
  send(): Promise<void>;
}
interface Measured {
  readonly of: string;
  readonly label: string;
  readonly bytes: number;
  readonly cpuMs: number;
  readonly holdMs: number;
}
const perKb = ({ cpuMs, bytes }: Measured): number => (cpuMs * 1_000) / (bytes / 1024);

const stateDir = newStateDir();
const results: Measured[] = [];
let gateway: WatchedGateway;
/** Processor time of the gateway that nobody asks anything, ms per ms: the probe in it. */
let idle = 0;

beforeAll(async () => {
  mkdirSync(join(stateDir, 'gateway'), { recursive: true, mode: 0o700 });
  await seedSessions(stateDir, {
    sessions: 20_000,
    big: [
      { messages: 300, bytes: (n) => 100_000 + (n % 5) * 100_000 },
      ...Array.from({ length: 64 }, () => ({ messages: 8, bytes: () => 100_000 })),
    ],
  });
  const logs = join(stateDir, 'gateway', 'logs');
  mkdirSync(logs, { mode: 0o700 });
  const line = `${JSON.stringify({ time: '2026-01-01T00:00:00.000Z', level: 'info', msg: 'seeded', text: 'line "quoted" äöü '.repeat(4) })}\n`;
  // Today's, as the gateway names it.
  writeFileSync(join(logs, `openclaw-${new Date().toLocaleDateString('sv')}.log`), line.repeat(10_000), { mode: 0o600 });
  gateway = await startWatchedGateway({
    stateDir,
    config: '{ gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } } }',
  });
  // What is loaded at the first turn is no part of it.
  using admin = new Admin();
  await admin.ask(request('w1', 'chat.send', '{"sessionKey":"agent:main:warm","message":"hello","idempotencyKey":"warm"}'), ['w1']);
  await admin.ask(request('w2', 'agent.wait', '{"runId":"warm","timeoutMs":10000}'), ['w2']);
  await wait(1_500);
  const [before, started] = [gateway.cpuMs(), performance.now()];
  await wait(500);
  idle = (gateway.cpuMs() - before) / (performance.now() - started);
  console.log(`seed ${SEED}; idle ${(idle * 100).toFixed(1)} % of a core`);
}, 60_000);
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]();
  rmSync(stateDir, { recursive: true, force: true });
  const file = process.env['HOSTILE_TABLE'];
  if (file !== undefined) writeFileSync(file, table());
});

/** What one candidate costs, with what it sets going: a turn that it begins counts until the gateway is quiet again. */
async function measure(of: string, { label, bytes, send }: Candidate, lingers: boolean): Promise<Measured> {
  await gateway.worstHold();
  const [before, started] = [gateway.cpuMs(), performance.now()];
  await send();
  for (let rounds = 0, quiet = 0; lingers && rounds < 80 && quiet < 2; rounds++) {
    const used = gateway.cpuMs();
    await wait(20);
    quiet = gateway.cpuMs() - used < 1.5 + 20 * idle ? quiet + 1 : 0;
  }
  const cpuMs = Math.max(0, gateway.cpuMs() - before - idle * (performance.now() - started));
  return { of, label, bytes, cpuMs, holdMs: await gateway.worstHold() };
}

/** Measures the first candidates, grows and shrinks the best, and keeps the dearest and the dearest for its bytes, each the middle of three. */
async function search<Key>(
  of: string,
  first: readonly Key[],
  make: (key: Key) => Candidate,
  next: (best: Key, second: Key) => readonly Key[],
  lingers = false,
): Promise<void> {
  const seen: { key: Key; measured: Measured }[] = [];
  const tried = new Set<string>();
  const look = async (keys: readonly Key[]): Promise<void> => {
    for (const key of keys) {
      if (tried.has(JSON.stringify(key))) continue;
      tried.add(JSON.stringify(key));
      seen.push({ key, measured: await measure(of, make(key), lingers) });
    }
  };
  // The first call of a method pays for what is loaded and compiled with it.
  for (const key of [...first.slice(0, 1), ...first.slice(0, 1)]) await make(key).send();
  await look(first);
  const worth = (m: Measured): number => (m.cpuMs < NOISE_MS ? 0 : perKb(m));
  const bests = (): [Key, Key][] =>
    [(m: Measured) => m.cpuMs, worth].map((rank) => {
      const sorted = [...seen].sort((a, b) => rank(b.measured) - rank(a.measured));
      // Of those that cost the same, as far as can be told, the shortest.
      const top = sorted.filter(({ measured }) => rank(measured) >= 0.85 * rank((sorted[0] ?? seen[0])?.measured as Measured));
      const [best] = top.sort((a, b) => a.measured.bytes - b.measured.bytes);
      return [best?.key as Key, (sorted[1] ?? best)?.key as Key];
    });
  for (let step = 0; step < 2; step++) for (const [best, second] of bests()) await look(next(best, second).slice(0, 6));
  for (const [best] of new Map(bests().map((pair) => [JSON.stringify(pair[0]), pair])).values()) {
    const again = [await measure(of, make(best), lingers), await measure(of, make(best), lingers)];
    const all = [...again, ...seen.filter(({ key }) => key === best).map(({ measured }) => measured)].sort((a, b) => a.cpuMs - b.cpuMs);
    results.push({ ...(all[1] as Measured), holdMs: Math.max(...all.map(({ holdMs }) => holdMs)) });
  }
  const worst = seen.map(({ measured }) => measured).sort((a, b) => b.holdMs - a.holdMs)[0] as Measured;
  holds.push(worst);
}
const holds: Measured[] = [];

/** mulberry32: the few choices that are left to chance, the same at each run. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const request = (id: string, method: string, params: string): string =>
  `{"type":"req","id":"${id}","method":"${method}","params":${params}}\n`;

/** The owner's connection, which no rate cuts short. Answers are counted and not parsed: they have megabytes. */
class Admin implements Disposable {
  #socket: Socket | undefined;
  readonly #waiting = new Set<string>();
  #done = (): void => {};
  #head = '';

  /** Resolves when all ids are answered, or the gateway has closed: it cuts off who asks faster than he reads. */
  async ask(frames: string, ids: readonly string[]): Promise<void> {
    const socket = await this.#open();
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no answer in 30 s to ${frames.slice(0, 300)}`)), 30_000);
      this.#done = () => {
        clearTimeout(late);
        resolve();
      };
      for (const id of ids) this.#waiting.add(id);
      socket.write(frames);
    });
  }

  async #open(): Promise<Socket> {
    if (this.#socket !== undefined) return this.#socket;
    const socket = connectTcp(join(stateDir, 'gateway', 'admin.sock'));
    await once(socket, 'connect');
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.#waiting.clear();
      this.#head = '';
      this.#done();
    });
    return socket;
  }

  #read(chunk: Buffer): void {
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      this.#keep(chunk, from, end);
      const id = /^\{"type":"res","id":"([^"]*)"/.exec(this.#head)?.[1];
      this.#head = '';
      from = end + 1;
      if (id !== undefined && this.#waiting.delete(id) && this.#waiting.size === 0) this.#done();
    }
    this.#keep(chunk, from, chunk.length);
  }
  #keep(chunk: Buffer, from: number, to: number): void {
    if (this.#head.length < 100) this.#head += chunk.toString('latin1', from, Math.min(to, from + 100));
  }

  [Symbol.dispose](): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }
}

/** What all methods get beside what they take: keys they do not know, which are thrown away. */
const EXTRAS: Readonly<Record<string, string>> = {
  '60 KB of {}': `[${'{},'.repeat(20_000)}0]`,
  '60 KB of numbers': `[${'0,'.repeat(30_000)}0]`,
  '60 KB of keys': `{${Array.from({ length: 6_000 }, (_, i) => `"k${i}":0`).join()}}`,
  'depth 100': '['.repeat(100) + ']'.repeat(100),
  '60 KB of escapes': `"${'\\u00e9'.repeat(10_000)}"`,
};
/** Refused by every schema: for what would stop or restart the gateway, or put software on this machine. */
const ONLY_REFUSED = new Set(['gateway.stop', 'gateway.restart', 'models.try.install', 'models.try.remove']);

interface FrameKey {
  readonly settings: Settings;
  readonly extra?: string;
  readonly times: number;
}

test.skipIf(process.platform !== 'linux')(
  'WS-73 of every method, the frame that costs most for its bytes',
  async () => {
    const random = chance(SEED);
    const order = { read: 0, write: 1, control: 2 };
    // What only looks comes first, on sessions that nothing has changed; what may be refused only, last.
    const methods = ([...Object.values(WIRE_METHODS), ...Object.values(SOCKET_METHODS)] as unknown as AnyMethod[]).sort(
      (a, b) => Number(ONLY_REFUSED.has(a.name)) - Number(ONLY_REFUSED.has(b.name)) || order[a.effect] - order[b.effect],
    );
    let count = 0;
    for (const { name, params, maxBytes, effect } of methods) {
      // One connection each: what it subscribes to ends with it.
      using admin = new Admin();
      let session = 0;
      const known = (key: string, index: number): string | number | undefined => {
        if (key === 'timeoutMs' || key === 'timeout') return 1;
        if (key === 'idempotencyKey') return `s${++count}`;
        // What changes a session gets another one each time, not one that is empty by then.
        if (key === 'sessionKey' || key === 'key' || key === 'keys')
          return `agent:main:big-${effect === 'read' ? index % 65 : 1 + (session++ % 64)}`;
        return undefined;
      };
      const shape = shapeOf(params, known);
      const refusedOnly = ONLY_REFUSED.has(name);
      if (!refusedOnly) expect(z.safeParse(params, shape.make({})).success, name).toBe(true);
      const make = ({ settings, extra, times }: FrameKey): Candidate => {
        const ids: string[] = [];
        const frames = Array.from({ length: times }, () => {
          const id = `s${++count}`;
          ids.push(id);
          let text = refusedOnly ? '[]' : JSON.stringify(shape.make(settings));
          if (extra !== undefined) {
            const more = EXTRAS[extra] as string;
            text = refusedOnly ? `[${more}]` : `${text.slice(0, -1)}${text === '{}' ? '' : ','}"extra":${more}}`;
          }
          return request(id, name, text);
        }).join('');
        const what = Object.entries(settings).map(([path, size]) => `${path.slice(1)}: ${size === true ? 'true' : size}`);
        const label = [...what, ...(extra === undefined ? [] : [extra])].join(', ') || (refusedOnly ? 'refused params' : 'least params');
        return {
          label: times === 1 ? label : `${times} × ${label}`,
          times,
          bytes: Buffer.byteLength(frames),
          send: () => admin.ask(frames, ids),
        };
      };
      const once = (settings: Settings): FrameKey => ({ settings, times: 1 });
      const settings = refusedOnly ? [{}] : firstSettings(shape, maxBytes);
      // Three mixtures that nobody thought of.
      const mixed = Array.from({ length: settings.length > 4 ? 3 : 0 }, () =>
        Object.assign({}, ...settings.filter(() => random() < 0.25)),
      ) as Settings[];
      const first: FrameKey[] = [
        ...[...settings, ...mixed].map(once),
        ...settings.slice(0, 3).map((each) => ({ settings: each, times: PIPELINED })),
        ...Object.keys(EXTRAS).map((extra) => ({ settings: {}, extra, times: 1 })),
      ];
      await search(
        name,
        first,
        make,
        (best, second) => stepsFrom(best.settings, shape, maxBytes, second.settings).map((each) => ({ ...best, settings: each })),
        effect !== 'read',
      );
    }
    expectNoHold();
  },
  90_000,
);

interface RequestKey {
  readonly method: string;
  readonly kind: string;
  readonly size: number;
  readonly times: number;
}
const chat = (messages: string, rest = ''): string => `{"model":"openclaw","messages":[${messages}]${rest}}`;
const says = (text: string): string => `{"role":"user","content":${text}}`;
/** Bodies that grow with a size in bytes. */
const BODIES: Readonly<Record<string, (size: number) => string>> = {
  'a text': (n) => chat(says(`"${'a'.repeat(n)}"`)),
  'a text, streamed': (n) => chat(says(`"${'a'.repeat(n)}"`), ',"stream":true'),
  'a text of escapes': (n) => chat(says(`"${'\\u00e9'.repeat(Math.ceil(n / 6))}"`)),
  'messages (at most 4,096)': (n) =>
    chat(
      Array(Math.min(4_096, Math.ceil(n / 30)))
        .fill(says('"a"'))
        .join(),
    ),
  'instructions (at most 4,096)': (n) =>
    chat(`${'{"role":"system","content":"a"},'.repeat(Math.min(4_095, Math.ceil(n / 33)))}${says('"a"')}`),
  'parts of one message': (n) =>
    chat(
      says(
        `[${Array(Math.min(16_000, Math.ceil(n / 26)))
          .fill('{"type":"text","text":"a"}')
          .join()}]`,
      ),
    ),
  'eight images': (n) =>
    chat(
      says(
        `[${Array(8)
          .fill(`{"type":"image_url","image_url":"data:image/png;base64,${'A'.repeat(Math.ceil(n / 32) * 4)}"}`)
          .join()}]`,
      ),
    ),
  'ignored values (at most 49,000)': (n) =>
    chat(
      says('"a"'),
      `,"tools":[${Array(Math.min(49_000, Math.ceil(n / 3)))
        .fill('{}')
        .join()}]`,
    ),
  'ignored keys': (n) =>
    chat(says('"a"'), `,"metadata":{${Array.from({ length: Math.min(20_000, Math.ceil(n / 10)) }, (_, i) => `"k${i}":0`).join()}}`),
  'arrays, 100 deep': (n) =>
    chat(
      says('"a"'),
      `,"tools":[${Array(Math.max(1, Math.min(400, Math.floor(n / 201))))
        .fill('['.repeat(100) + ']'.repeat(100))
        .join()}]`,
    ),
  'wrong at its end': (n) => chat(`${`${says('"a"')},`.repeat(Math.min(4_095, Math.ceil(n / 30)))}{"role":"narrator","content":"a"}`),
};
/** Heads that grow, the body empty. */
const HEADS: Readonly<Record<string, (size: number) => { query?: string; headers?: string }>> = {
  'least head': () => ({}),
  'a query': (n) => ({ query: `?${'a=%41&'.repeat(Math.ceil(n / 6))}` }),
  'a long header': (n) => ({ headers: `X-Long: ${'a'.repeat(n)}\r\n` }),
  'many headers': (n) => ({ headers: Array.from({ length: Math.ceil(n / 9) }, (_, i) => `X-${i}: a\r\n`).join('') }),
};

test.skipIf(process.platform !== 'linux')(
  'WS-73 of every route, the request that costs most for its bytes',
  async () => {
    const auth = `Authorization: Bearer ${gateway.token()}\r\n`;
    for (const { path, methods, maxBytes } of ROUTES) {
      const rest = path.endsWith('/*') ? 'x' : '';
      const make = ({ method, kind, size, times }: RequestKey): Candidate => {
        const { query = '', headers = '' } = HEADS[kind]?.(size) ?? {};
        const body = BODIES[kind]?.(size) ?? '';
        const target = path.replace('*', kind === 'a long path' ? 'a%2F'.repeat(Math.ceil(size / 4)) : rest);
        const one = (last: boolean): string =>
          `${method} ${target}${query} HTTP/1.1\r\nHost: 127.0.0.1:${gateway.port}\r\n${auth}${headers}${last ? 'Connection: close\r\n' : ''}${
            method === 'POST' || body !== '' ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` : ''
          }\r\n${body}`;
        const text = Array.from({ length: times }, (_, i) => one(i === times - 1)).join('');
        const label = `${times === 1 ? '' : `${times} × `}${method}, ${kind}${kind === 'least head' ? '' : ` (${size} bytes)`}`;
        return {
          label,
          times,
          bytes: Buffer.byteLength(text),
          async send() {
            const socket = connectTcp(gateway.port, '127.0.0.1');
            const gone = new Promise<void>((resolve) => void socket.once('close', () => resolve()));
            // A request that is refused before its end is closed upon.
            socket.on('error', () => {});
            socket.resume();
            socket.write(text);
            await gone;
          },
        };
      };
      const kinds = maxBytes > 0 ? [...Object.keys(BODIES), ...Object.keys(HEADS)] : Object.keys(HEADS);
      if (rest !== '') kinds.push('a long path');
      const sizes = (kind: string): number[] =>
        kind === 'least head'
          ? [1]
          : kind in BODIES
            ? [1_000, 60_000, 900_000]
            : kind === 'many headers'
              ? [1_000, 9_000]
              : [1_000, 14_000];
      const first = methods.flatMap((method) =>
        kinds.flatMap((kind) => sizes(kind).map((size): RequestKey => ({ method, kind, size, times: 1 }))),
      );
      const least = first.find(({ kind }) => kind === (maxBytes > 0 ? 'a text' : 'least head')) as RequestKey;
      await search(
        path,
        [least, ...first, { ...least, times: PIPELINED }],
        make,
        (best) =>
          [best.size * 2, Math.floor(best.size / 2)]
            .filter((size) => size >= 1 && size <= (best.kind in BODIES ? 2_000_000 : 15_000))
            .map((size) => ({ ...best, size })),
        maxBytes > 0,
      );
    }
    expectNoHold();
  },
  90_000,
);

function expectNoHold(): void {
  const long = [...results, ...holds].filter(({ holdMs }) => holdMs > BOUNDS.lagWorstMs);
  expect(long.map(({ of, label, holdMs }) => `${of} | ${label} | ${Math.round(holdMs)} ms`)).toEqual([]);
}

function table(): string {
  const digits = (n: number): string => (n < 10 ? n.toFixed(1) : Math.round(n).toLocaleString('en'));
  const rows = (list: readonly Measured[]): string[] => [
    '| method or route | frame | bytes | CPU ms | CPU µs per KB | worst hold ms |',
    '| --- | --- | ---: | ---: | ---: | ---: |',
    ...list.map(
      (m) =>
        `| \`${m.of}\` | ${m.label} | ${m.bytes.toLocaleString('en')} | ${digits(m.cpuMs)} | ${digits(perKb(m))} | ${digits(m.holdMs)} |`,
    ),
  ];
  const byCpu = [...results].sort((a, b) => b.cpuMs - a.cpuMs);
  const byByte = results.filter(({ cpuMs }) => cpuMs >= NOISE_MS).sort((a, b) => perKb(b) - perKb(a));
  return [
    ...rows(byCpu.slice(0, 40)),
    '',
    `All others: below ${digits(byCpu[40]?.cpuMs ?? 0)} ms. By bytes sent:`,
    '',
    ...rows(byByte.slice(0, 10)),
    '',
    `Longest holds: ${[...holds]
      .sort((a, b) => b.holdMs - a.holdMs)
      .slice(0, 5)
      .map((m) => `\`${m.of}\` (${m.label}) ${digits(m.holdMs)} ms`)
      .join('; ')}.`,
    '',
  ].join('\n');
}
