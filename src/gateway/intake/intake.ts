import type { Clock } from '../../lib/clock.ts';
import { hintCollection } from '../give-back.ts';
import { Lane, type Tap } from './lane.ts';
import { Slots } from './slots.ts';
import { Turns } from './turns.ts';

/** How fast frames and bodies of megabytes are taken, all together: 25 MB a second. */
const LARGE_BYTES_PER_MS = 25_000;
/** Whoever had to wait so long for a place, ms, goes on without: who holds the places may be slow. What all may hold is bounded elsewhere. */
const PLACE_WAIT_MS = 10_000;
/** After so much of large frames and bodies V8 is told that there may be garbage: long strings that it would let grow to hundreds of megabytes. */
const HINT_BYTES = 16 * 1024 * 1024;

/** What can be told to read nothing more for a while. */
export interface Held {
  hold(): void;
  letIn(): void;
}

/** What all callers share, so that none of them can have more of the event loop than its turn. One per gateway. */
export class Intake {
  readonly #turns: Turns;
  readonly #large = new Slots({ inAll: 1, each: 1 });
  /** Messages of megabytes that arrive at once. */
  readonly #places = new Slots({ inAll: 3, each: 2 });
  #sinceHint = 0;
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
      this.#sinceHint += bytes;
      if (this.#sinceHint >= HINT_BYTES) {
        this.#sinceHint = 0;
        hintCollection();
      }
      const rest = until - this.#clock.monotonic();
      if (rest < 1) leave();
      else this.#clock.after(rest, leave);
    };
  }

  /**
   * A place for a message of megabytes that has begun to arrive: `reader` is held until there is one, principals in turn. Call what it gives once,
   * when the message was worked on or its connection is over. So a crowd that sends much at once waits, and nobody is turned away for it.
   */
  place(principal: string, reader: Held): () => void {
    const place = this.#places.take(principal);
    if (typeof place === 'function') return place;
    let isOver = false;
    let isHeld = true;
    reader.hold();
    const goOn = (): void => {
      if (isHeld && !isOver) reader.letIn();
      isHeld = false;
    };
    const cancel = this.#clock.after(PLACE_WAIT_MS, goOn);
    let end = (): void => {
      cancel();
      isOver = true;
    };
    void place.then((leave) => {
      cancel();
      if (isOver) return leave();
      goOn();
      end = leave;
    });
    return () => end();
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
