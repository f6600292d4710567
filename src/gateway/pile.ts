const SLAB_BYTES = 1024 * 1024;
/** A view of memory of ours as a Buffer: `Buffer.from` checks much more. */
export const FastBuffer = (
  Buffer as unknown as { readonly [Symbol.species]: new (memory: ArrayBuffer, from: number, length: number) => Buffer }
)[Symbol.species];

/**
 * Bytes that pile up until a message is whole, in memory that goes back to the system at once when the pile is dropped, without the collector. The
 * pieces as the socket hands them out lie in the heap of the C library, which gives nothing back from its middle: a crowd that sends halves of
 * messages and leaves would be paid for until the next restart.
 */
export class Pile {
  #slabs: ArrayBuffer[] = [];
  #used = SLAB_BYTES;

  /** Moves the piece in (nobody may read it afterwards); `views` of what is there are kept up to date: a piece that continues the last view makes that one longer. */
  add(piece: Uint8Array, views: Buffer[]): void {
    for (let from = 0; from < piece.length; ) {
      if (this.#used === SLAB_BYTES) {
        // Resizable ones are pages of their own, and resident only as far as they were written to.
        this.#slabs.push(new ArrayBuffer(SLAB_BYTES, { maxByteLength: SLAB_BYTES }));
        this.#used = 0;
      }
      const slab = this.#slabs.at(-1) as ArrayBuffer;
      const length = Math.min(SLAB_BYTES - this.#used, piece.length - from);
      new Uint8Array(slab, this.#used, length).set(piece.subarray(from, from + length));
      const last = views.at(-1);
      const continues = last !== undefined && last.buffer === slab && last.byteOffset + last.length === this.#used;
      if (continues) views[views.length - 1] = new FastBuffer(slab, last.byteOffset, last.length + length);
      else views.push(new FastBuffer(slab, this.#used, length));
      this.#used += length;
      from += length;
    }
    release(piece);
  }

  /** Whether these bytes lie in a pile already. */
  static holds(bytes: Uint8Array): boolean {
    return (bytes.buffer as ArrayBuffer).resizable;
  }

  /** Gives the memory back. Views of it are empty from now on: only for what nobody will read any more. */
  drop(): void {
    for (const slab of this.#slabs) slab.resize(0);
    this.#slabs = [];
    this.#used = SLAB_BYTES;
  }
}

/** Frees a piece that is all of its memory, as sockets hand them out, without waiting for the collector. Nobody may read it afterwards. */
export function release(piece: Uint8Array): void {
  const memory = piece.buffer as ArrayBuffer;
  if (memory.byteLength === piece.length && !memory.resizable && piece.length > 8 * 1024) memory.transfer(0);
}
