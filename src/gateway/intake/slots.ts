/**
 * So many at once, and of one principal fewer: the rest waits, principals in turn, each in order. For work that is large
 * (a frame of megabytes) or long (a page of a transcript), whose costs would add up.
 */
export class Slots {
  readonly #inAll: number;
  readonly #each: number;
  readonly #busy = new Map<string, number>();
  /** Principals that wait, in the order of their turns. */
  readonly #waiting = new Map<string, (() => void)[]>();
  #taken = 0;

  constructor(limits: { readonly inAll: number; readonly each: number }) {
    this.#inAll = limits.inAll;
    this.#each = limits.each;
  }

  /** A slot for `principal`, now or when one is free. Call what it gives once, when the work is over. */
  take(principal: string): (() => void) | Promise<() => void> {
    if (this.#isFree(principal)) return this.#begin(principal);
    return new Promise((resolve) => {
      const queue = this.#waiting.get(principal) ?? [];
      queue.push(() => resolve(this.#begin(principal)));
      this.#waiting.set(principal, queue);
    });
  }

  #isFree(principal: string): boolean {
    return this.#taken < this.#inAll && (this.#busy.get(principal) ?? 0) < this.#each;
  }

  #begin(principal: string): () => void {
    this.#taken++;
    this.#busy.set(principal, (this.#busy.get(principal) ?? 0) + 1);
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      this.#taken--;
      const left = (this.#busy.get(principal) ?? 1) - 1;
      if (left > 0) this.#busy.set(principal, left);
      else this.#busy.delete(principal);
      this.#next();
    };
  }

  #next(): void {
    for (const [principal, queue] of this.#waiting) {
      if (!this.#isFree(principal)) continue;
      const begin = queue.shift();
      this.#waiting.delete(principal);
      // To the end of the row: the others come first.
      if (queue.length > 0) this.#waiting.set(principal, queue);
      begin?.();
      return;
    }
  }
}
