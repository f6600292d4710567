import type { Clock } from '../../lib/clock.ts';
import type { Database, Tx } from './database.ts';

/** Schema step. */
export const IDEMPOTENCY_STEP = `
  CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    method TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    result TEXT NOT NULL,
    PRIMARY KEY (principal, method, key)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX idempotency_age ON idempotency (at);
`;

export interface IdempotencyLimits {
  /** How long a result is kept, ms. */
  readonly keepMs: number;
  /** How many are kept in all; the oldest go first. */
  readonly keys: number;
}

/** Results of writes by principal × method × key, so that a repeat after a lost answer does nothing twice. Survives a restart. */
export interface Idempotency {
  /** The result (JSON text) of an earlier call with the same three, not older than `keepMs`. */
  find(principal: string, method: string, key: string): string | undefined;
  /** Keeps a result, in the same write as the effect it answers for. A result that is there already stays. */
  remember(tx: Tx, principal: string, method: string, key: string, result: string): void;
}

export function idempotency(db: Database, clock: Clock, limits: IdempotencyLimits): Idempotency {
  return {
    find(principal, method, key) {
      const row = db
        .prepare('SELECT result FROM idempotency WHERE principal = ? AND method = ? AND key = ? AND at > ?')
        .get(principal, method, key, clock.now() - limits.keepMs);
      return row === undefined ? undefined : String(row['result']);
    },
    remember(tx, principal, method, key, result) {
      const now = clock.now();
      // A clock that was set back must not keep rows for ever: what lies in the future goes too.
      tx.prepare('DELETE FROM idempotency WHERE at <= ?1 - ?2 OR at > ?1').run(now, limits.keepMs);
      tx.prepare('INSERT OR IGNORE INTO idempotency (principal, method, key, at, result) VALUES (?, ?, ?, ?, ?)').run(
        principal,
        method,
        key,
        now,
        result,
      );
      const over = Number(tx.prepare('SELECT count(*) AS n FROM idempotency').get()?.['n']) - limits.keys;
      if (over > 0) {
        tx.prepare(
          `DELETE FROM idempotency WHERE (principal, method, key) IN
             (SELECT principal, method, key FROM idempotency ORDER BY at, principal, method, key LIMIT ?)`,
        ).run(over);
      }
    },
  };
}
