import { setTimeout as pause } from 'node:timers/promises';
import { connect, type Frame, type RawClient, type TestDevice } from './wire.ts';

/** Ms since 1970 with fractions, comparable between processes of one machine. */
export const wallMs = (): number => performance.timeOrigin + performance.now();

/** One message under one idempotency key: what was tried and what the client was told. */
export interface Send {
  readonly key: string;
  readonly sessionKey: string;
  readonly message: string;
  readonly firstSentAt: number;
  /** Each try: its connection, and its place among the requests of that connection. */
  readonly tries: { readonly connection: string; readonly place: number }[];
  /** When the first acknowledgement was here. */
  ackedAt: number | undefined;
  /** The last try was refused for good: it must have left nothing behind. */
  refused: string | undefined;
}

/** What clients saw, for the checker. */
export interface Seen {
  readonly sends: Map<string, Send>;
  /** Runs whose stop was acknowledged. */
  readonly aborted: Set<string>;
  /** How runs were seen to end: state of the last `chat` event, and the text of a final one. */
  readonly ends: Map<string, { readonly state: string; readonly text: string | undefined }>;
  /** Runs that kills in the moment in which they were taken up have set aside: those behind them went on. */
  readonly setAside: Set<string>;
  /** What is wrong whatever the disk holds. */
  readonly complaints: string[];
  /** How often each thing was done, for the report. */
  readonly done: Record<string, number>;
}

export const nothingSeen = (): Seen => ({
  sends: new Map(),
  aborted: new Set(),
  setAside: new Set(),
  ends: new Map(),
  complaints: [],
  done: {},
});

export interface CrashClientOptions {
  readonly name: string;
  readonly protocol: 3 | 4;
  readonly device: TestDevice;
  readonly random: () => number;
  /** Shared by all clients of a loop. */
  readonly seen: Seen;
  /** Called when a message has been handed to the socket. */
  readonly onSend: () => void;
}

/** Messages that all clients send to the same session go on in a new one after this many. */
const SESSION_LENGTH = 12;

/**
 * A client that lives through crashes: it sends, streams, stops and reads at random over one connection until that is
 * cut, and repeats on the next one, under the same keys, what was not answered. It writes down all it was told.
 */
export class CrashClient {
  readonly #options: CrashClientOptions;
  readonly #seen: Seen;
  readonly #random: () => number;
  #deviceToken: string | undefined;
  #connections = 0;
  #place = 0;
  #sent = 0;

  constructor(options: CrashClientOptions) {
    this.#options = options;
    this.#seen = options.seen;
    this.#random = options.random;
  }

  /** One connection from hello to its cut. Repeats what is open, then does things until `until` or the cut. Resolves when all of it is over. */
  async live(url: string, secret: string, onHello: () => void, until?: AbortSignal): Promise<void> {
    const client = await this.#connect(url, secret);
    if (client === undefined) return;
    onHello();
    const open = new Set<Promise<void>>();
    const track = (work: Promise<void>): void => {
      open.add(work);
      void work.finally(() => open.delete(work));
    };
    for (const send of this.#mine()) if (send.ackedAt === undefined && send.refused === undefined) track(this.#try(client, send));
    const over = Promise.race([client.closing(600_000), ...(until === undefined ? [] : [aborted(until)])]);
    while (client.closed === undefined && until?.aborted !== true) {
      track(this.#act(client));
      await Promise.race([pause(20 + this.#random() * 240), over]);
    }
    if (until !== undefined) while (open.size > 0) await Promise.all(open);
    await client[Symbol.asyncDispose]();
    await Promise.all(open);
    this.#wentBy(client.frames);
  }

  /** Says one thing more, and stays until everything it ever sent has an answer; throws when that takes more than a few connections. */
  async settle(url: string, secret: string): Promise<void> {
    this.#write(this.#session('last'), 'TEST:tokens n=1');
    const open = (): Send[] => this.#mine().filter(({ ackedAt, refused }) => ackedAt === undefined && refused === undefined);
    for (let tries = 0; open().length > 0; tries++) {
      if (tries === 5) throw new Error(`${open().map(({ key }) => key)} got no answer: ${this.#seen.complaints}`);
      await this.live(url, secret, () => {}, AbortSignal.abort());
    }
  }

  async #connect(url: string, secret: string): Promise<RawClient | undefined> {
    const { protocol, device, name } = this.#options;
    // The gateway's secret at first; from then on the device's own token alone, every other time.
    const auth = this.#deviceToken === undefined || this.#connections % 2 === 0 ? { token: secret } : { deviceToken: this.#deviceToken };
    try {
      const client = await connect(url, { protocol, device, auth, client: { displayName: name } });
      this.#deviceToken = client.hello.auth?.deviceToken ?? this.#deviceToken;
      this.#connections++;
      this.#place = 0;
      return client;
    } catch (thrown) {
      // Cut before or during the handshake is what a kill does; anything else is not.
      if (/closed \d+ ""/.test(String(thrown))) return undefined;
      this.#seen.complaints.push(`${name} could not come back: ${thrown}`);
      this.#deviceToken = undefined;
      return undefined;
    }
  }

  /** Sends of this client, oldest first. */
  #mine(): Send[] {
    const prefix = `${this.#options.name}.`;
    return [...this.#seen.sends.values()].filter(({ key }) => key.startsWith(prefix));
  }

  async #act(client: RawClient): Promise<void> {
    const dice = this.#random();
    if (dice < 0.4) return await this.#send(client, 'short', 'TEST:tokens n=3');
    if (dice < 0.6) return await this.#stream(client);
    if (dice < 0.7) return await this.#sendTo(client, this.#shared(), 'TEST:tokens n=2');
    if (dice < 0.77) return await this.#send(client, 'tool', 'TEST:tool read path=notes.md');
    if (dice < 0.82) return void (await Promise.all([1, 2, 3, 4].map(() => this.#send(client, 'burst', 'TEST:tokens n=1'))));
    if (dice < 0.88) return await this.#abort(client);
    if (dice < 0.94) return await this.#history(client);
    if (dice < 0.96) return await this.#repeat(client);
    if (dice < 0.98) return await this.#twice(client);
    return await this.#mismatch(client);
  }

  #count(what: string): void {
    this.#seen.done[what] = (this.#seen.done[what] ?? 0) + 1;
  }

  #session(kind: string): string {
    return `agent:main:${this.#options.name}-${kind}-${Math.floor(this.#sent / SESSION_LENGTH)}`;
  }
  #shared(): string {
    return `agent:main:shared-${Math.floor(this.#seen.sends.size / (SESSION_LENGTH * 20))}`;
  }

  #send(client: RawClient, kind: string, script: string): Promise<void> {
    this.#count(kind);
    return this.#sendTo(client, this.#session(kind), script);
  }

  #stream(client: RawClient): Promise<void> {
    const tokens = 20 + Math.floor(this.#random() * 60);
    return this.#send(client, 'stream', `TEST:tokens n=${tokens} delay=${10 + Math.floor(this.#random() * 40)}`);
  }

  #sendTo(client: RawClient, sessionKey: string, script: string): Promise<void> {
    return this.#try(client, this.#write(sessionKey, script));
  }

  /** A message that is to be sent. */
  #write(sessionKey: string, script: string): Send {
    const key = `${this.#options.name}.${++this.#sent}`;
    const send: Send = {
      key,
      sessionKey,
      message: `${key}\n${script}`,
      firstSentAt: wallMs(),
      tries: [],
      ackedAt: undefined,
      refused: undefined,
    };
    this.#seen.sends.set(key, send);
    return send;
  }

  async #try(client: RawClient, send: Send): Promise<void> {
    if (send.tries.length > 0) this.#count('resend');
    send.tries.push({ connection: `${this.#options.name}/${this.#connections}`, place: ++this.#place });
    const { sessionKey, message, key } = send;
    const asked = this.#ask(client, 'chat.send', { sessionKey, message, idempotencyKey: key });
    this.#options.onSend();
    const res = await asked;
    if (res === undefined) return;
    if (res.ok) {
      // It had been taken before the cut, and only the answer was lost.
      if (send.ackedAt === undefined && res.payload.status !== 'started') this.#count('taken before');
      send.ackedAt ??= wallMs();
      if (res.payload.runId !== key) this.#seen.complaints.push(`${key} was acknowledged as ${res.payload.runId}`);
      return;
    }
    const { code, details } = res.error;
    send.refused = code;
    this.#count(`refused: ${details?.code ?? code}`);
    // A full queue is an honest refusal; of what was taken before, nothing may be refused.
    if (details?.code !== 'QUEUE_FULL' || send.ackedAt !== undefined)
      this.#seen.complaints.push(`${key} was refused: ${JSON.stringify(res.error)}`);
  }

  /** The answer, or undefined when the connection was cut before it came. */
  async #ask(client: RawClient, method: string, params: unknown): Promise<Frame | undefined> {
    try {
      return await client.request(method, params, 60_000);
    } catch (thrown) {
      if (client.closed === undefined) this.#seen.complaints.push(`${this.#options.name}: ${thrown}`);
      return undefined;
    }
  }

  async #abort(client: RawClient): Promise<void> {
    this.#count('abort');
    const res = await this.#ask(client, 'chat.abort', { sessionKey: this.#session('stream') });
    if (res?.ok) for (const runId of res.payload.runIds) this.#seen.aborted.add(runId);
    else if (res !== undefined) this.#seen.complaints.push(`an abort was refused: ${JSON.stringify(res.error)}`);
  }

  /** All that had been acknowledged to this client is in what it reads. */
  async #history(client: RawClient): Promise<void> {
    this.#count('history');
    const sessionKey = this.#session(this.#random() < 0.5 ? 'short' : 'stream');
    const acked = this.#mine().filter((send) => send.sessionKey === sessionKey && send.ackedAt !== undefined);
    const res = await this.#ask(client, 'chat.history', { sessionKey });
    if (res === undefined) return;
    const text = JSON.stringify(res.payload?.messages);
    const missing = acked.filter(({ message }) => !text.includes(JSON.stringify(message)));
    if (!res.ok || missing.length > 0)
      this.#seen.complaints.push(
        `the history of ${sessionKey} lacks ${missing.map(({ key }) => key).join()} ${JSON.stringify(res.error ?? '')}`,
      );
  }

  /** A message that was acknowledged once is sent again. */
  async #repeat(client: RawClient): Promise<void> {
    const acked = this.#mine().filter(({ ackedAt }) => ackedAt !== undefined);
    const send = acked[Math.floor(this.#random() * acked.length)];
    if (send !== undefined) await this.#try(client, send);
  }

  /** The same message twice in one breath. */
  async #twice(client: RawClient): Promise<void> {
    this.#count('twice');
    const send = this.#write(this.#session('twice'), 'TEST:tokens n=1');
    await Promise.all([this.#try(client, send), this.#try(client, send)]);
  }

  /** Another message under a key that was used is refused, and changes nothing. */
  async #mismatch(client: RawClient): Promise<void> {
    this.#count('mismatch');
    const used = this.#mine().find(({ ackedAt }) => ackedAt !== undefined);
    if (used === undefined) return;
    const res = await this.#ask(client, 'chat.send', { sessionKey: used.sessionKey, message: 'something else', idempotencyKey: used.key });
    if (res !== undefined && res.error?.details?.code !== 'IDEMPOTENCY_MISMATCH')
      this.#seen.complaints.push(`another message under the key ${used.key}: ${JSON.stringify(res)}`);
  }

  /** What the frames of a connection said. */
  #wentBy(frames: readonly Frame[]): void {
    let seq = 0;
    for (const frame of frames) {
      if (frame.type !== 'event' || frame.seq === undefined) continue;
      if (frame.seq !== ++seq) this.#seen.complaints.push(`${this.#options.name}: frame ${frame.seq} came as number ${seq}`);
      seq = frame.seq;
      if (frame.event !== 'chat' || !['final', 'aborted', 'error'].includes(frame.payload.state)) continue;
      const text = frame.payload.message?.content?.[0]?.text;
      this.#seen.ends.set(frame.payload.runId, { state: frame.payload.state, text });
    }
  }
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
