import type { Clock } from '../../lib/clock.ts';

/** A socket that has not said anything yet. */
export interface Unadmitted {
  /** Limiter key of its peer (IPv6 by /64). */
  readonly address: string;
  drop(): void;
}

/**
 * A handshake takes milliseconds. Only sockets that have been silent for this long count against the limits, and only while nobody of their address
 * gets in: a thousand clients behind one tunnel that connect at once are no flood, a thousand silent sockets are.
 */
export const PREAUTH_GRACE_MS = 3_000;

export interface PreauthLimits {
  /** Silent beyond the grace, of one address. */
  readonly perAddress: number;
  /** Silent beyond the grace, in all. */
  readonly total: number;
  /** Silent in all, grace or none. */
  readonly crowd: number;
}

/** The silent ones of one address. */
interface Peers {
  /** Each with the time it came. Insertion order is age. */
  readonly waiting: Map<Unadmitted, number>;
  /** When somebody of this address was let in last. */
  lastIn: number;
}

/**
 * Sockets that have said nothing yet, bounded per address and in all by dropping the oldest: a flood of silent sockets pushes out itself, never the
 * owner's next handshake.
 */
export class PreauthPool {
  readonly #clock: Clock;
  readonly #limits: PreauthLimits;
  readonly #byAddress = new Map<string, Peers>();
  #size = 0;
  #isTrimming = false;

  constructor(clock: Clock, limits: PreauthLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  add(socket: Unadmitted): void {
    let peers = this.#byAddress.get(socket.address);
    if (peers === undefined) {
      peers = { waiting: new Map(), lastIn: Number.NEGATIVE_INFINITY };
      this.#byAddress.set(socket.address, peers);
    }
    peers.waiting.set(socket, this.#clock.monotonic());
    this.#size++;
    if (this.#size > this.#limits.crowd) this.#dropOldest(this.#largest());
    if (peers.waiting.size > this.#limits.perAddress || this.#size > this.#limits.total) this.#trimSoon();
  }

  /** It has spoken, or it is gone. */
  remove(socket: Unadmitted): void {
    const peers = this.#byAddress.get(socket.address);
    if (peers?.waiting.delete(socket) !== true) return;
    this.#size--;
    if (peers.waiting.size === 0) this.#byAddress.delete(socket.address);
  }

  /** Somebody of this address was let in: whoever else comes from there gets a grace from now. */
  letIn(address: string): void {
    const peers = this.#byAddress.get(address);
    if (peers !== undefined) peers.lastIn = this.#clock.monotonic();
  }

  /** One look for all that came too many, and again as long as there are too many. */
  #trimSoon(): void {
    if (this.#isTrimming) return;
    this.#isTrimming = true;
    this.#clock.after(PREAUTH_GRACE_MS, () => {
      this.#isTrimming = false;
      let tooMany = false;
      for (const peers of [...this.#byAddress.values()]) {
        this.#trim(peers, this.#limits.perAddress);
        tooMany ||= peers.waiting.size > this.#limits.perAddress;
      }
      while (this.#size > this.#limits.total) {
        const peers = this.#largest();
        const size = this.#size;
        this.#trim(peers, peers.waiting.size - 1);
        if (this.#size === size) break;
      }
      if (tooMany || this.#size > this.#limits.total) this.#trimSoon();
    });
  }

  #trim({ waiting, lastIn }: Peers, limit: number): void {
    const ripe = this.#clock.monotonic() - PREAUTH_GRACE_MS;
    if (lastIn > ripe) return;
    while (waiting.size > limit) {
      const oldest = waiting.values().next().value;
      if (oldest === undefined || oldest > ripe) return;
      this.#dropOldest({ waiting, lastIn });
    }
  }

  /** The address with most sockets, of several the one whose oldest is the oldest: nobody is pushed out by another's flood. */
  #largest(): Peers {
    let found: Peers = { waiting: new Map(), lastIn: 0 };
    let since = Number.POSITIVE_INFINITY;
    for (const peers of this.#byAddress.values()) {
      const oldest = peers.waiting.values().next().value ?? Number.POSITIVE_INFINITY;
      if (peers.waiting.size < found.waiting.size || (peers.waiting.size === found.waiting.size && oldest >= since)) continue;
      found = peers;
      since = oldest;
    }
    return found;
  }

  #dropOldest({ waiting }: Peers): void {
    const oldest = waiting.keys().next().value;
    if (oldest === undefined) return;
    this.remove(oldest);
    oldest.drop();
  }
}
