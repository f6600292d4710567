import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { HelloOk } from '../protocol/connect.ts';
import type { EventFrame } from '../protocol/frames.ts';
import { connectParams, type Hello } from './connect-params.ts';
import type { ConnectAuth, DeviceKey } from './credentials.ts';
import type { Fault, Stage } from './fault.ts';
import { parseServerFrame } from './frames.ts';
import { type RequestOptions, Requests } from './requests.ts';
import type { Endpoint, OpenSocket, Socket, SocketClose } from './socket.ts';

/** Client-side close code: pings went unanswered. */
export const DEAD_LINK = 4000;

export interface ConnectOptions {
  readonly endpoint: Endpoint;
  readonly openSocket: OpenSocket;
  readonly clock: Clock;
  readonly hello: Hello;
  readonly auth: ConnectAuth;
  readonly device?: DeviceKey | undefined;
  /** For the whole way to hello-ok. */
  readonly timeoutMs: number;
  /** Called from `start` on, also with what came before. */
  readonly onEvent: (frame: EventFrame) => void;
  readonly onClose: (close: SocketClose) => void;
  /** Called as each stage is reached, for people who want to see where the time goes. */
  readonly onStage?: ((stage: Stage) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** An admitted connection. */
export interface Connection {
  readonly endpoint: Endpoint;
  /** Undefined on the admin socket, which has no handshake. */
  readonly hello: HelloOk | undefined;
  /** Set once it has ended. */
  readonly lost: SocketClose | undefined;
  /** Hands over events from here on. What followed hello-ok in the same segment has waited: nobody could have listened yet. */
  start(): void;
  request(method: string, params?: unknown, options?: RequestOptions): Promise<Result<unknown, Fault>>;
  /** Whether the other end is there: a ping of the transport, or the request `health` where it has none. */
  ping(timeoutMs: number): Promise<boolean>;
  close(code?: number, reason?: string): void;
}

/**
 * One attempt: open, challenge, `connect`, hello-ok. Resolves exactly once; after an error nothing is left open. On the admin socket the
 * file's mode is the admission, and the connection is ready when it is open.
 */
export function openConnection(options: ConnectOptions): Promise<Result<Connection, Fault>> {
  return new Promise((resolve) => {
    const { clock, endpoint, signal } = options;
    let stage: Stage | 'ready' = 'open';
    let settled = false;
    let gone: SocketClose | undefined;
    let socket: Socket | undefined;
    let pongs: (() => void)[] = [];
    /** Events until somebody listens. */
    let early: EventFrame[] | undefined = [];
    const requests = new Requests(clock, (text) => socket?.send(text));

    const cancelDeadline = clock.after(options.timeoutMs, () =>
      fail({ kind: 'timeout', ms: options.timeoutMs, stage: stage === 'ready' ? 'answer' : stage }),
    );
    const onAbort = (): void => fail({ kind: 'aborted' });

    function settle(outcome: Result<Connection, Fault>): void {
      if (settled) return;
      settled = true;
      cancelDeadline();
      signal?.removeEventListener('abort', onAbort);
      resolve(outcome);
    }
    function fail(fault: Fault): void {
      if (settled) return;
      settle(err(fault));
      requests.end(fault);
      socket?.close();
    }
    function ready(hello: HelloOk | undefined): void {
      if (settled) return;
      stage = 'ready';
      options.onStage?.('answer');
      settle(
        ok({
          endpoint,
          hello,
          get lost() {
            return gone;
          },
          start() {
            const frames = early ?? [];
            early = undefined;
            for (const frame of frames) options.onEvent(frame);
          },
          request: (method, params, requestOptions) => requests.request(method, params, requestOptions),
          ping,
          close: (code, reason) => socket?.close(code, reason),
        }),
      );
    }
    async function ping(timeoutMs: number): Promise<boolean> {
      if (gone !== undefined) return false;
      if (socket?.ping === undefined) {
        const answer = await requests.request('health', undefined, { timeoutMs });
        return answer.ok || answer.error.kind === 'refused';
      }
      return new Promise((done) => {
        const cancel = clock.after(timeoutMs, () => answered(false));
        const onPong = (): void => answered(true);
        function answered(alive: boolean): void {
          cancel();
          pongs = pongs.filter((other) => other !== onPong);
          done(alive);
        }
        pongs.push(onPong);
        socket?.ping?.();
      });
    }
    async function sayConnect(challenge: unknown): Promise<void> {
      stage = 'hello';
      options.onStage?.('hello');
      const nonce = isRecord(challenge) && typeof challenge['nonce'] === 'string' ? challenge['nonce'] : '';
      // The gateway's own clock where it tells it: a laptop whose clock is wrong must still get in.
      const nowMs = isRecord(challenge) && typeof challenge['ts'] === 'number' ? challenge['ts'] : clock.now();
      const params = await connectParams(options.hello, options.auth, options.device, { nonce, nowMs });
      if (settled) return;
      // Taken while it is received: the next frame may have come with it.
      requests.ask('connect', params, { timeoutMs: 0 }, (answer) => {
        if (!answer.ok) return fail(answer.error);
        const hello = answer.value;
        if (!isRecord(hello) || hello['type'] !== 'hello-ok')
          return fail({ kind: 'garbled', message: 'connect was not answered with hello-ok' });
        ready(hello as unknown as HelloOk);
      });
    }

    if (signal?.aborted) return fail({ kind: 'aborted' });
    signal?.addEventListener('abort', onAbort, { once: true });
    socket = options.openSocket(endpoint, {
      open() {
        if (settled) return socket?.close();
        if (endpoint.door === 'admin') return ready(undefined);
        stage = 'challenge';
        options.onStage?.('challenge');
      },
      message(text) {
        const frame = parseServerFrame(text);
        if (frame === undefined) {
          if (stage === 'challenge') fail({ kind: 'garbled', message: 'its first message is no frame of this protocol' });
          return;
        }
        if (frame.type === 'res') return requests.receive(frame);
        if (frame.event === 'connect.challenge') {
          if (stage === 'challenge') sayConnect(frame.payload).catch((thrown) => fail({ kind: 'unreachable', message: messageOf(thrown) }));
          return;
        }
        if (stage !== 'ready') return;
        if (early === undefined) options.onEvent(frame);
        else early.push(frame);
      },
      pong() {
        for (const onPong of [...pongs]) onPong();
      },
      closed(close) {
        if (gone !== undefined) return;
        gone = close;
        const fault = closeFault(close, stage);
        requests.end(fault);
        if (stage === 'ready') options.onClose(close);
        // With `connect` on its way its answer decides, which may have come an instant before this close: gateways refuse and close at once.
        else if (stage !== 'hello') settle(err(fault));
      },
    });
    // It may have failed before it was returned.
    if (settled) socket.close();
  });
}

function closeFault(close: SocketClose, stage: Stage | 'ready'): Fault {
  if (stage !== 'open') return { kind: 'closed', code: close.code, reason: close.reason };
  return {
    kind: 'unreachable',
    message: close.error ?? `closed before it opened (${close.code})`,
    ...(close.errno === undefined ? {} : { errno: close.errno }),
    ...(close.httpStatus === undefined ? {} : { httpStatus: close.httpStatus }),
  };
}
