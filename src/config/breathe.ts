/** Work on a config gives the loop away when it has held it for as long, ms. */
const SLICE_MS = 8;

/**
 * Cuts long work into slices: `if (pause.due()) await pause.now()` between its steps. What is done within one slice costs no turn
 * of the event loop, so that reading an ordinary config is as fast as it ever was.
 */
export class Pauses {
  #since = performance.now();
  #asked = 0;

  /** Cheap enough to be asked at every step: the clock is read at every 64th. */
  due(): boolean {
    return (this.#asked++ & 63) === 0 && performance.now() - this.#since > SLICE_MS;
  }

  /** Others have their turn. */
  async now(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }

  /** Between two steps that cannot be cut. */
  async here(): Promise<void> {
    if (performance.now() - this.#since > SLICE_MS) await this.now();
  }
}
