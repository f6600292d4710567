import { crypto } from '../builtins.ts';
import type { EventLog, LogEntry, ToldEntry, TopicHead } from '../event-log.ts';
import type { Database, Tx } from './database.ts';

/**
 * Schema step of the log. A topic is a session or `gateway`. `head` is the last `seq` given out, kept apart from the
 * rows so that no number ever comes back; AUTOINCREMENT promises the same of the row id, which orders the whole log.
 */
export const EVENT_LOG_STEP = `
  CREATE TABLE topics (
    id INTEGER PRIMARY KEY,
    topic TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    head INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE events (
    row_id INTEGER PRIMARY KEY AUTOINCREMENT,
    topic_id INTEGER NOT NULL REFERENCES topics (id),
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    at INTEGER NOT NULL,
    payload TEXT NOT NULL,
    UNIQUE (topic_id, seq)
  ) STRICT;
`;

const newEpoch = (): string => crypto().randomBytes(9).toString('base64url');

export function eventLog(db: Database): EventLog<Tx> {
  const listeners = new Set<(entry: ToldEntry) => void>();
  return {
    append(tx, topic, kind, payload, at) {
      const { id, epoch, head } = (tx.prepare('UPDATE topics SET head = head + 1 WHERE topic = ? RETURNING id, epoch, head').get(topic) ??
        tx.prepare('INSERT INTO topics (topic, epoch, head) VALUES (?, ?, 1) RETURNING id, epoch, head').get(topic, newEpoch())) as {
        id: number;
        epoch: string;
        head: number;
      };
      const { lastInsertRowid } = tx
        .prepare('INSERT INTO events (topic_id, seq, kind, at, payload) VALUES (?, ?, ?, ?, ?)')
        .run(id, head, kind, at, payload);
      const rowId = Number(lastInsertRowid);
      if (listeners.size > 0) {
        const entry = { topic, epoch, rowId, seq: head, kind, at, payload };
        tx.afterCommit(() => {
          for (const listener of listeners) listener(entry);
        });
      }
      return { rowId, epoch, seq: head };
    },
    read(topic, afterSeq, limit) {
      return db
        .prepare(
          `SELECT row_id AS rowId, seq, kind, at, payload FROM events
           WHERE topic_id = (SELECT id FROM topics WHERE topic = ?) AND seq > ? ORDER BY seq LIMIT ?`,
        )
        .all(topic, afterSeq, limit) as unknown as LogEntry[];
    },
    head(topic) {
      return db
        .prepare(
          `SELECT epoch, head AS seq, coalesce((SELECT min(seq) FROM events WHERE topic_id = topics.id), head + 1) AS first
           FROM topics WHERE topic = ?`,
        )
        .get(topic) as TopicHead | undefined;
    },
    tail(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    trim(tx, { before, keep, limit }) {
      // The newest row's id bounds the number of rows, and the log's own order is that of time: the first rows are all that is looked at.
      const { last } = tx.prepare('SELECT coalesce(max(row_id), 0) AS last FROM events').get() as { last: number };
      const oldest = tx.prepare('SELECT row_id AS rowId, at FROM events ORDER BY row_id LIMIT ?').all(limit) as {
        rowId: number;
        at: number;
      }[];
      const kept = oldest.findIndex(({ rowId, at }) => at >= before && rowId > last - keep);
      const gone = oldest[(kept === -1 ? oldest.length : kept) - 1];
      if (gone === undefined) return 0;
      return Number(tx.prepare('DELETE FROM events WHERE row_id <= ?').run(gone.rowId).changes);
    },
    renewEpochs(tx) {
      const set = tx.prepare('UPDATE topics SET epoch = ? WHERE id = ?');
      for (const row of tx.prepare('SELECT id FROM topics').all()) set.run(newEpoch(), Number(row['id']));
    },
  };
}
