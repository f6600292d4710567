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
/** A connection that is open for this long, ms, is not one of those that a program opens anew for each call. */
export const STANDING_MS = 5_000;

/**
 * Lanes that several connections share, as one principal, without one of them using up the others' part. A call takes from the
 * principal's lane; when that is empty it takes from a share that is its connection's own. The shares of one principal are bounded together by
 * `spare`, once for connections that stand and once for fresh ones, so that opening connections is no way to more, and takes nothing from who is in.
 */
export class FairLanes {
  readonly #clock: Clock;
  readonly #lanes: RateLanes;
  readonly #shares: RateLanes;
  readonly #spare: RateLanes;

  constructor(clock: Clock, rates: { readonly lane: Rate; readonly share: Rate; readonly spare: Rate }) {
    this.#clock = clock;
    this.#lanes = new RateLanes(clock, rates.lane);
    this.#shares = new RateLanes(clock, rates.share);
    this.#spare = new RateLanes(clock, rates.spare);
  }

  /** 0 when the call may go on; otherwise the ms after which it may be tried again. Without a connection there is no share. */
  take(principal: string, connection?: { readonly key: string; readonly openedAt: number }): number {
    const wait = this.#lanes.take(principal);
    if (wait === 0 || connection === undefined) return wait;
    const stands = this.#clock.monotonic() - connection.openedAt >= STANDING_MS;
    const own = this.#shares.take(connection.key) || this.#spare.take(`${principal} ${stands}`);
    return Math.min(wait, own);
  }
}
