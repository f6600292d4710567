import type { Clock } from '../lib/clock.ts';

/**
 * A token bucket per key: `burst` at once, refilled at `perSecond`. Bounded: full buckets are forgotten, and past
 * `maxKeys` the oldest goes.
 */
export class RateLanes {
  readonly #clock: Clock;
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #maxKeys: number;
  readonly #lanes = new Map<string, { tokens: number; at: number }>();

  constructor(clock: Clock, rate: { burst: number; perSecond: number; maxKeys?: number }) {
    this.#clock = clock;
    this.#burst = rate.burst;
    this.#perSecond = rate.perSecond;
    this.#maxKeys = rate.maxKeys ?? 1_000;
  }

  /** 0 when the call may go on; otherwise the ms after which it may be tried again. */
  take(key: string): number {
    const now = this.#clock.monotonic();
    const lane = this.#lanes.get(key);
    const tokens = lane === undefined ? this.#burst : Math.min(this.#burst, lane.tokens + ((now - lane.at) / 1000) * this.#perSecond);
    this.#lanes.delete(key);
    if (tokens >= 1 || lane === undefined) {
      this.#lanes.set(key, { tokens: tokens - 1, at: now });
      if (this.#lanes.size > this.#maxKeys) {
        const oldest = this.#lanes.keys().next().value;
        if (oldest !== undefined) this.#lanes.delete(oldest);
      }
      return 0;
    }
    this.#lanes.set(key, { tokens, at: now });
    return Math.ceil(((1 - tokens) / this.#perSecond) * 1000);
  }
}
