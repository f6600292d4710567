import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { Cancel, Clock } from '../../lib/clock.ts';
import { UserError } from '../../lib/errors.ts';
import type { Tx } from './database.ts';
import { storeProblem } from './problem.ts';

/** At most this many writes share one commit, and at most this long (ms) is spent on them: the loop has others to serve. */
export const MAX_BATCH = 512;
export const MAX_BATCH_MS = 8;
/** Writes that may wait. Far more than a loop can produce in one turn; beyond it something runs away. */
export const MAX_QUEUED = 20_000;
/** How often a failed database is tried again, ms. */
export const RETRY_MS = 1000;

/**
 * What a failed database must be able to take before it counts as well again, bytes. One row fits into space that the log
 * has already; with a disk that is still full the state would change to and fro.
 */
export const RECOVERY_BYTES = 256 * 1024;

/** `read-only`: reads work, writes are refused with `problem` until a try, once a second, succeeds. */
export type StoreHealth = { readonly state: 'ok' } | { readonly state: 'read-only'; readonly problem: UserError; readonly since: number };

interface Waiting {
  work(tx: Tx): unknown;
  resolve(value: unknown): void;
  reject(reason: unknown): void;
}

type Outcome =
  | { readonly ok: true; readonly value: unknown; readonly after: readonly (() => void)[] }
  | { readonly ok: false; readonly thrown: unknown };

const NOTHING: readonly (() => void)[] = [];

/** What one `work` sees; dead once it has returned, so that nothing can be written outside a transaction. */
class LiveTx implements Tx {
  #prepare: ((sql: string) => StatementSync) | undefined;
  #after: (() => void)[] | undefined;
  constructor(prepare: (sql: string) => StatementSync) {
    this.#prepare = prepare;
  }
  get after(): readonly (() => void)[] {
    return this.#after ?? NOTHING;
  }
  afterCommit(task: () => void): void {
    if (this.#prepare === undefined) throw new Error('a Tx was used after its work had returned');
    this.#after ??= [];
    this.#after.push(task);
  }
  prepare(sql: string): StatementSync {
    if (this.#prepare === undefined) throw new Error('a Tx was used after its work had returned');
    return this.#prepare(sql);
  }
  end(): void {
    this.#prepare = undefined;
  }
}

/**
 * Group commit. Writes queue; at the end of the loop's turn all that came in during it run in one transaction, each
 * in a savepoint of its own, and their promises resolve when COMMIT (which syncs the log) has returned. While the disk
 * syncs, sockets fill, and their writes become the next batch: the slower the disk, the larger the groups. What is told of a
 * write is told then, in the order of the writes, before any of those promises has resolved (`Tx.afterCommit`).
 *
 * Outside of a batch the connection is `query_only`: a write that went around this class throws.
 */
export class GroupWriter {
  readonly #db: DatabaseSync;
  readonly #prepare: (sql: string) => StatementSync;
  readonly #clock: Clock;
  readonly #file: string;
  #queue: Waiting[] = [];
  #scheduled = false;
  #closed = false;
  #health: StoreHealth = { state: 'ok' };
  #stopRetrying: Cancel | undefined;
  readonly #listeners = new Set<(health: StoreHealth) => void>();

  constructor(db: DatabaseSync, prepare: (sql: string) => StatementSync, clock: Clock, file: string) {
    this.#db = db;
    this.#prepare = prepare;
    this.#clock = clock;
    this.#file = file;
    db.exec('PRAGMA query_only = ON');
  }

  health(): StoreHealth {
    return this.#health;
  }

  onHealth(listener: (health: StoreHealth) => void): Cancel {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  write<T>(work: (tx: Tx) => T): Promise<T> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    return this.#enqueue(work);
  }

  /** One durable write even while `read-only`, then of some size; success ends that state. Resolves with the ms it took. */
  async probe(): Promise<number> {
    if (this.#closed) throw closedError(this.#file);
    const began = this.#clock.monotonic();
    const size = this.#health.state === 'read-only' ? RECOVERY_BYTES : 0;
    await this.#enqueue((tx) =>
      tx
        .prepare(
          `INSERT INTO store_meta (key, value) VALUES ('probe', iif(?2 > 0, zeroblob(?2), ?1))
           ON CONFLICT (key) DO UPDATE SET value = excluded.value`,
        )
        .run(this.#clock.now(), size),
    );
    return this.#clock.monotonic() - began;
  }

  /** Commits what is queued and takes no more. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopRetrying?.();
    while (this.#queue.length > 0) this.#flush();
  }

  #refusal(): UserError | undefined {
    if (this.#closed) return closedError(this.#file);
    if (this.#health.state === 'read-only') return this.#health.problem;
    if (this.#queue.length >= MAX_QUEUED) {
      return new UserError('STORE_OVERLOADED', `${MAX_QUEUED} writes are waiting for the disk; this one was not taken.`, {
        fix: 'Try again in a moment.',
      });
    }
    return undefined;
  }

  #enqueue<T>(work: (tx: Tx) => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#queue.push({ work, resolve: resolve as (value: unknown) => void, reject });
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After this turn's I/O callbacks, so that the messages of all sockets that were readable share one sync.
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
      if (this.#queue.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    if (this.#queue.length === 0) return;
    const outcomes: Outcome[] = [];
    let taken = 0;
    let failure: { readonly reason: unknown } | undefined;
    try {
      this.#db.exec('PRAGMA query_only = OFF');
      this.#prepare('BEGIN IMMEDIATE').run();
      const deadline = this.#clock.monotonic() + MAX_BATCH_MS;
      for (const waiting of this.#queue) {
        if (taken === MAX_BATCH || (taken > 0 && this.#clock.monotonic() > deadline)) break;
        taken++;
        outcomes.push(this.#runOne(waiting));
      }
      this.#prepare('COMMIT').run();
      this.#recovered();
    } catch (thrown) {
      this.#rollBack();
      const problem = storeProblem(thrown, this.#file);
      // BUSY is somebody else's lock and passes; the rest says that this disk takes nothing now.
      const refusing = problem !== undefined && problem.code !== 'STORE_BUSY';
      if (refusing) this.#failed(problem);
      // All that wait hear it: they would be refused were they to come now (or, where BEGIN failed, wait for ever).
      if (refusing || taken === 0) taken = this.#queue.length;
      failure = { reason: problem ?? thrown };
    } finally {
      this.#db.exec('PRAGMA query_only = ON');
    }
    const batch = this.#queue.slice(0, taken);
    this.#queue = this.#queue.slice(taken);
    if (failure === undefined) for (const outcome of outcomes) if (outcome.ok) for (const task of outcome.after) told(task);
    for (const [index, waiting] of batch.entries()) {
      const outcome = outcomes[index];
      if (outcome !== undefined && !outcome.ok) waiting.reject(outcome.thrown);
      else if (failure !== undefined || outcome === undefined) waiting.reject(failure?.reason);
      else waiting.resolve(outcome.value);
    }
  }

  #runOne(waiting: Waiting): Outcome {
    this.#prepare('SAVEPOINT one').run();
    const tx = new LiveTx(this.#prepare);
    try {
      const value = waiting.work(tx);
      if (value instanceof Promise) throw new Error('the work of a write is synchronous: a Promise would outlive the transaction');
      this.#prepare('RELEASE one').run();
      return { ok: true, value, after: tx.after };
    } catch (thrown) {
      // A disk that fails ends the whole batch (SQLite may have rolled back by itself); a bug or a constraint only its own work.
      if (!this.#db.isTransaction || storeProblem(thrown, this.#file) !== undefined) throw thrown;
      this.#prepare('ROLLBACK TO one').run();
      this.#prepare('RELEASE one').run();
      return { ok: false, thrown };
    } finally {
      tx.end();
    }
  }

  #rollBack(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
    } catch {
      // The transaction is gone either way; what matters is the first error.
    }
  }

  #failed(problem: UserError): void {
    if (this.#health.state === 'read-only') {
      this.#health = { ...this.#health, problem };
      return;
    }
    this.#change({ state: 'read-only', problem, since: this.#clock.now() });
    this.#stopRetrying = this.#clock.every(RETRY_MS, () => {
      if (this.#queue.length === 0) this.probe().catch(() => {});
    });
  }

  #recovered(): void {
    if (this.#health.state === 'ok') return;
    this.#stopRetrying?.();
    this.#change({ state: 'ok' });
  }

  #change(health: StoreHealth): void {
    this.#health = health;
    for (const listener of this.#listeners) listener(health);
  }
}

/** A task that throws is a bug: it must not keep the others, and those who wait for their write, from hearing of it. */
function told(task: () => void): void {
  try {
    task();
  } catch (thrown) {
    setImmediate(() => {
      throw thrown;
    });
  }
}

const closedError = (file: string): UserError => new UserError('STORE_CLOSED', `${file} is closed: the gateway is shutting down.`);
