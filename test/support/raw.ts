import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

/** Bytes as an attacker sends them: nothing here keeps to any protocol by itself. */

/** Sends `bytes` on a new connection; all that came back until the server closed or was silent for `quietMs`. */
export function rawHttp(
  port: number,
  bytes: string | Buffer,
  options: { readonly host?: string; readonly quietMs?: number; readonly maxMs?: number } = {},
): Promise<string> {
  const { host = '127.0.0.1', quietMs = 2_000, maxMs = 20_000 } = options;
  return new Promise((resolve, reject) => {
    const socket = connect(port, host);
    let text = '';
    const done = (): void => {
      clearTimeout(quiet);
      clearTimeout(end);
      socket.destroy();
      resolve(text);
    };
    let quiet = setTimeout(done, quietMs + 3_000);
    const end = setTimeout(done, maxMs);
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      clearTimeout(quiet);
      quiet = setTimeout(done, quietMs);
    });
    socket.on('close', done);
    // Reset under our writing: what came before it counts.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.write(bytes);
  });
}

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0);

/** A WebSocket of which every bit of every frame is ours. */
export class RawSocket implements AsyncDisposable {
  readonly socket: Socket;
  /** Frames of the server, decoded. */
  readonly received: { readonly opcode: number; readonly payload: Buffer }[] = [];
  isClosed = false;
  #rest: Buffer = Buffer.alloc(0);
  #upgraded = false;
  #head = '';
  #wakers: (() => void)[] = [];

  private constructor(port: number, host: string) {
    this.socket = connect(port, host);
    this.socket.on('data', (chunk) => this.#data(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.isClosed = true;
      this.#wake();
    });
  }

  static async open(port: number, headers: readonly string[] = [], host = '127.0.0.1'): Promise<RawSocket> {
    const raw = new RawSocket(port, host);
    raw.socket.write(
      [
        'GET / HTTP/1.1',
        `Host: ${host}:${port}`,
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
        ...headers,
        '\r\n',
      ].join('\r\n'),
    );
    await raw.until(() => raw.#upgraded || raw.isClosed, 10_000);
    return raw;
  }

  /** The answer to the upgrade. */
  get head(): string {
    return this.#head;
  }
  /** Code of the server's close frame; 1005 for one without, undefined when none came. */
  get closeCode(): number | undefined {
    const frame = this.received.find(({ opcode }) => opcode === 8);
    if (frame === undefined) return undefined;
    return frame.payload.length < 2 ? 1005 : frame.payload.readUInt16BE(0);
  }
  json(index: number): unknown {
    return JSON.parse(String(this.received.filter(({ opcode }) => opcode === 1)[index]?.payload));
  }

  /** Writes one frame. False: the kernel's buffer is full. */
  frame(opcode: number, payload: string | Buffer = '', bits: { fin?: boolean; rsv?: number; masked?: boolean } = {}): boolean {
    return this.socket.write(frameOf(opcode, payload, bits));
  }
  send(value: unknown): boolean {
    return this.frame(1, typeof value === 'string' ? value : JSON.stringify(value));
  }

  async until(isTrue: () => boolean, ms = 10_000): Promise<void> {
    const deadline = performance.now() + ms;
    while (!isTrue()) {
      const left = deadline - performance.now();
      if (left <= 0) throw new Error(`did not come true in ${ms} ms: ${isTrue}; closed: ${this.isClosed}, close code ${this.closeCode}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(left, 250));
        this.#wakers.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }
  closed(ms = 10_000): Promise<void> {
    return this.until(() => this.isClosed, ms);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy();
    await this.closed().catch(() => {});
  }

  #wake(): void {
    for (const wake of this.#wakers.splice(0)) wake();
  }

  #data(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#upgraded) {
      const end = this.#rest.indexOf('\r\n\r\n');
      if (end < 0) return;
      this.#head = this.#rest.toString('latin1', 0, end);
      this.#rest = this.#rest.subarray(end + 4);
      this.#upgraded = true;
    }
    for (;;) {
      const rest = this.#rest;
      if (rest.length < 2) break;
      let length = (rest[1] ?? 0) & 0x7f;
      let at = 2;
      if (length === 126) {
        if (rest.length < 4) break;
        length = rest.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (rest.length < 10) break;
        length = Number(rest.readBigUInt64BE(2));
        at = 10;
      }
      if (rest.length < at + length) break;
      this.received.push({ opcode: (rest[0] ?? 0) & 0x0f, payload: Buffer.from(rest.subarray(at, at + length)) });
      this.#rest = rest.subarray(at + length);
    }
    this.#wake();
  }
}

/** One frame of a client, with a mask of zeros. `rsv`: the three reserved bits, 4 is the one that says "compressed". */
export function frameOf(
  opcode: number,
  payload: string | Buffer = '',
  { fin = true, rsv = 0, masked = true }: { fin?: boolean; rsv?: number; masked?: boolean } = {},
): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload) : payload;
  const first = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
  const mask = masked ? 0x80 : 0;
  let head: Buffer;
  if (body.length < 126) head = Buffer.from([first, mask | body.length]);
  else if (body.length < 65_536) {
    head = Buffer.alloc(4);
    head.set([first, mask | 126]);
    head.writeUInt16BE(body.length, 2);
  } else {
    head = Buffer.alloc(10);
    head.set([first, mask | 127]);
    head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, masked ? Buffer.alloc(4) : Buffer.alloc(0), body]);
}

/** Resident memory of a process, MiB (Linux). */
export const rssOf = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
