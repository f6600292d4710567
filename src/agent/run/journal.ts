import type { Cancel, Clock } from '../../lib/clock.ts';

/** Text of a stream that is not on disk yet waits at most this long (ms); with the write itself it stays under 250. */
export const FLUSH_MS = 100;
/** … or at most this much of it (UTF-16 units). */
const FLUSH_CHARS = 64 * 1024;

/** Keeps the partial text of one step durable while it streams. Never throws: a failed write is tried again with the next. */
export interface Journal {
  add(text: string): void;
  /** What was added belongs to something that is written elsewhere, or was thrown away. */
  forget(): void;
  /** Resolves when all that was added is durable, or could not be made so. */
  flush(): Promise<void>;
}

export function createJournal(append: (text: string) => Promise<void>, clock: Clock, onError: (thrown: unknown) => void): Journal {
  let pending = '';
  let timer: Cancel | undefined;
  let writing: Promise<void> = Promise.resolve();
  let generation = 0;

  const write = (): Promise<void> => {
    timer?.();
    timer = undefined;
    const text = pending;
    if (text === '') return writing;
    pending = '';
    const mine = generation;
    writing = append(text).catch((thrown: unknown) => {
      // Kept for the next try, unless the text has been given up meanwhile.
      if (mine === generation) pending = text + pending;
      onError(thrown);
    });
    return writing;
  };
  return {
    add(text) {
      pending += text;
      if (pending.length >= FLUSH_CHARS) void write();
      else timer ??= clock.after(FLUSH_MS, () => void write());
    },
    forget() {
      generation++;
      pending = '';
      timer?.();
      timer = undefined;
    },
    flush: write,
  };
}
