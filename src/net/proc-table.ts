import { close, open, read } from 'node:fs';

/** The kernel hands out one page a read. */
const PAGE_BYTES = 16 * 1024;

/**
 * One of the kernel's tables, read again and again: its file stays open, and pages come by callbacks, which cost a third of promises. Nothing of it
 * blocks the event loop. One `read` at a time.
 */
export class ProcTable {
  readonly #path: string;
  readonly #page = Buffer.allocUnsafe(PAGE_BYTES);
  #fd: number | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Every line as it stands now, until `onRow` says false. No table, or not for us: no lines. */
  read(onRow: (row: string) => boolean): Promise<void> {
    return new Promise((done) => {
      const fail = (): void => {
        if (this.#fd !== undefined) close(this.#fd, () => {});
        this.#fd = undefined;
        done();
      };
      if (this.#fd !== undefined) return this.#pages(this.#fd, 0, '', onRow, done, fail);
      open(this.#path, (error, fd) => {
        if (error) return done();
        this.#fd = fd;
        this.#pages(fd, 0, '', onRow, done, fail);
      });
    });
  }

  #pages(fd: number, position: number, cut: string, onRow: (row: string) => boolean, done: () => void, fail: () => void): void {
    read(fd, this.#page, 0, PAGE_BYTES, position, (error, bytes) => {
      if (error) return fail();
      if (bytes === 0) {
        if (cut !== '') onRow(cut);
        return done();
      }
      const text = cut + this.#page.toString('latin1', 0, bytes);
      let from = 0;
      for (let end = text.indexOf('\n'); end !== -1; end = text.indexOf('\n', from)) {
        if (!onRow(text.slice(from, end))) return done();
        from = end + 1;
      }
      this.#pages(fd, position + bytes, text.slice(from), onRow, done, fail);
    });
  }
}
