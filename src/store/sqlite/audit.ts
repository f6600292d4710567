import type { AuditEntry, AuditSink } from '../../auth/ports.ts';
import type { Database } from './database.ts';

export const AUDIT_SCHEMA = `
CREATE TABLE IF NOT EXISTS audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  event TEXT NOT NULL,
  count INTEGER NOT NULL,
  entry TEXT NOT NULL
) STRICT;
`;

/** Lines kept; the oldest go. At the pace of a flood (a few lines a minute) this is months. */
export const MAX_AUDIT_LINES = 200_000;

export interface AuditLog extends AuditSink {
  /** The latest lines, newest first. */
  latest(limit: number): readonly AuditEntry[];
}

/** Append-only: there is no way to change a line, only age removes one. */
export function sqliteAudit(db: Database, maxLines: number = MAX_AUDIT_LINES): AuditLog {
  return {
    async append(entries) {
      await db.write((tx) => {
        const insert = tx.prepare('INSERT INTO audit (at, event, count, entry) VALUES (?, ?, ?, ?)');
        let last = 0;
        for (const entry of entries) last = Number(insert.run(entry.atMs, entry.event, entry.count, JSON.stringify(entry)).lastInsertRowid);
        tx.prepare('DELETE FROM audit WHERE id <= ?').run(last - maxLines);
      });
    },
    latest: (limit) =>
      db
        .prepare('SELECT entry FROM audit ORDER BY id DESC LIMIT ?')
        .all(limit)
        .map((row) => JSON.parse(String(row['entry'])) as AuditEntry),
  };
}
