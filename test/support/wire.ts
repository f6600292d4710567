import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { once } from 'node:events';
import { WebSocket } from 'ws';

/** A raw client for tests: speaks frames, knows nothing of the product's own client. */

export interface TestDevice {
  readonly id: string;
  readonly publicKey: string;
  readonly privateKey: KeyObject;
}

export function newDevice(): TestDevice {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
  return { id: createHash('sha256').update(raw).digest('hex'), publicKey: raw.toString('base64url'), privateKey };
}

export interface ConnectOptions {
  readonly protocol?: 3 | 4 | readonly [number, number];
  readonly client?: {
    id?: string;
    mode?: string;
    version?: string;
    platform?: string;
    deviceFamily?: string;
    displayName?: string;
    instanceId?: string;
  };
  readonly role?: string;
  readonly scopes?: readonly string[];
  readonly caps?: readonly string[];
  readonly auth?: Readonly<Record<string, string>>;
  readonly device?: TestDevice;
  readonly payload?: 'v2' | 'v3';
  readonly origin?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Keys put over the finished params. */
  readonly extra?: Readonly<Record<string, unknown>>;
  readonly localAddress?: string;
}

// biome-ignore lint/suspicious/noExplicitAny: frames of the wire are looked into freely by tests
export type Frame = any;

export class RawClient implements AsyncDisposable {
  readonly ws: WebSocket;
  readonly frames: Frame[] = [];
  #waiters: (() => void)[] = [];
  closed: { code: number; reason: string } | undefined;
  #next = 0;

  constructor(url: string, options: { origin?: string; headers?: Readonly<Record<string, string>>; localAddress?: string } = {}) {
    this.ws = new WebSocket(url, {
      perMessageDeflate: false,
      ...(options.origin === undefined ? {} : { origin: options.origin }),
      ...(options.headers === undefined ? {} : { headers: { ...options.headers } }),
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    });
    this.ws.on('message', (data) => {
      this.frames.push(JSON.parse(data.toString()));
      this.#wake();
    });
    this.ws.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() };
      this.#wake();
    });
    this.ws.on('error', () => this.#wake());
  }

  #wake(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  /** The first frame, past or coming, that `match` accepts. */
  async frame(match: (frame: Frame) => boolean, what = 'a frame', ms = 15_000): Promise<Frame> {
    const deadline = Date.now() + ms;
    let from = 0;
    for (;;) {
      for (; from < this.frames.length; from++) if (match(this.frames[from])) return this.frames[from];
      if (this.closed !== undefined) throw new Error(`closed ${this.closed.code} "${this.closed.reason}" while waiting for ${what}`);
      const left = deadline - Date.now();
      if (left <= 0) throw new Error(`no ${what} in ${ms} ms; last: ${JSON.stringify(this.frames.at(-1))?.slice(0, 400)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  async closing(ms = 20_000): Promise<{ code: number; reason: string }> {
    const deadline = Date.now() + ms;
    while (this.closed === undefined) {
      if (Date.now() > deadline) throw new Error('still open');
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#waiters.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    return this.closed;
  }

  send(value: unknown): void {
    this.ws.send(typeof value === 'string' ? value : JSON.stringify(value));
  }

  /** Sends a request and gives its first answer, whatever it is. */
  async request(method: string, params?: unknown, ms?: number): Promise<Frame> {
    const id = `t${++this.#next}`;
    this.send(params === undefined ? { type: 'req', id, method } : { type: 'req', id, method, params });
    return this.frame((f) => f.type === 'res' && f.id === id, `answer to ${method}`, ms);
  }
  /** Like `request`, and throws when it was refused. */
  async call(method: string, params?: unknown, ms?: number): Promise<Frame> {
    const res = await this.request(method, params, ms);
    if (!res.ok) throw new Error(`${method}: ${JSON.stringify(res.error)}`);
    return res.payload;
  }

  event(name: string, match: (payload: Frame) => boolean = () => true, ms?: number): Promise<Frame> {
    return this.frame((f) => f.type === 'event' && f.event === name && match(f.payload), `event ${name}`, ms).then((f) => f.payload);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ws.readyState === WebSocket.CLOSED) return;
    const gone = once(this.ws, 'close');
    this.ws.terminate();
    await gone;
  }
}

const lower = (text: string | undefined): string => (text ?? '').trim().replace(/[A-Z]/g, (c) => c.toLowerCase());

/** The params of `connect`, signed for a challenge when a device is given. */
export function connectParams(challenge: { nonce: string; ts: number }, options: ConnectOptions): Record<string, unknown> {
  const [minProtocol, maxProtocol] =
    typeof options.protocol === 'object' ? options.protocol : [options.protocol ?? 4, options.protocol ?? 4];
  const client = { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'ui', ...options.client };
  const role = options.role ?? 'operator';
  const scopes = options.scopes ?? ['operator.admin', 'operator.read', 'operator.write', 'operator.approvals', 'operator.pairing'];
  const auth = options.auth;
  const params: Record<string, unknown> = {
    minProtocol,
    maxProtocol,
    client,
    role,
    scopes,
    caps: options.caps ?? [],
    ...(auth === undefined ? {} : { auth }),
  };
  if (options.device !== undefined) {
    const { device } = options;
    const token = auth?.['token'] ?? auth?.['deviceToken'] ?? auth?.['bootstrapToken'] ?? '';
    const parts = [device.id, client.id, client.mode, role, scopes.join(','), String(challenge.ts), token, challenge.nonce];
    const text =
      options.payload === 'v2'
        ? ['v2', ...parts].join('|')
        : ['v3', ...parts, lower(client.platform), lower(client.deviceFamily)].join('|');
    params['device'] = {
      id: device.id,
      publicKey: device.publicKey,
      signature: sign(null, Buffer.from(text), device.privateKey).toString('base64url'),
      signedAt: challenge.ts,
      nonce: challenge.nonce,
    };
  }
  return { ...params, ...options.extra };
}

/** Opens, answers the challenge, and gives the client with the answer to `connect` (which may be a refusal). */
export async function tryConnect(url: string, options: ConnectOptions = {}): Promise<{ client: RawClient; res: Frame }> {
  const client = new RawClient(url, options);
  const challenge = await client.event('connect.challenge');
  const res = await client.request('connect', connectParams(challenge, options));
  return { client, res };
}

export async function connect(url: string, options: ConnectOptions = {}): Promise<RawClient & { hello: Frame }> {
  const { client, res } = await tryConnect(url, options);
  if (!res.ok) throw new Error(`connect refused: ${JSON.stringify(res.error)}`);
  return Object.assign(client, { hello: res.payload });
}
