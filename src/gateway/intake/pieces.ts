/** What one turn of the event loop spends on what is large, over all connections, ms. */
const TURN_MS = 4;
/** Connections that go on in one turn. */
const TURN_SOURCES = 48;
/** A piece up to here is taken in whatever the others send. */
export const SMALL_PIECE = 2 * 1024;

/** What can be held back for a moment; it is called when its turn has come. */
export interface Source {
  goOn(): void;
}

/**
 * Lets in by turns what comes in large pieces. The system hands over up to 2 MiB of each sender at a time, and of all of them in the same turn of the
 * event loop; a piece of 64 KiB may hold ten thousand pings. Sixty who send as fast as they can would keep everybody else waiting.
 */
export class Pieces {
  readonly #waiting = new Set<Source>();
  #began: number | undefined;

  /** Whether this turn of the event loop has time left for large pieces. */
  hasTime(): boolean {
    const now = performance.now();
    if (this.#began !== undefined) return now - this.#began < TURN_MS;
    this.#began = now;
    setImmediate(() => this.#next());
    return true;
  }

  /** `source` goes on when its turn comes. */
  later(source: Source): void {
    this.#waiting.add(source);
    this.hasTime();
  }

  /** It is over. */
  forget(source: Source): void {
    this.#waiting.delete(source);
  }

  #next(): void {
    this.#began = undefined;
    if (this.#waiting.size === 0) return;
    let left = TURN_SOURCES;
    // Whoever is not done comes again behind the others.
    for (const source of this.#waiting) {
      if (!this.hasTime() || left-- === 0) return;
      this.#waiting.delete(source);
      source.goOn();
    }
  }
}
