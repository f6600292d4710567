import type { Clock } from '../../lib/clock.ts';
import { Lane, type Tap } from './lane.ts';
import { Slots } from './slots.ts';
import { Turns } from './turns.ts';

/** What all callers share, so that none of them can have more of the event loop than its turn. One per gateway. */
export class Intake {
  readonly #turns: Turns;
  /** Frames and bodies of megabytes: one at a time, from before it is parsed until its first answer. */
  readonly large = new Slots({ inAll: 1, each: 1 });
  /** Reads that take long (`MethodDescriptor.cost`). */
  readonly heavy = new Slots({ inAll: 2, each: 1 });

  constructor(clock: Clock) {
    this.#turns = new Turns(() => clock.monotonic());
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
