import type { Clock } from '../lib/clock.ts';
import { Pieces } from './intake/pieces.ts';

const MiB = 1024 * 1024;

/** Bytes that all connections together may make the gateway keep, each way. Past it whoever holds most goes first. */
export const HELD_LIMITS = {
  /** Of messages and bodies that are not complete yet. Room for three of the largest. */
  incomingBytes: 80 * MiB,
  /** Of what was written and not taken yet. */
  outgoingBytes: 64 * MiB,
  /** An unfinished message has to grow by `slowBytes` in this time, else its sender is cut. */
  slowMs: 30_000,
  slowBytes: 240 * 1024,
} as const;

/** What an object on our side weighs beside the bytes it stands for (a piece of a message, a request that waits), roughly. */
export const PIECE_BYTES = 256;

/** One connection, as far as it makes us keep bytes. */
export interface Holder {
  /** Whose it is: a principal, or before that an address. What all connections of one key hold is looked at together. */
  readonly heldKey: string;
  /** What it holds at this moment, bytes. */
  heldNow(way: Way): number;
  /** Ends it at once: what it holds is wanted back. `most`: it held more than others; `slow`: its message does not go on. */
  giveUp(way: Way, why: 'most' | 'slow'): void;
}

export type Way = 'incoming' | 'outgoing';

interface Entry {
  bytes: number;
  /** When its unfinished message began, and what had arrived by the last look. */
  since: number;
  arrived: number;
}

/**
 * Knows what every connection makes the gateway keep in one direction. A connection is in here only while it holds something: an idle one costs
 * nothing. When the budget is used up, room is made among the connections of the key that holds most, the largest first, so that many small honest
 * ones never pay for a few large ones, nor one large honest one for a hundred of somebody else.
 */
export class HeldBytes {
  readonly #way: Way;
  readonly #budget: number;
  readonly #clock: Clock;
  readonly #entries = new Map<Holder, Entry>();
  #total = 0;

  constructor(way: Way, budget: number, clock: Clock) {
    this.#way = way;
    this.#budget = budget;
    this.#clock = clock;
  }

  /** Bytes held by all, as last noted. */
  get total(): number {
    return this.#total;
  }

  /** Whether this one holds anything, as last noted. */
  has(holder: Holder): boolean {
    return this.#entries.has(holder);
  }

  /** Says what a connection holds now; 0 takes it out. */
  note(holder: Holder, bytes: number): void {
    const entry = this.#entries.get(holder);
    if (bytes === 0) {
      if (entry !== undefined) this.forget(holder);
      return;
    }
    const before = entry?.bytes ?? 0;
    this.#total += bytes - before;
    // It shrank: a message was completed, and another one has begun.
    if (entry === undefined) this.#entries.set(holder, { bytes, since: this.#clock.monotonic(), arrived: bytes });
    else {
      if (bytes < before) {
        entry.since = this.#clock.monotonic();
        entry.arrived = bytes;
      }
      entry.bytes = bytes;
    }
    if (this.#total > this.#budget && bytes > before) this.#makeRoom();
  }

  forget(holder: Holder): void {
    const entry = this.#entries.get(holder);
    if (entry === undefined) return;
    this.#total -= entry.bytes;
    this.#entries.delete(holder);
  }

  /** Gives up whoever has let a message lie for too long. To be called every `slowMs`; only for what comes in. */
  endSlow(): void {
    const now = this.#clock.monotonic();
    for (const [holder, entry] of [...this.#entries]) {
      this.note(holder, holder.heldNow(this.#way));
      if (!this.#entries.has(holder)) continue;
      const isOld = now - entry.since >= HELD_LIMITS.slowMs;
      if (isOld && entry.bytes - entry.arrived < HELD_LIMITS.slowBytes) {
        this.forget(holder);
        holder.giveUp(this.#way, 'slow');
      } else if (isOld) entry.arrived = entry.bytes;
    }
  }

  #makeRoom(): void {
    const byKey = new Map<string, { bytes: number; readonly holders: Holder[] }>();
    for (const holder of [...this.#entries.keys()]) {
      const bytes = holder.heldNow(this.#way);
      this.#set(holder, bytes);
      if (bytes === 0) continue;
      const group = byKey.get(holder.heldKey) ?? { bytes: 0, holders: [] };
      byKey.set(holder.heldKey, group);
      group.bytes += bytes;
      group.holders.push(holder);
    }
    // An eighth more than needed, so that the next few bytes do not begin this again.
    while (this.#total > this.#budget - this.#budget / 8) {
      const group = [...byKey.values()].reduce((most, other) => (other.bytes > most.bytes ? other : most), { bytes: 0, holders: [] });
      const largest = group.holders.reduce<Holder | undefined>(
        (most, other) => (most === undefined || this.#bytesOf(other) > this.#bytesOf(most) ? other : most),
        undefined,
      );
      if (largest === undefined) return;
      group.bytes -= this.#bytesOf(largest);
      group.holders.splice(group.holders.indexOf(largest), 1);
      this.forget(largest);
      largest.giveUp(this.#way, 'most');
    }
  }

  #bytesOf(holder: Holder): number {
    return this.#entries.get(holder)?.bytes ?? 0;
  }

  #set(holder: Holder, bytes: number): void {
    const entry = this.#entries.get(holder);
    if (entry === undefined) return;
    this.#total += bytes - entry.bytes;
    entry.bytes = bytes;
    if (bytes === 0) this.#entries.delete(holder);
  }
}

/** Both directions. */
export interface HeldPorts {
  readonly incoming: HeldBytes;
  readonly outgoing: HeldBytes;
  readonly pieces: Pieces;
}

export const heldPorts = (clock: Clock): HeldPorts => ({
  incoming: new HeldBytes('incoming', HELD_LIMITS.incomingBytes, clock),
  outgoing: new HeldBytes('outgoing', HELD_LIMITS.outgoingBytes, clock),
  pieces: new Pieces(),
});
