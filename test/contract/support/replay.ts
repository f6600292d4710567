import { randomUUID, sign } from 'node:crypto';
import { expect } from 'vitest';
import { type Frame, RawClient, type TestDevice } from '../../support/wire.ts';
import type { RecordedConnect, Value } from './recording.ts';

/** A recorded client, alive again: its own words, with a fresh key, a fresh nonce and the credentials of this gateway. */
export class Replay implements AsyncDisposable {
  readonly client: RawClient;
  readonly #style: 'uuid' | 'counted';
  readonly #sent: { readonly before: number; readonly method: string; readonly params: unknown }[] = [];
  #next = 0;
  /** The answer to `connect`. */
  hello: Frame;

  constructor(client: RawClient, style: 'uuid' | 'counted') {
    this.client = client;
    this.#style = style;
  }

  get frames(): readonly Frame[] {
    return this.client.frames;
  }

  /** Ids as the two lines make them: a uuid, or `"<n>:<uuid>"` counted from 1 per connection. */
  nextId(): string {
    this.#next++;
    return this.#style === 'uuid' ? randomUUID() : `${this.#next}:${randomUUID()}`;
  }

  /** The first answer to a request, whatever it is. `params` undefined: the key is left out, as those clients do. */
  async request(method: string, params?: unknown): Promise<Frame> {
    const id = this.nextId();
    this.#sent.push({ before: this.frames.length, method, params });
    this.client.send(params === undefined ? { type: 'req', id, method } : { type: 'req', id, method, params });
    return this.client.frame((f) => f.type === 'res' && f.id === id, `answer to ${method}`);
  }

  /** Requests and frames in the order in which they passed here, from after `connect` on. */
  conversation(): Frame[] {
    const lines: Frame[] = [];
    for (const [index, frame] of this.frames.entries()) {
      for (const { before, method, params } of this.#sent) if (before === index) lines.push({ type: 'req', method, params });
      lines.push(frame);
    }
    return lines.slice(lines.findIndex((f) => f.type === 'res') + 1);
  }

  /** Every answer that came to the id of this answer, in order. */
  answers(id: string): readonly Frame[] {
    return this.frames.filter((f) => f.type === 'res' && f.id === id);
  }

  ended(runId: string, ms?: number): Promise<Frame> {
    return this.client.frame(
      (f) => f.event === 'chat' && f.payload.runId === runId && ['final', 'error', 'aborted'].includes(f.payload.state),
      `end of ${runId}`,
      ms,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.client[Symbol.asyncDispose]();
  }
}

export interface Credentials {
  /** The shared secret. */
  readonly token?: string;
  readonly deviceToken?: string;
  readonly device?: TestDevice;
}

/** `auth` as recorded, with this gateway's credentials where the sanitiser put marks. */
function authOf(recorded: Value, { token, deviceToken }: Credentials): Value {
  if (recorded === undefined) return undefined;
  return Object.fromEntries(
    Object.entries(recorded).map(([key, mark]) => [key, mark === '<deviceToken>' ? (deviceToken ?? '') : (token ?? '')]),
  );
}

const lower = (text: string | undefined): string => (text ?? '').trim().replace(/[A-Z]/g, (c) => c.toLowerCase());

/** The recorded params, signed anew. Browsers of the older line sign payload v2, everybody else v3. */
export function resigned(recorded: RecordedConnect, challenge: { nonce: string; ts: number }, credentials: Credentials): Value {
  const { client, scopes = [], role = 'operator' } = recorded.params;
  const auth = authOf(recorded.params.auth, credentials);
  const params = { ...recorded.params, client: { ...client, instanceId: randomUUID() }, ...(auth === undefined ? {} : { auth }) };
  if (recorded.params.device === undefined) return params;
  const { device } = credentials;
  if (device === undefined) throw new Error(`${recorded.capture} needs a device`);
  const signedAt = recorded.signs === 'challenge' ? challenge.ts : Date.now();
  const token = auth?.token ?? auth?.deviceToken ?? auth?.bootstrapToken ?? '';
  const parts = [device.id, client.id, client.mode, role, scopes.join(','), String(signedAt), token, challenge.nonce];
  const isOldBrowser = client.mode === 'webchat' && recorded.params.maxProtocol === 3;
  const text = isOldBrowser ? ['v2', ...parts].join('|') : ['v3', ...parts, lower(client.platform), lower(client.deviceFamily)].join('|');
  const signature = sign(null, Buffer.from(text), device.privateKey).toString('base64url');
  return { ...params, device: { id: device.id, publicKey: device.publicKey, signature, signedAt, nonce: challenge.nonce } };
}

/** Opens a connection as the recorded client did, and gives it with the answer to `connect`, which may be a refusal. */
export async function tryReplay(
  gateway: { readonly url: string; readonly port: number },
  recorded: RecordedConnect,
  credentials: Credentials,
): Promise<{ replay: Replay; res: Frame }> {
  const client = new RawClient(gateway.url, recorded.origin === undefined ? {} : { origin: `http://127.0.0.1:${gateway.port}` });
  const challenge = await client.event('connect.challenge');
  const replay = new Replay(client, recorded.params.maxProtocol === 3 ? 'uuid' : 'counted');
  const res = await replay.request('connect', resigned(recorded, challenge, credentials));
  replay.hello = res.payload;
  return { replay, res };
}

export async function replay(
  gateway: { readonly url: string; readonly port: number },
  recorded: RecordedConnect,
  credentials: Credentials,
): Promise<Replay> {
  const { replay: opened, res } = await tryReplay(gateway, recorded, credentials);
  expect(res.error, `${recorded.capture}: connect`).toBeUndefined();
  return opened;
}

/** The frame numbers of a connection: from 1, without a hole, over every event but the challenge. */
export function expectDenseSeq(frames: readonly Frame[]): void {
  const seqs = frames.filter((f) => f.type === 'event' && f.event !== 'connect.challenge').map((f) => f.seq);
  expect(seqs).toEqual(seqs.map((_, index) => index + 1));
}
