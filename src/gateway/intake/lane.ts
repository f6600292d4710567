import type { Taker, Turns } from './turns.ts';

/** Where a lane's frames come from: told to send nothing more while frames wait, so that what waits is what one read brought. */
export interface Tap {
  pause(): void;
  resume(): void;
}

/**
 * The frames of one connection, taken in order, one at a time, in the turns that all connections share. A frame whose
 * `take` gives a promise holds the lane until that has settled: its caller waits for itself and nobody else does.
 */
export class Lane implements Taker {
  readonly #turns: Turns;
  readonly #tap: Tap;
  readonly #take: (frame: Buffer) => Promise<void> | undefined;
  account: string;
  spent = 0;
  #frames: Buffer[] = [];
  #next = 0;
  #waitingBytes = 0;
  #takenBytes = 0;
  #held = false;
  #paused = false;
  #onEmpty: (() => void) | undefined;

  constructor(turns: Turns, account: string, tap: Tap, take: (frame: Buffer) => Promise<void> | undefined) {
    this.#turns = turns;
    this.account = account;
    this.#tap = tap;
    this.#take = take;
  }

  /** Nothing is read from the connection now, its answers to pings included. */
  get isPaused(): boolean {
    return this.#paused;
  }

  /** Bytes of frames that were read and are not done with. */
  get bytes(): number {
    return this.#waitingBytes + this.#takenBytes;
  }

  push(frame: Buffer): void {
    if (this.#frames.length === 0 && !this.#held && this.#turns.mayGo()) {
      this.#start(frame);
      return;
    }
    this.#frames.push(frame);
    this.#waitingBytes += frame.length;
    if (!this.#paused) {
      this.#paused = true;
      this.#tap.pause();
    }
    if (!this.#held) this.#turns.wait(this);
  }

  takeOne(): boolean {
    if (this.#held) return false;
    const head = this.#frames[this.#next];
    if (head === undefined) return false;
    this.#next++;
    this.#waitingBytes -= head.length;
    if (this.#next === this.#frames.length) {
      this.#frames = [];
      this.#next = 0;
    }
    this.#start(head);
    if (this.#held) return false;
    if (this.#frames.length > 0) return true;
    this.#emptied();
    return false;
  }

  /** From now on its work is `account`'s. */
  belongTo(account: string): void {
    this.#turns.leave(this);
    this.account = account;
    if (this.#frames.length > 0 && !this.#held) this.#turns.wait(this);
  }

  /** What was read is still worked on; then `task`. For a connection whose other end has left. */
  whenEmpty(task: () => void): void {
    if (this.#frames.length === 0 && !this.#held) task();
    else this.#onEmpty = task;
  }

  /** What waits is dropped. */
  drop(): void {
    this.#waitingBytes = 0;
    this.#frames = [];
    this.#next = 0;
    this.#turns.leave(this);
  }

  #start(frame: Buffer): void {
    const work = this.#take(frame);
    if (work === undefined) return;
    this.#held = true;
    this.#takenBytes = frame.length;
    const release = (): void => {
      this.#held = false;
      this.#takenBytes = 0;
      if (this.#frames.length > 0) this.#turns.wait(this);
      else this.#emptied();
    };
    work.then(release, release);
  }

  #emptied(): void {
    if (this.#paused) {
      this.#paused = false;
      this.#tap.resume();
    }
    const task = this.#onEmpty;
    this.#onEmpty = undefined;
    task?.();
  }
}
