import type { Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';

/** What `/readyz` answers: the result of the last self-check, never a guess. */
export interface ReadinessView {
  readonly ready: boolean;
  /** Names of what fails, e.g. `store`, `starting`, `draining`. */
  readonly failing: readonly string[];
  readonly checkedAt: number | undefined;
}

/** A good result older than this is checked again before it is given out. */
export const SELF_CHECK_MS = 10_000;
/** So is a bad one, which should not outlive its cause. */
export const FAILED_CHECK_MS = 1_000;
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
  #changes = 0;

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

  /** Something it rests on has changed: the next who asks gets a new check. */
  forget(): void {
    this.#last = undefined;
    this.#changes++;
  }

  /** Answers at once when the last check is fresh, else after one check (shared by everyone who waits). */
  async view(): Promise<ReadinessView> {
    if (this.#state !== 'running') return { ready: false, failing: [this.#state], checkedAt: this.#last?.wall };
    const last = this.#last;
    if (last === undefined || this.#clock.monotonic() - last.at >= (last.ok ? SELF_CHECK_MS : FAILED_CHECK_MS)) {
      this.#running ??= this.#run().finally(() => {
        this.#running = undefined;
      });
      await this.#running;
    }
    return { ready: this.#last?.ok === true, failing: this.#last?.failing ?? ['selfcheck'], checkedAt: this.#last?.wall };
  }

  async #run(): Promise<void> {
    let failing: readonly string[] = [];
    const changes = this.#changes;
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
    // What changed while it was checked makes the result old at once.
    const at = changes === this.#changes ? this.#clock.monotonic() : Number.NEGATIVE_INFINITY;
    this.#last = { ok: failing.length === 0, failing, at, wall: this.#clock.now() };
  }
}
