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

export interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/** Calls that change something (WS-12). A share is what a person needs beside a program that has run wild. */
export const WRITE_RATES = {
  lane: { burst: 600, perSecond: 20 },
  share: { burst: 30, perSecond: 3 },
  spare: { burst: 600, perSecond: 60 },
} as const;
/** Calls that change access or configuration, per method. */
export const CONTROL_RATES = {
  lane: { burst: 30, perSecond: 0.5 },
  share: { burst: 5, perSecond: 0.1 },
  spare: { burst: 60, perSecond: 1 },
} as const;

/**
 * Lanes that several connections share, as one principal, without one of them using up the others' part. A call takes from the
 * principal's lane; when that is empty it takes from a share that is its connection's own, small and there for this moment only. The
 * shares of one principal are bounded together by `spare`, so that opening connections is no way to more.
 */
export class FairLanes {
  readonly #lanes: RateLanes;
  readonly #shares: RateLanes;
  readonly #spare: RateLanes;

  constructor(clock: Clock, rates: { readonly lane: Rate; readonly share: Rate; readonly spare: Rate }) {
    this.#lanes = new RateLanes(clock, rates.lane);
    this.#shares = new RateLanes(clock, rates.share);
    this.#spare = new RateLanes(clock, rates.spare);
  }

  /** 0 when the call may go on; otherwise the ms after which it may be tried again. Without a connection there is no share. */
  take(principal: string, connection?: string): number {
    const wait = this.#lanes.take(principal);
    if (wait === 0 || connection === undefined) return wait;
    const own = this.#shares.take(connection) || this.#spare.take(principal);
    return Math.min(wait, own);
  }
}
