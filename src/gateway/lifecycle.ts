import type { Clock } from '../lib/clock.ts';
import { messageOf, type UserError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Outcome } from './outcome.ts';
import type { SignalTaker } from './signals.ts';

/** Running turns get this long to end by themselves after SIGTERM; what still runs then is marked interrupted, its text kept. */
export const DRAIN_MS = 30_000;
/** A restart waits for running turns this long. */
export const RESTART_DRAIN_MS = 90_000;

export interface Ending {
  readonly outcome: Outcome;
  readonly reason: 'gateway stopping' | 'gateway restarting';
  readonly drainMs: number;
}

const STOP: Ending = { outcome: { kind: 'stop', code: 0 }, reason: 'gateway stopping', drainMs: DRAIN_MS };
const FAILED: Ending = { ...STOP, outcome: { kind: 'stop', code: 1 }, drainMs: 0 };
const RESTART: Ending = { outcome: { kind: 'restart' }, reason: 'gateway restarting', drainMs: RESTART_DRAIN_MS };

export interface LifecyclePorts {
  readonly clock: Clock;
  readonly log: Log;
  /** Why a gateway started now would not come up; a restart that nobody would survive is refused. */
  readonly restartProblem: () => Promise<UserError | undefined>;
}

/**
 * One life of a gateway, and the wish to end it: by signal (see `Signals`), or by a request through the admin socket. A stop drains; a second
 * one stops draining. A restart that is wished while it starts waits until it is up; a stop that comes meanwhile wins.
 */
export class Lifecycle implements SignalTaker {
  readonly #ports: LifecyclePorts;
  #ending: Ending | undefined;
  #end: (ending: Ending) => void = () => {};
  #hurry: () => void = () => {};
  #isUp = false;
  /** Why a restart was wished before it was up. */
  #wished: string | undefined;
  /** Resolves once, when it begins to end. How it ends is what `ending` says then and later: a restart may become a stop. */
  readonly ended: Promise<Ending>;
  /** Resolves when somebody does not want to wait for the drain. */
  readonly hurried: Promise<void>;

  constructor(ports: LifecyclePorts) {
    this.#ports = ports;
    this.ended = new Promise((resolve) => {
      this.#end = resolve;
    });
    this.hurried = new Promise((resolve) => {
      this.#hurry = resolve;
    });
  }

  get isEnding(): boolean {
    return this.#ending !== undefined;
  }

  get ending(): Ending {
    return this.#ending ?? STOP;
  }

  /** All is there that a restart asks about. */
  up(): void {
    this.#isUp = true;
    if (this.#wished !== undefined) this.restartIfItMay(this.#wished);
  }

  stop(why: string): void {
    const { clock, log } = this.#ports;
    if (this.#ending === undefined) {
      log.info('stopping', { why });
      this.#finish(STOP);
    } else if (this.#ending === RESTART) {
      // Its drain goes on, but no longer than a stop's would.
      log.info('stopping instead of restarting', { why });
      this.#ending = STOP;
      clock.after(DRAIN_MS, this.#hurry);
    } else {
      log.warn('stopping now', { why });
      this.#hurry();
    }
  }

  /** Ends at once, in order, as a failure. */
  fail(why: string): void {
    this.#ports.log.error('stopping: something failed that nobody expected', { why });
    if (this.#ending === undefined) return this.#finish(FAILED);
    this.#ending = FAILED;
    this.#hurry();
  }

  restart(why: string): void {
    if (this.#ending !== undefined) return;
    this.#ports.log.info('restarting', { why });
    this.#finish(RESTART);
  }

  restartIfItMay(why: string): void {
    if (this.#isUp) void this.#judgeRestart(why);
    else this.#wished = why;
  }

  async #judgeRestart(why: string): Promise<void> {
    const { log, restartProblem } = this.#ports;
    try {
      const problem = await restartProblem();
      if (problem === undefined) this.restart(why);
      else log.error(`not restarted: ${problem.message}`, { why, ...(problem.fix !== undefined && { fix: problem.fix }) });
    } catch (thrown) {
      log.error('not restarted: whether it would come up again cannot be told', { why, cause: messageOf(thrown) });
    }
  }

  #finish(ending: Ending): void {
    this.#ending = ending;
    this.#end(ending);
  }
}

/** Whichever comes first: `work`, `ms`, or `hurried`. */
export async function within(clock: Clock, ms: number, hurried: Promise<void>, work: Promise<unknown>): Promise<void> {
  let cancel = (): void => {};
  const late = new Promise<void>((resolve) => {
    cancel = clock.after(ms, resolve);
  });
  await Promise.race([work, late, hurried]);
  cancel();
}
