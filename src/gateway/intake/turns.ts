/** Work on frames in one turn of the event loop, ms. Timers, answers of the disk and everybody's sockets come in between. */
export const TURN_MS = 4;
/** Who has asked for little may be this far ahead of those who ask for much, ms of work. */
const CREDIT_MS = 20;
/** Accounts without waiting work that are remembered because they have had more than their share. */
const MAX_IDLE = 4_096;

/** One connection's waiting work, as `Turns` sees it. */
export interface Taker {
  /** Whose work it is: connections of one account share one share. */
  readonly account: string;
  /** Work that was done for it, ms; only ever compared. Belongs to `Turns`. */
  spent: number;
  /** Does one piece of work; false when there is none that could be done now. */
  takeOne(): boolean;
}

interface Account {
  spent: number;
  /** What the connection of it that was served last had had. */
  level: number;
  readonly waiting: Set<Taker>;
}

/**
 * The event loop, shared fairly. Whatever callers send is worked on in turns: `TURN_MS` of it, then the loop goes round. The
 * next piece is always of the account that has had least, and of its connections the one that has had least: ten thousand dear frames
 * of one caller cost another one's single frame the end of the piece that is being done. While nobody waits a frame is handled where it
 * arrives, and all of this costs one look at the clock.
 */
export class Turns {
  readonly #now: () => number;
  readonly #accounts = new Map<string, Account>();
  /** What came by itself and waits, in order. */
  readonly #tasks = new Map<string, Tasks>();
  /** Accounts with waiting work. */
  readonly #active = new Set<Account>();
  /** What the last one served had had: newcomers begin here, not at nothing. */
  #level = 0;
  /** End of the present turn's time; undefined: nothing was done in this turn yet. */
  #until: number | undefined;
  #scheduled = false;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** Whether something may be done right now, before everybody who waits: there is time left, and nobody waits. */
  mayGo(): boolean {
    if (this.#active.size > 0) return false;
    const now = this.#now();
    if (this.#until === undefined) {
      this.#until = now + TURN_MS;
      this.#schedule();
      return true;
    }
    return now < this.#until;
  }

  /** Work that comes by itself (an upgrade, a request): now if it may be done now, else when its turn comes. `task` must not throw. */
  once(account: string, task: () => void): void {
    if (this.mayGo()) return task();
    let tasks = this.#tasks.get(account);
    if (tasks === undefined) {
      tasks = new Tasks(account, () => this.#tasks.delete(account));
      this.#tasks.set(account, tasks);
    }
    tasks.add(task);
    this.wait(tasks);
  }

  /** `taker` has work; it is asked for it in turn until it has none. */
  wait(taker: Taker): void {
    let account = this.#accounts.get(taker.account);
    if (account === undefined) {
      if (this.#accounts.size > MAX_IDLE) this.#forgetIdle();
      account = { spent: 0, level: 0, waiting: new Set() };
      this.#accounts.set(taker.account, account);
    }
    if (account.waiting.size === 0) {
      account.spent = Math.max(account.spent, this.#level - CREDIT_MS);
      this.#active.add(account);
    }
    taker.spent = Math.max(taker.spent, account.level - CREDIT_MS);
    account.waiting.add(taker);
    this.#schedule();
  }

  leave(taker: Taker): void {
    const account = this.#accounts.get(taker.account);
    if (account?.waiting.delete(taker) && account.waiting.size === 0) this.#active.delete(account);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#until = undefined;
      if (this.#active.size > 0) this.#turn();
    });
  }

  #turn(): void {
    let now = this.#now();
    const until = now + TURN_MS;
    this.#until = until;
    while (this.#active.size > 0 && now < until) {
      const account = least(this.#active);
      const taker = least(account.waiting);
      this.#level = Math.max(this.#level, account.spent);
      account.level = Math.max(account.level, taker.spent);
      const began = now;
      const hasMore = taker.takeOne();
      now = this.#now();
      account.spent += now - began;
      taker.spent += now - began;
      if (hasMore) continue;
      account.waiting.delete(taker);
      if (account.waiting.size === 0) this.#active.delete(account);
    }
    this.#schedule();
  }

  #forgetIdle(): void {
    for (const [key, account] of this.#accounts) if (account.waiting.size === 0) this.#accounts.delete(key);
  }
}

/** Pieces of one account that came by themselves: in order of coming, and one taker however many they are. */
class Tasks implements Taker {
  readonly account: string;
  spent = 0;
  readonly #onEmpty: () => void;
  #tasks: (() => void)[] = [];
  #next = 0;

  constructor(account: string, onEmpty: () => void) {
    this.account = account;
    this.#onEmpty = onEmpty;
  }

  add(task: () => void): void {
    this.#tasks.push(task);
  }

  takeOne(): boolean {
    const task = this.#tasks[this.#next++];
    const hasMore = this.#next < this.#tasks.length;
    if (!hasMore) this.#onEmpty();
    else if (this.#next >= 1_024) {
      // What is done is let go of, and not with each one.
      this.#tasks = this.#tasks.slice(this.#next);
      this.#next = 0;
    }
    task?.();
    return hasMore;
  }
}

/** The one that has had least; of equals the one that has waited longest. Not empty. */
function least<T extends { readonly spent: number }>(all: Iterable<T>): T {
  let found: T | undefined;
  for (const each of all) if (found === undefined || each.spent < found.spent) found = each;
  return found as T;
}
