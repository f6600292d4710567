import { LIMITS } from '../../protocol/limits.ts';

/** A socket that has not said a valid `connect` yet. */
export interface Unadmitted {
  /** Limiter key of its peer (IPv6 by /64). */
  readonly address: string;
  drop(): void;
}

/**
 * Sockets before `connect`, bounded per address and in all by dropping the oldest: a flood of silent sockets pushes
 * out itself, never the owner's next handshake. Insertion order of the sets is age.
 */
export class PreauthPool {
  readonly #all = new Set<Unadmitted>();
  readonly #byAddress = new Map<string, Set<Unadmitted>>();

  get size(): number {
    return this.#all.size;
  }

  add(socket: Unadmitted): void {
    const peers = this.#byAddress.get(socket.address) ?? new Set<Unadmitted>();
    this.#byAddress.set(socket.address, peers);
    peers.add(socket);
    this.#all.add(socket);
    if (peers.size > LIMITS.preauthPerAddress) this.#dropOldest(peers);
    if (this.#all.size > LIMITS.preauthTotal) this.#dropOldest(this.#all);
  }

  remove(socket: Unadmitted): void {
    this.#all.delete(socket);
    const peers = this.#byAddress.get(socket.address);
    peers?.delete(socket);
    if (peers?.size === 0) this.#byAddress.delete(socket.address);
  }

  #dropOldest(from: ReadonlySet<Unadmitted>): void {
    const oldest = from.values().next().value;
    if (oldest === undefined) return;
    this.remove(oldest);
    oldest.drop();
  }
}
