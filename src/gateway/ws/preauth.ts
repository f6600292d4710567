import type { Clock } from '../../lib/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';

/** A socket that has not said a valid `connect` yet. */
export interface Unadmitted {
  /** Limiter key of its peer (IPv6 by /64). */
  readonly address: string;
  drop(): void;
}

/**
 * A handshake takes milliseconds. Only sockets that have been waiting for this long count against the limit of their
 * address: fifty clients behind one tunnel that connect at once are no flood, fifty silent sockets are.
 */
export const PREAUTH_GRACE_MS = 1_000;

/**
 * Sockets before `connect`, bounded per address and in all by dropping the oldest: a flood of silent sockets pushes
 * out itself, never the owner's next handshake. Insertion order is age.
 */
export class PreauthPool {
  readonly #clock: Clock;
  /** Each with the time it came, per address. */
  readonly #byAddress = new Map<string, Map<Unadmitted, number>>();
  #size = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#size;
  }

  add(socket: Unadmitted): void {
    const peers = this.#byAddress.get(socket.address) ?? new Map<Unadmitted, number>();
    this.#byAddress.set(socket.address, peers);
    peers.set(socket, this.#clock.monotonic());
    this.#size++;
    // One look per socket that came too many, when its grace is over.
    if (peers.size > LIMITS.preauthPerAddress) this.#clock.after(PREAUTH_GRACE_MS, () => this.#trim(peers));
    if (this.#size > LIMITS.preauthTotal) this.#dropOldest(this.#largest());
  }

  remove(socket: Unadmitted): void {
    const peers = this.#byAddress.get(socket.address);
    if (peers?.delete(socket) !== true) return;
    this.#size--;
    if (peers.size === 0) this.#byAddress.delete(socket.address);
  }

  #trim(peers: ReadonlyMap<Unadmitted, number>): void {
    const ripe = this.#clock.monotonic() - PREAUTH_GRACE_MS;
    while (peers.size > LIMITS.preauthPerAddress) {
      const oldest = peers.values().next().value;
      if (oldest === undefined || oldest > ripe) return;
      this.#dropOldest(peers);
    }
  }

  /** The address with most sockets, of several the one whose oldest is the oldest: nobody is pushed out by another's flood. */
  #largest(): ReadonlyMap<Unadmitted, number> {
    let found: ReadonlyMap<Unadmitted, number> = new Map();
    let since = Number.POSITIVE_INFINITY;
    for (const peers of this.#byAddress.values()) {
      const oldest = peers.values().next().value ?? Number.POSITIVE_INFINITY;
      if (peers.size < found.size || (peers.size === found.size && oldest >= since)) continue;
      found = peers;
      since = oldest;
    }
    return found;
  }

  #dropOldest(from: ReadonlyMap<Unadmitted, number>): void {
    const oldest = from.keys().next().value;
    if (oldest === undefined) return;
    this.remove(oldest);
    oldest.drop();
  }
}
