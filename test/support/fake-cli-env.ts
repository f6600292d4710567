import type { CliEnv, Doors, HttpAnswer } from '../../src/cli/env.ts';
import { run } from '../../src/cli/run.ts';
import type { OpenSocket } from '../../src/client/socket.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { systemClock } from '../../src/lib/clock.ts';

export interface FakeCli {
  readonly env: CliEnv;
  readonly out: () => string;
  readonly err: () => string;
  /** The one JSON value on stdout. Throws when there is more or less. */
  json(): Record<string, unknown>;
  run(...argv: string[]): Promise<number>;
  /** Presses Ctrl-C. */
  interrupt(): void;
  /** Types on the terminal. */
  type(keys: string): void;
}

export interface FakeCliOptions {
  readonly vars?: Readonly<Record<string, string | undefined>>;
  readonly isTTY?: boolean;
  readonly stdin?: readonly string[];
  readonly clock?: Clock;
  readonly openSocket?: OpenSocket;
  readonly http?: (url: string) => HttpAnswer | Error;
  /** Who has the port of this machine's own gateway, instead of it. */
  readonly stranger?: string;
  readonly tcp?: (host: string, port: number) => Error | undefined;
}

/** Nobody answers anywhere. */
export const refusedSocket: OpenSocket = (_endpoint, events) => {
  queueMicrotask(() => events.closed({ code: 1006, reason: '', error: 'connect ECONNREFUSED', errno: 'ECONNREFUSED' }));
  return { send: () => {}, close: () => {}, bufferedAmount: 0 };
};

/** A terminal, a clock and a network in the hands of a test. */
export function fakeCli(options: FakeCliOptions = {}): FakeCli {
  let out = '';
  let err = '';
  let ids = 0;
  const interrupts = new Set<() => void>();
  const keys = new Set<(text: string) => void>();
  const isTTY = options.isTTY === true;
  const doors: Doors = {
    openSocket: options.openSocket ?? refusedSocket,
    warm: async () => {},
    async httpGet(url) {
      const answer = options.http?.(url) ?? new Error('connect ECONNREFUSED');
      if (answer instanceof Error) throw answer;
      return answer;
    },
    async tcp(host, port) {
      const failure = options.tcp === undefined ? new Error('connect ECONNREFUSED') : options.tcp(host, port);
      if (failure !== undefined) throw failure;
    },
    listener: async () => ({
      verdict: options.stranger === undefined ? 'unknown' : 'wrong',
      ...(options.stranger && { who: options.stranger }),
    }),
    ownAddresses: () => ['127.0.0.1', '192.0.2.7'],
  };
  const env: CliEnv = {
    vars: { LANG: 'en_US.UTF-8', ...options.vars },
    stdout: {
      write: (text) => {
        out += text;
      },
      isTTY,
      columns: 80,
    },
    stderr: {
      write: (text) => {
        err += text;
      },
      isTTY,
      columns: 80,
    },
    stdin: {
      isTTY,
      async *lines() {
        yield* options.stdin ?? [];
      },
      keys(onKeys) {
        keys.add(onKeys);
        return () => void keys.delete(onKeys);
      },
    },
    clock: options.clock ?? systemClock,
    doors,
    platform: 'linux',
    randomId: () => `id-${++ids}`,
    onInterrupt(listener) {
      interrupts.add(listener);
      return () => void interrupts.delete(listener);
    },
    keepAlive: () => () => {},
  };
  return {
    env,
    out: () => out,
    err: () => err,
    json() {
      const lines = out.split('\n').filter((line) => line !== '');
      if (lines.length !== 1) throw new Error(`expected one line of JSON, got ${lines.length}: ${out}`);
      return JSON.parse(lines[0] ?? '') as Record<string, unknown>;
    },
    run: (...argv) => {
      out = '';
      err = '';
      return run(argv, env);
    },
    interrupt: () => {
      for (const listener of [...interrupts]) listener();
    },
    type: (text) => {
      for (const listener of [...keys]) listener(text);
    },
  };
}

/** A gateway that answers from a table of methods; over the admin socket or after a handshake. What it was asked is kept. */
export interface ScriptedGateway {
  readonly openSocket: OpenSocket;
  readonly asked: { readonly door: 'ws' | 'admin'; readonly url: string; readonly method: string; readonly params: unknown }[];
  emit(event: string, payload: unknown): void;
  /** Cuts all connections. */
  cut(): void;
}

export type Script = Readonly<Record<string, unknown>>;
export class Refuse {
  readonly error: Record<string, unknown>;
  constructor(error: Record<string, unknown>) {
    this.error = error;
  }
}

/**
 * `script` gives the payload for a method, or a function of its params (called with `more` for earlier answers under the same id).
 * A `Refuse` is an error answer. A method that is not in the script is unknown.
 */
export function scriptedGateway(script: Script, options: { doors?: readonly ('ws' | 'admin')[] } = {}): ScriptedGateway {
  const asked: ScriptedGateway['asked'] = [];
  const live = new Set<{ send(frame: unknown): void; cut(): void }>();
  const openSocket: OpenSocket = (endpoint, events) => {
    if (!(options.doors ?? ['ws', 'admin']).includes(endpoint.door)) return refusedSocket(endpoint, events);
    let over = false;
    const later = (task: () => void): void => void setImmediate(() => over || task());
    const end = (close: { code: number; reason: string }): void => {
      if (over) return;
      over = true;
      live.delete(connection);
      events.closed(close);
    };
    const send = (frame: unknown): void => events.message(JSON.stringify(frame));
    const connection = { send, cut: () => end({ code: 1006, reason: '' }) };
    later(() => {
      live.add(connection);
      events.open();
      if (endpoint.door === 'ws') send({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n', ts: 1 } });
    });
    return {
      send(text) {
        const { id, method, params } = JSON.parse(text) as { id: string; method: string; params: unknown };
        asked.push({ door: endpoint.door, url: endpoint.url, method, params });
        later(async () => {
          const known = Object.hasOwn(script, method);
          const entry = script[method];
          const more = (payload: unknown): void => send({ type: 'res', id, ok: true, payload });
          const value: unknown = typeof entry === 'function' ? await entry(params, more) : entry;
          if (over) return;
          if (!known && method === 'connect')
            send({
              type: 'res',
              id,
              ok: true,
              payload: { type: 'hello-ok', protocol: 4, auth: { role: 'operator', scopes: ['operator.read'] } },
            });
          else if (!known) send({ type: 'res', id, ok: false, error: { code: 'INVALID_REQUEST', message: `unknown method: ${method}` } });
          else if (value instanceof Refuse) {
            send({ type: 'res', id, ok: false, error: value.error });
            if (method === 'connect') end({ code: 1008, reason: 'unauthorized' });
          } else send({ type: 'res', id, ok: true, payload: value });
        });
      },
      close: (code = 1005, reason = '') => end({ code, reason }),
      bufferedAmount: 0,
      ping: () => later(() => events.pong?.()),
    };
  };
  return {
    openSocket,
    asked,
    emit: (event, payload) => {
      for (const connection of live) connection.send({ type: 'event', event, payload });
    },
    cut: () => {
      for (const connection of [...live]) connection.cut();
    },
  };
}
