import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';

/** What `/readyz` answers: the result of the last self-check, never a guess. */
export interface ReadinessView {
  readonly ready: boolean;
  /** Names of what fails, e.g. `store`, `starting`, `draining`. */
  readonly failing: readonly string[];
  readonly checkedAt: number | undefined;
}

/** A result older than this is checked again before it is given out. */
export const SELF_CHECK_MS = 10_000;
/** A check that takes longer than this has failed. */
const CHECK_TIMEOUT_MS = 5_000;

/**
 * Truthful readiness (B6): ready means that a round trip through the admin socket, the door and dispatch, with a
 * durable write behind it, succeeded at most ten seconds ago. Asked more often, it answers from that result, so that
 * a probe can neither flood the disk nor be told a guess.
 */
export class Readiness {
  readonly #clock: Clock;
  readonly #check: () => Promise<void>;
  #state: 'starting' | 'running' | 'draining' = 'starting';
  #last: { ok: boolean; failing: readonly string[]; at: number; wall: number } | undefined;
  #running: Promise<void> | undefined;

  constructor(clock: Clock, check: () => Promise<void>) {
    this.#clock = clock;
    this.#check = check;
  }

  get started(): boolean {
    return this.#state !== 'starting';
  }
  setState(state: 'running' | 'draining'): void {
    this.#state = state;
  }

  /** Answers at once when the last check is fresh, else after one check (shared by everyone who waits). */
  async view(): Promise<ReadinessView> {
    if (this.#state !== 'running') return { ready: false, failing: [this.#state], checkedAt: this.#last?.wall };
    if (this.#last === undefined || this.#clock.monotonic() - this.#last.at >= SELF_CHECK_MS) {
      this.#running ??= this.#run().finally(() => {
        this.#running = undefined;
      });
      await this.#running;
    }
    return { ready: this.#last?.ok === true, failing: this.#last?.failing ?? ['selfcheck'], checkedAt: this.#last?.wall };
  }

  async #run(): Promise<void> {
    let failing: readonly string[] = [];
    let cancel = (): void => {};
    const timeout = new Promise<never>((_, reject) => {
      cancel = this.#clock.after(CHECK_TIMEOUT_MS, () => reject(new Error(`no answer in ${CHECK_TIMEOUT_MS} ms`)));
    });
    try {
      await Promise.race([this.#check(), timeout]);
    } catch (thrown) {
      failing = [`selfcheck: ${messageOf(thrown)}`];
    } finally {
      cancel();
    }
    this.#last = { ok: failing.length === 0, failing, at: this.#clock.monotonic(), wall: this.#clock.now() };
  }
}
