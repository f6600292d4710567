import type { StatementSync } from 'node:sqlite';

/**
 * The one writer of the state dir. Reads are synchronous and see what is committed; writes go through `write`, which
 * joins every write of the same tick into one transaction (group commit) and resolves when the disk has it.
 */
export interface Database {
  /** A prepared statement for reading, cached by its text. */
  prepare(sql: string): StatementSync;
  /**
   * Runs `work` inside the next transaction and resolves with its result **after** the commit is durable
   * (`synchronous=FULL`). `work` is synchronous and writes only through `tx`. When it throws, only its own changes are
   * undone (savepoint) and the promise rejects with what it threw; when the commit fails, all of that batch reject.
   */
  write<T>(work: (tx: Tx) => T): Promise<T>;
  /** Commits what is queued, checkpoints, closes. */
  close(): Promise<void>;
}

/** What a write may use. Valid only during `work`. */
export interface Tx {
  prepare(sql: string): StatementSync;
}
