import { crypto } from '../builtins.ts';
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

/** Where an event stands: `rowId` in the whole log, `seq` (dense from 1) in its topic, `epoch` of that topic. */
export interface LogPosition {
  readonly rowId: number;
  readonly epoch: string;
  readonly seq: number;
}
export interface LogEntry {
  readonly rowId: number;
  readonly seq: number;
  readonly kind: string;
  /** Wall clock, ms. */
  readonly at: number;
  /** JSON text, byte for byte as it was appended: a broadcast splices it, a reader parses it. */
  readonly payload: string;
}
export interface TopicHead {
  readonly epoch: string;
  readonly seq: number;
}

/** The append-only log. Ports of other rooms name the part of it they need. */
export interface EventLog {
  /** Appends inside a write; durable, and its number final, when that write resolves. `payload` is JSON text. */
  append(tx: Tx, topic: string, kind: string, payload: string, at: number): LogPosition;
  /** Events after `afterSeq`, oldest first, at most `limit`. Cost: what is returned, however long the topic is. */
  read(topic: string, afterSeq: number, limit: number): readonly LogEntry[];
  /** The topic's epoch and last number; undefined before its first event. */
  head(topic: string): TopicHead | undefined;
  /**
   * Gives every topic a new epoch. For after a restore: numbers that clients saw before may now stand for other events,
   * so that a cursor of the old epoch must not be resumed.
   */
  renewEpochs(tx: Tx): void;
}

const newEpoch = (): string => crypto().randomBytes(9).toString('base64url');

export function eventLog(db: Database): EventLog {
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
      return { rowId: Number(lastInsertRowid), epoch, seq: head };
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
      return db.prepare('SELECT epoch, head AS seq FROM topics WHERE topic = ?').get(topic) as TopicHead | undefined;
    },
    renewEpochs(tx) {
      const set = tx.prepare('UPDATE topics SET epoch = ? WHERE id = ?');
      for (const row of tx.prepare('SELECT id FROM topics').all()) set.run(newEpoch(), Number(row['id']));
    },
  };
}
