import type { Clock } from '../../lib/clock.ts';
import { Lane, type Tap } from './lane.ts';
import { Slots } from './slots.ts';
import { Turns } from './turns.ts';

/** How fast frames and bodies of megabytes are taken, all together: 40 MB a second. */
const LARGE_BYTES_PER_MS = 40_000;

/** What all callers share, so that none of them can have more of the event loop than its turn. One per gateway. */
export class Intake {
  readonly #turns: Turns;
  readonly #large = new Slots({ inAll: 1, each: 1 });
  readonly #clock: Clock;
  /** Reads that take long (`MethodDescriptor.cost`). */
  readonly heavy = new Slots({ inAll: 2, each: 1 });

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turns = new Turns(() => clock.monotonic());
  }

  /**
   * The one place for frames and bodies of megabytes, from before it is parsed until its first answer. Call what it gives then; the place is free when
   * the time for `bytes` is over too: joining, unmasking and decoding so much takes the loop longer than a turn, which others should meet seldom.
   */
  async large(principal: string, bytes: number): Promise<() => void> {
    const leave = await this.#large.take(principal);
    const until = this.#clock.monotonic() + bytes / LARGE_BYTES_PER_MS;
    return () => {
      const rest = until - this.#clock.monotonic();
      if (rest < 1) leave();
      else this.#clock.after(rest, leave);
    };
  }

  /** Work of `account` that comes by itself, in its turn; it must not throw. */
  once(account: string, task: () => void): void {
    this.#turns.once(account, task);
  }

  /** `account`: whose share of the loop it uses; of a caller who is not known yet, its address. */
  lane(account: string, tap: Tap, take: (frame: Buffer) => Promise<void> | undefined): Lane {
    return new Lane(this.#turns, account, tap, take);
  }
}
