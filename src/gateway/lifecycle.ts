import type { Clock } from '../lib/clock.ts';
import { messageOf, type UserError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Outcome } from './outcome.ts';

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
 * Waits for the wish to end: a signal, or a request through the admin socket. SIGTERM and SIGINT drain; the same
 * signal again stops draining. SIGUSR1 restarts; a stop that comes meanwhile wins.
 */
export class Lifecycle {
  readonly #ports: LifecyclePorts;
  readonly #handlers: [NodeJS.Signals, () => void][] = [];
  #ending: Ending | undefined;
  #end: (ending: Ending) => void = () => {};
  #hurry: () => void = () => {};
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

  listen(): void {
    const on = (signal: NodeJS.Signals, handler: () => void): void => {
      process.on(signal, handler);
      this.#handlers.push([signal, handler]);
    };
    on('SIGTERM', () => this.stop('SIGTERM'));
    on('SIGINT', () => this.stop('SIGINT'));
    // The terminal it was started in was closed. As a service it has none.
    on('SIGHUP', () => this.stop('SIGHUP'));
    if (process.platform !== 'win32') on('SIGUSR1', () => void this.#restartIfItMay('SIGUSR1'));
  }

  unlisten(): void {
    for (const [signal, handler] of this.#handlers.splice(0)) process.off(signal, handler);
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

  async #restartIfItMay(why: string): Promise<void> {
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
