/** Work of one turn of the event loop, ms. Whoever else waits is looked at between two turns. */
const TURN_MS = 8;

/**
 * Takes work that comes in crowds (a thousand upgrades, a thousand `connect`) in turns: at once as long as this turn of the event loop has time left,
 * then by the next ones, one task of each key after the other, so that a crowd of one address keeps nobody else waiting.
 */
export class Turns {
  readonly #waiting = new Map<string, (() => void)[]>();
  /** Time that this turn has used, ms. */
  #used = 0;
  #isScheduled = false;

  /** `task` must not throw. */
  take(key: string, task: () => void): void {
    if (this.#waiting.size === 0 && this.#used < TURN_MS) this.#run(task);
    else {
      const queue = this.#waiting.get(key);
      if (queue === undefined) this.#waiting.set(key, [task]);
      else queue.push(task);
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#next());
  }

  #run(task: () => void): void {
    const began = performance.now();
    task();
    this.#used += performance.now() - began;
  }

  #next(): void {
    this.#isScheduled = false;
    this.#used = 0;
    while (this.#used < TURN_MS) {
      const first = this.#waiting.entries().next().value;
      if (first === undefined) return;
      const [key, queue] = first;
      // Behind the others, if it has more.
      this.#waiting.delete(key);
      const task = queue.shift();
      if (queue.length > 0) this.#waiting.set(key, queue);
      if (task !== undefined) this.#run(task);
    }
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#next());
  }
}
