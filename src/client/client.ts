import type { Cancel, Clock } from '../lib/clock.ts';
import { err, type Result } from '../lib/result.ts';
import type { HelloOk } from '../protocol/connect.ts';
import type { EventFrame } from '../protocol/frames.ts';
import type { Hello } from './connect-params.ts';
import { type Connection, DEAD_LINK, openConnection } from './connection.ts';
import { type Credentials, connectAuth, type DeviceKey, type StoredToken, type TokenStore } from './credentials.ts';
import { Events, type Gap, type Unsubscribe } from './events.ts';
import { type Fault, refusalCode, type Stage } from './fault.ts';
import { watchLink } from './liveness.ts';
import type { Answer, EventName, EventPayload, MethodName, Params } from './methods.ts';
import { pausesReconnect, reconnectDelay } from './reconnect.ts';
import { REQUEST_TIMEOUT_MS, type RequestOptions } from './requests.ts';
import type { Endpoint, OpenSocket, SocketClose } from './socket.ts';

/** Where to go and what to show there; asked anew for every attempt, because a tunnel moves and a token is rotated. */
export interface Target {
  readonly endpoint: Endpoint;
  readonly credentials: Credentials;
  /** Whether a stored device token may be shown after the secret was refused: loopback, or wss with a pin. */
  readonly trusted: boolean;
}

export interface ClientOptions {
  readonly openSocket: OpenSocket;
  readonly clock: Clock;
  readonly target: () => Target | Promise<Target>;
  readonly hello: Hello;
  readonly device?: DeviceKey;
  readonly tokens?: TokenStore;
  /** For the whole handshake. 15 s, as long as the gateway waits. */
  readonly connectTimeoutMs?: number;
  /** Go on by itself after a drop. Off: one connection, then over. */
  readonly reconnect?: boolean;
  /** 0 ≤ x < 1 */
  readonly random?: () => number;
  readonly onStage?: (stage: Stage) => void;
}

export type ClientState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'connecting'; readonly attempt: number }
  | { readonly kind: 'open'; readonly endpoint: Endpoint; readonly hello: HelloOk | undefined; readonly sinceMs: number }
  /** Tries again at `untilMs`. */
  | { readonly kind: 'waiting'; readonly attempt: number; readonly untilMs: number; readonly why: Fault }
  /** Only a person can help: see `why`. `connect()` tries again. */
  | { readonly kind: 'paused'; readonly why: Fault }
  | { readonly kind: 'closed' };

const CONNECT_TIMEOUT_MS = 15_000;

/**
 * A connection to a gateway that lasts. `connect` once, then `request` and `on`; after a drop it comes back by itself (1 s doubled to 30 s,
 * drawn), except where only a person can help. Listeners stay over reconnects; requests in flight do not: they end with `closed`, and the
 * caller repeats what has an idempotency key.
 */
export class GatewayClient {
  readonly #options: ClientOptions;
  readonly #events: Events;
  readonly #stateListeners = new Set<(state: ClientState) => void>();
  readonly #gapListeners = new Set<(gap: Gap) => void>();
  #state: ClientState = { kind: 'idle' };
  #connection: Connection | undefined;
  #connecting: Promise<Result<HelloOk | undefined, Fault>> | undefined;
  #attempt = 0;
  #abort = new AbortController();
  #cancelTimer: Cancel = () => {};
  #cancelWatch: Cancel = () => {};

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#events = new Events((gap) => {
      for (const listener of [...this.#gapListeners]) listener(gap);
    });
  }

  get state(): ClientState {
    return this.#state;
  }

  /**
   * Connects now, also while it waits or is paused. Resolves with hello-ok (undefined on the admin socket) or with why this attempt
   * failed; further attempts go on by themselves where that can help. Calls at the same time share one attempt.
   */
  connect(): Promise<Result<HelloOk | undefined, Fault>> {
    if (this.#state.kind === 'closed') return Promise.resolve(err({ kind: 'aborted' }));
    this.#connecting ??= this.#tryOnce().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /** Asks a method of this gateway's own table; the types follow from its name. */
  request<Name extends MethodName>(name: Name, params?: Params<Name>, options?: RequestOptions): Promise<Result<Answer<Name>, Fault>> {
    return this.call(name, params, options) as Promise<Result<Answer<Name>, Fault>>;
  }

  /** Asks any method by name. */
  call(method: string, params?: unknown, options?: RequestOptions): Promise<Result<unknown, Fault>> {
    if (this.#connection === undefined) return Promise.resolve(err({ kind: 'offline' }));
    return this.#connection.request(method, params, { timeoutMs: REQUEST_TIMEOUT_MS, ...options });
  }

  on<Name extends EventName>(name: Name, listener: (payload: EventPayload<Name>, frame: EventFrame) => void): Unsubscribe {
    return this.#events.on(name, listener);
  }
  onState(listener: (state: ClientState) => void): Unsubscribe {
    this.#stateListeners.add(listener);
    return () => void this.#stateListeners.delete(listener);
  }
  onGap(listener: (gap: Gap) => void): Unsubscribe {
    this.#gapListeners.add(listener);
    return () => void this.#gapListeners.delete(listener);
  }

  /** Round trip, and whether the other end is there at all. */
  async ping(timeoutMs = 5_000): Promise<boolean> {
    return this.#connection === undefined ? false : this.#connection.ping(timeoutMs);
  }

  /** For good. Runs on the gateway go on; only this window is gone. */
  close(): void {
    if (this.#state.kind === 'closed') return;
    this.#cancelTimer();
    this.#cancelWatch();
    this.#abort.abort();
    const connection = this.#connection;
    this.#connection = undefined;
    this.#become({ kind: 'closed' });
    connection?.close(1000, '');
  }

  async #tryOnce(): Promise<Result<HelloOk | undefined, Fault>> {
    if (this.#state.kind === 'open') return { ok: true, value: this.#state.hello };
    this.#cancelTimer();
    this.#become({ kind: 'connecting', attempt: ++this.#attempt });
    const outcome = await this.#admitted();
    // `close` may have come while the handshake was under way.
    if (this.#isClosed()) {
      if (outcome.ok) outcome.value.close(1000, '');
      return err({ kind: 'aborted' });
    }
    if (!outcome.ok) {
      this.#dropped(outcome.error);
      return outcome;
    }
    const connection = outcome.value;
    if (connection.lost !== undefined) {
      const lost: Fault = { kind: 'closed', code: connection.lost.code, reason: connection.lost.reason };
      this.#dropped(lost);
      return err(lost);
    }
    this.#connection = connection;
    this.#attempt = 0;
    this.#events.restart(connection.hello?.protocol !== 3);
    this.#cancelWatch = watchLink(
      this.#options.clock,
      (timeoutMs) => connection.ping(timeoutMs),
      () => {
        connection.close(DEAD_LINK, 'ping timeout');
        // A half-open socket takes minutes to report its own end; the client does not wait for it.
        this.#onClose(connection, { code: DEAD_LINK, reason: 'no answer to a ping' });
      },
    );
    this.#become({ kind: 'open', endpoint: connection.endpoint, hello: connection.hello, sinceMs: this.#options.clock.now() });
    connection.start();
    return { ok: true, value: connection.hello };
  }

  #isClosed(): boolean {
    return this.#state.kind === 'closed';
  }

  /** One attempt, and at most one more with the stored device token after the gateway did not know the secret. */
  async #admitted(): Promise<Result<Connection, Fault>> {
    const { tokens, hello, device } = this.#options;
    let target: Target;
    try {
      target = await this.#options.target();
    } catch (thrown) {
      const message = thrown instanceof Error ? thrown.message : 'no address';
      const errno = thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'string' ? { errno: thrown.code } : {};
      return err({ kind: 'unreachable', message, ...errno });
    }
    const key = target.endpoint.url;
    // A device token is worth nothing without its key's proof.
    const stored = device === undefined || target.endpoint.door === 'admin' ? undefined : tokens?.read(key, hello.role);

    const first = await this.#open(target, stored, false);
    let outcome = first;
    if (mayRetryWithStored(first, target, stored)) outcome = await this.#open(target, stored, true);
    if (!outcome.ok) {
      if (stored !== undefined && isStaleDeviceToken(outcome.error)) tokens?.remove(key, hello.role);
      return outcome;
    }
    const issued = outcome.value.hello?.auth;
    if (issued?.deviceToken !== undefined && device !== undefined && tokens !== undefined) {
      tokens.write(key, issued.role, { token: issued.deviceToken, scopes: issued.scopes });
    }
    return outcome;
  }

  async #open(target: Target, stored: StoredToken | undefined, useStored: boolean): Promise<Result<Connection, Fault>> {
    const { clock, openSocket, hello, device, onStage, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const opened: { connection?: Connection } = {};
    const outcome = await openConnection({
      endpoint: target.endpoint,
      openSocket,
      clock,
      hello,
      device,
      auth: connectAuth(target.credentials, stored, useStored),
      timeoutMs: connectTimeoutMs,
      onEvent: (frame) => this.#events.receive(frame),
      onClose: (close) => this.#onClose(opened.connection, close),
      onStage,
      signal: this.#abort.signal,
    });
    if (outcome.ok) opened.connection = outcome.value;
    return outcome;
  }

  #onClose(connection: Connection | undefined, { code, reason }: SocketClose): void {
    if (connection === undefined || connection !== this.#connection) return;
    this.#connection = undefined;
    this.#cancelWatch();
    // A close reason that tells of a dead device token is the only word some gateways say about it.
    if (/device token|device_token/i.test(reason)) this.#options.tokens?.remove(connection.endpoint.url, this.#options.hello.role);
    this.#dropped({ kind: 'closed', code, reason });
  }

  #dropped(why: Fault): void {
    const { clock, random = Math.random, reconnect } = this.#options;
    if (reconnect !== true || pausesReconnect(why)) {
      this.#become({ kind: 'paused', why });
      return;
    }
    const attempt = Math.max(1, this.#attempt);
    const delay = reconnectDelay(attempt, random, why);
    this.#become({ kind: 'waiting', attempt, untilMs: clock.now() + delay, why });
    this.#cancelTimer = clock.after(delay, () => void this.connect());
  }

  #become(state: ClientState): void {
    this.#state = state;
    for (const listener of [...this.#stateListeners]) listener(state);
  }
}

function mayRetryWithStored(outcome: Result<Connection, Fault>, target: Target, stored: StoredToken | undefined): boolean {
  if (outcome.ok || stored === undefined || !target.trusted || target.credentials.explicit === true) return false;
  return refusalCode(outcome.error) === 'AUTH_TOKEN_MISMATCH';
}

function isStaleDeviceToken(fault: Fault): boolean {
  if (refusalCode(fault) === 'AUTH_DEVICE_TOKEN_MISMATCH') return true;
  return fault.kind === 'closed' && /device token|device_token/i.test(fault.reason);
}
