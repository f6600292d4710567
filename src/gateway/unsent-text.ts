import { FastBuffer } from './pile.ts';

const SLAB_BYTES = 128 * 1024;

interface Slab {
  readonly memory: ArrayBuffer;
  /** Of all bytes that were ever made here, the one behind its last. */
  end: number;
}

/**
 * Texts as bytes that wait for a slow reader, in memory that goes back to the system as soon as the reader has taken them: as texts they would wait
 * twice, on the heap and encoded beside it, and both would stay resident when the reader has long gone.
 */
export class UnsentText {
  #slabs: Slab[] = [];
  #used = 0;
  /** All that was ever made. */
  #made = 0;

  bytes(text: string): Buffer {
    const length = Buffer.byteLength(text);
    let slab = this.#slabs.at(-1);
    if (slab === undefined || slab.memory.byteLength - this.#used < length) {
      const size = Math.max(SLAB_BYTES, length);
      slab = { memory: new ArrayBuffer(size, { maxByteLength: size }), end: this.#made };
      this.#slabs.push(slab);
      this.#used = 0;
    }
    const bytes = new FastBuffer(slab.memory, this.#used, length);
    bytes.write(text);
    this.#used += length;
    this.#made += length;
    slab.end = this.#made;
    return bytes;
  }

  /** The reader has all but the last `unsent` bytes (frame heads may be among them); 0 also when it is gone. */
  taken(unsent: number): void {
    while (this.#slabs[0] !== undefined && this.#slabs[0].end <= this.#made - unsent) this.#slabs.shift()?.memory.resize(0);
  }
}
