import { openAdminSocket } from '../client/node/admin-socket.ts';
import type { OpenSocket, Socket, SocketEvents } from '../client/socket.ts';
import { processEnv } from '../config/env.ts';
import { systemClock } from '../lib/clock.ts';
import type { CliEnv, HttpAnswer, Reader, Writer } from './env.ts';

const MAX_BODY = 64 * 1024;

/** The real thing. Streams are touched when they are used: each costs a millisecond to open. */
export function processCliEnv(): CliEnv {
  return {
    vars: processEnv(),
    stdout: writer(() => process.stdout),
    stderr: writer(quietStderr),
    stdin: reader,
    clock: systemClock,
    doors: {
      openSocket: (endpoint, events) => (endpoint.door === 'admin' ? openAdminSocket(endpoint, events) : openLater(endpoint, events)),
      async warm() {
        process.getBuiltinModule('node:http');
        await (await import('../client/node/ws-socket.ts')).preload();
      },
      httpGet,
      tcp,
      async listener(host, port, wanted) {
        const verdict = await (await import('../net/held-by.ts')).listenerIs(host, port, wanted);
        if (verdict !== 'wrong') return { verdict };
        const { describeHolder, portHolder } = await import('../net/port-holder.ts');
        const holder = await portHolder(host, port);
        return holder === undefined ? { verdict } : { verdict, who: describeHolder(holder) };
      },
      ownAddresses: () =>
        Object.values(process.getBuiltinModule('node:os').networkInterfaces()).flatMap((list) =>
          (list ?? []).map(({ address }) => address),
        ),
    },
    platform: process.platform,
    randomId: () => process.getBuiltinModule('node:crypto').randomUUID(),
    onInterrupt(listener) {
      process.on('SIGINT', listener);
      return () => process.off('SIGINT', listener);
    },
    keepAlive() {
      const handle = setInterval(() => {}, 0x3fff_ffff);
      return () => clearInterval(handle);
    },
  };
}

let stderr: NodeJS.WriteStream | undefined;
/** When nobody reads it any more there is nowhere to say so. */
const quietStderr = (): NodeJS.WriteStream => {
  stderr ??= process.stderr.on('error', () => {});
  return stderr;
};

function writer(stream: () => NodeJS.WriteStream): Writer {
  return {
    write: (text) => void stream().write(text),
    get isTTY() {
      return stream().isTTY === true;
    },
    get columns() {
      return stream().columns || 100;
    },
  };
}

const reader: Reader = {
  get isTTY() {
    return process.stdin.isTTY === true;
  },
  lines() {
    const { createInterface } = process.getBuiltinModule('node:readline');
    return createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  },
  keys(onKeys) {
    const { stdin } = process;
    stdin.setEncoding('utf8');
    stdin.setRawMode?.(true);
    stdin.resume();
    stdin.on('data', onKeys);
    return () => {
      stdin.off('data', onKeys);
      stdin.setRawMode?.(false);
      stdin.pause();
    };
  },
};

/** The WebSocket adapter and its library are a chunk of their own, fetched when a WebSocket is dialled. */
const openLater: OpenSocket = (endpoint, events: SocketEvents) => {
  let inner: Socket | undefined;
  let closed: { code?: number | undefined; reason?: string | undefined } | undefined;
  import('../client/node/ws-socket.ts').then(
    ({ openWebSocket }) => {
      if (closed === undefined) inner = openWebSocket(endpoint, events);
    },
    (thrown: unknown) => events.closed({ code: 1006, reason: '', error: thrown instanceof Error ? thrown.message : 'ws did not load' }),
  );
  return {
    send: (text) => inner?.send(text),
    close(code, reason) {
      if (inner !== undefined) inner.close(code, reason);
      else if (closed === undefined) {
        closed = { code, reason };
        events.closed({ code: code ?? 1006, reason: reason ?? '' });
      }
    },
    get bufferedAmount() {
      return inner?.bufferedAmount ?? 0;
    },
    ping: () => inner?.ping?.(),
  };
};

function tcp(host: string, port: number, timeoutMs: number): Promise<void> {
  const { connect } = process.getBuiltinModule('node:net');
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
  });
}

function httpGet(url: string, timeoutMs: number): Promise<HttpAnswer> {
  const { get } = url.startsWith('https:') ? process.getBuiltinModule('node:https') : process.getBuiltinModule('node:http');
  return new Promise((resolve, reject) => {
    const request = get(url, { timeout: timeoutMs, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
        if (body.length > MAX_BODY) response.destroy();
      });
      response.on('close', () => resolve({ status: response.statusCode ?? 0, body: body.slice(0, MAX_BODY) }));
      response.on('error', reject);
    });
    request.on('timeout', () => request.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    request.on('error', reject);
  });
}
