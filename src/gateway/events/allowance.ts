/** Texts that are told again and again as they grow may cost this much at once (UTF-16 units)… */
export const FREE_CHARS = 512 * 1024;
/** …this much more for each unit that the text grows by… */
const CHARS_PER_CHAR = 3;
/** …and this much more for each second that it goes on. */
export const CHARS_PER_SECOND = 64 * 1024;

/**
 * How much of one run's growing text one client may still be sent. Existing clients expect the whole text in every frame; told at a
 * fixed pace that grows with the square of the text. So frames become rarer as the text grows: what all of them cost together stays in
 * proportion to the text and to the time it takes, and each frame still holds the whole.
 */
export class Allowance {
  #left = FREE_CHARS;
  #at: number | undefined;

  /** The text grew by `chars`. */
  grow(chars: number, ts: number): void {
    // A clock that jumps gives and takes at most a second.
    const seconds = this.#at === undefined ? 0 : Math.min(1, Math.max(0, (ts - this.#at) / 1000));
    this.#at = ts;
    // Time that passed in silence is not saved up.
    if (this.#left < FREE_CHARS) this.#left = Math.min(FREE_CHARS, this.#left + seconds * CHARS_PER_SECOND);
    this.#left += chars * CHARS_PER_CHAR;
  }

  /** Whether `chars` may be sent now; then they count as sent. */
  take(chars: number): boolean {
    if (chars > this.#left) return false;
    this.#left -= chars;
    return true;
  }
}
