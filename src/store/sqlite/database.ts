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
  /**
   * Runs `task` when the disk has the transaction, before the promise of the write resolves: for what is told of it. Tasks run in the order in
   * which they were named, over all writes of the transaction, and are forgotten with a write that is undone. Must not throw.
   */
  afterCommit(task: () => void): void;
}
