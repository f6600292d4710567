import type { Cancel, Clock } from '../lib/clock.ts';
import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { ResponseFrame } from '../protocol/frames.ts';
import type { Fault } from './fault.ts';

/** Without another wish an answer has this long. */
export const REQUEST_TIMEOUT_MS = 30_000;

export interface RequestOptions {
  /** Until the (next) answer. 0: no deadline. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Some methods answer several times under one id: wait for the last answer, hand earlier ones to `onProgress`. */
  readonly expectFinal?: boolean;
  readonly onProgress?: (payload: unknown) => void;
}

interface Waiting {
  readonly options: RequestOptions;
  readonly settle: (outcome: Result<unknown, Fault>) => void;
  cancelTimer: Cancel;
}

/** A payload that announces more under the same id. */
const isInterim = (payload: unknown): boolean =>
  isRecord(payload) && (payload['status'] === 'accepted' || payload['status'] === 'progress');

/** The requests in flight over one connection: ids, deadlines, answers. Each is settled exactly once. */
export class Requests {
  readonly #clock: Clock;
  readonly #send: (text: string) => void;
  readonly #waiting = new Map<string, Waiting>();
  #count = 0;
  #over: Fault | undefined;

  constructor(clock: Clock, send: (text: string) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  request(method: string, params: unknown, options: RequestOptions = {}): Promise<Result<unknown, Fault>> {
    return new Promise((resolve) => this.ask(method, params, options, resolve));
  }

  /** The same for who has to act on the answer before the next frame is looked at: `done` is called while the answer is received. */
  ask(method: string, params: unknown, options: RequestOptions, done: (outcome: Result<unknown, Fault>) => void): void {
    if (this.#over !== undefined) return done(err(this.#over));
    const { signal } = options;
    if (signal?.aborted) return done(err({ kind: 'aborted' }));
    const id = String(++this.#count);
    const onAbort = (): void => this.#finish(id, err({ kind: 'aborted' }));
    const settle = (outcome: Result<unknown, Fault>): void => {
      signal?.removeEventListener('abort', onAbort);
      done(outcome);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waiting.set(id, { options, settle, cancelTimer: this.#deadline(id, options) });
    this.#send(JSON.stringify(params === undefined ? { type: 'req', id, method } : { type: 'req', id, method, params }));
  }

  /** An answer to nobody (late, or not ours) is dropped. */
  receive(frame: ResponseFrame): void {
    const waiting = this.#waiting.get(frame.id);
    if (waiting === undefined) return;
    if (!frame.ok) {
      const error = frame.error ?? { code: 'UNAVAILABLE', message: 'the gateway refused without a reason' };
      this.#finish(frame.id, err({ kind: 'refused', error, ...(frame.payload === undefined ? {} : { payload: frame.payload }) }));
    } else if (waiting.options.expectFinal === true && isInterim(frame.payload)) {
      waiting.cancelTimer();
      waiting.cancelTimer = this.#deadline(frame.id, waiting.options);
      waiting.options.onProgress?.(frame.payload);
    } else this.#finish(frame.id, ok(frame.payload));
  }

  /** Settles all that wait, and all that will still be asked here, with `fault`. */
  end(fault: Fault): void {
    this.#over ??= fault;
    for (const id of [...this.#waiting.keys()]) this.#finish(id, err(fault));
  }

  #deadline(id: string, options: RequestOptions): Cancel {
    const ms = options.timeoutMs ?? REQUEST_TIMEOUT_MS;
    if (ms === 0) return () => {};
    return this.#clock.after(ms, () => this.#finish(id, err({ kind: 'timeout', ms, stage: 'answer' })));
  }

  #finish(id: string, outcome: Result<unknown, Fault>): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    waiting.cancelTimer();
    waiting.settle(outcome);
  }
}
