import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, statSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const PREFIX = 'openclaw-';
/** Days of logs that stay. */
const KEEP_DAYS = 14;
/** One day's file grows no further than this (bytes); what comes after is counted and said once a day. */
const MAX_FILE = 64 * 1024 * 1024;

const dayOf = (now: number): string => {
  const date = new Date(now);
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
};

/** The log on disk: one file a day, 0600, bounded in size and number. Lines are written as they come, so that a crash keeps the last one. */
export class LogFile {
  readonly #dir: string;
  readonly #now: () => number;
  #day = '';
  #fd: number | undefined;
  #size = 0;
  #full = false;

  constructor(dir: string, now: () => number) {
    this.#dir = dir;
    this.#now = now;
  }

  /** Today's file. */
  get path(): string {
    return join(this.#dir, `${PREFIX}${dayOf(this.#now())}.log`);
  }

  /** `line` ends with a newline. Never throws: a full disk must not stop the gateway. */
  write(line: string): void {
    try {
      const day = dayOf(this.#now());
      if (day !== this.#day) this.#open(day);
      if (this.#fd === undefined) return;
      if (this.#size > MAX_FILE) {
        if (this.#full) return;
        this.#full = true;
        writeSync(this.#fd, '{"level":"warn","msg":"today\'s log is full; the rest of the day is not written"}\n');
        return;
      }
      this.#size += writeSync(this.#fd, line);
    } catch {
      // Nowhere to say it.
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#day = '';
  }

  #open(day: string): void {
    this.close();
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    this.#fd = openSync(this.path, 'a', 0o600);
    this.#size = fstatSync(this.#fd).size;
    this.#full = false;
    this.#day = day;
    const files = readdirSync(this.#dir).filter((name) => name.startsWith(PREFIX) && name.endsWith('.log'));
    for (const name of files.sort().slice(0, -KEEP_DAYS)) unlinkSync(join(this.#dir, name));
  }
}

export interface LogPage {
  readonly file: string;
  readonly cursor: number;
  readonly size: number;
  readonly lines: readonly string[];
  /** The page starts later than asked for: `maxBytes` or `limit` cut it. */
  readonly truncated: boolean;
  /** The cursor was beyond the file (a new day, a rotated file): the page starts anew. */
  readonly reset: boolean;
}

/** The newest lines of `file` from byte `cursor` on, at most `limit` of them and `maxBytes` bytes. Only whole lines. */
export function tailLog(file: string, query: { cursor?: number; limit: number; maxBytes: number }): LogPage {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  const reset = query.cursor !== undefined && query.cursor > size;
  const from = reset || query.cursor === undefined ? 0 : query.cursor;
  const start = Math.max(from, size - query.maxBytes);
  if (size === start) return { file, cursor: size, size, lines: [], truncated: false, reset };
  const buffer = Buffer.alloc(size - start);
  const fd = openSync(file, 'r');
  let read = 0;
  try {
    read = readSync(fd, buffer, 0, buffer.length, start);
  } finally {
    closeSync(fd);
  }
  const text = buffer.toString('utf8', 0, read);
  const end = text.lastIndexOf('\n');
  const all = end === -1 ? [] : text.slice(0, end).split('\n');
  // A page that starts inside a line leaves that line out.
  if (start > from) all.shift();
  const lines = all.slice(-query.limit);
  const consumed = end === -1 ? 0 : Buffer.byteLength(text.slice(0, end + 1));
  return { file, cursor: start + consumed, size, lines, truncated: start > from || lines.length < all.length, reset };
}
