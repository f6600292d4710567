import type { Database, Tx } from './database.ts';
import { sessionTopic } from './session-topic.ts';

/**
 * Schema step of sessions that were made for one call. `ended_at` is null as long as their answer is on its way. Those of
 * earlier versions are told by their key and their single run, and count from now on.
 */
export const UNNAMED_SESSIONS_STEP = `
  CREATE TABLE unnamed_sessions (key TEXT PRIMARY KEY, ended_at INTEGER) STRICT, WITHOUT ROWID;
  CREATE INDEX unnamed_sessions_by_end ON unnamed_sessions (ended_at) WHERE ended_at IS NOT NULL;
  INSERT INTO unnamed_sessions
    SELECT s.key, unixepoch() * 1000 FROM sessions AS s
    WHERE s.channel = 'http' AND s.label IS NULL AND s.model IS NULL AND s.last_status <> 'idle'
      AND s.key GLOB 'agent:*:openai:????????-????-????-????-????????????'
      AND (SELECT count(DISTINCT run_id) FROM transcript AS t WHERE t.session_id = s.session_id) = 1;
`;

/** Of one step of the sweep: sessions, rows of each kind in one session, and bytes of messages. */
const SESSIONS = 8;
const ROWS = 256;
const BYTES = 2 * 1024 * 1024;

type Row = Readonly<Record<string, unknown>>;

export function unnamedSessions(db: Pick<Database, 'prepare'>) {
  const all = (tx: Tx, sql: string, ...args: (string | number)[]): Row[] => tx.prepare(sql).all(...args) as Row[];

  /** Deletes the rows of a list as far as the budget goes; true when none is left. */
  function drop(rows: readonly Row[], budget: { bytes: number }, remove: (row: Row) => void): boolean {
    for (const row of rows) {
      if (budget.bytes <= 0) return false;
      budget.bytes -= Number(row['bytes']);
      remove(row);
    }
    return rows.length < ROWS;
  }

  /** True when nothing of the session is left. */
  function dropSession(tx: Tx, key: string, sessionId: string, budget: { bytes: number }): boolean {
    const entries = all(
      tx,
      `SELECT seq, run_id, octet_length(message) AS bytes FROM transcript WHERE session_id = ? ORDER BY seq LIMIT ${ROWS}`,
      sessionId,
    );
    const entriesGone = drop(entries, budget, ({ seq, run_id: runId }) => {
      tx.prepare('DELETE FROM transcript WHERE session_id = ? AND seq = ?').run(sessionId, Number(seq));
      if (typeof runId !== 'string') return;
      tx.prepare('DELETE FROM run_journal WHERE run_id = ?').run(runId);
      tx.prepare('DELETE FROM runs WHERE run_id = ? AND session_key = ?').run(runId, key);
    });
    if (!entriesGone) return false;
    // Earlier versions had a topic for each session id, with the messages themselves in it.
    for (const { id } of all(tx, 'SELECT id FROM topics WHERE topic IN (?, ?)', sessionTopic(key), sessionTopic(sessionId))) {
      const topicId = Number(id);
      const events = all(
        tx,
        `SELECT seq, octet_length(payload) AS bytes FROM events WHERE topic_id = ? ORDER BY seq LIMIT ${ROWS}`,
        topicId,
      );
      const remove = tx.prepare('DELETE FROM events WHERE topic_id = ? AND seq = ?');
      if (!drop(events, budget, ({ seq }) => remove.run(topicId, Number(seq)))) return false;
      tx.prepare('DELETE FROM topics WHERE id = ?').run(topicId);
    }
    tx.prepare('DELETE FROM session_ids WHERE session_id = ?').run(sessionId);
    tx.prepare('DELETE FROM sessions WHERE key = ?').run(key);
    tx.prepare('DELETE FROM unnamed_sessions WHERE key = ?').run(key);
    return true;
  }

  return {
    /** A message came, or something was chosen for the session. `isOneOff`: it was made for this. Otherwise somebody knows it, and it stays. */
    taken(tx: Tx, key: string, isOneOff: boolean): void {
      tx.prepare(isOneOff ? 'INSERT INTO unnamed_sessions (key) VALUES (?)' : 'DELETE FROM unnamed_sessions WHERE key = ?').run(key);
    },
    ended(tx: Tx, key: string, at: number): void {
      tx.prepare('UPDATE unnamed_sessions SET ended_at = ? WHERE key = ?').run(at, key);
    },
    /** One step: rows of sessions that are gone now, and whether something is left. */
    sweep(tx: Tx, endedBefore: number): { readonly gone: readonly Row[]; readonly more: boolean } {
      const due = 'SELECT key FROM unnamed_sessions WHERE ended_at <= ? ORDER BY ended_at LIMIT ?';
      const gone: Row[] = [];
      const budget = { bytes: BYTES };
      for (const { key } of all(tx, due, endedBefore, SESSIONS)) {
        const [session] = all(tx, 'SELECT * FROM sessions WHERE key = ?', String(key));
        if (session === undefined) tx.prepare('DELETE FROM unnamed_sessions WHERE key = ?').run(String(key));
        else if (dropSession(tx, String(key), String(session['session_id']), budget)) gone.push(session);
        else break;
      }
      return { gone, more: all(tx, due, endedBefore, 1).length > 0 };
    },
    /** Whether there is anything to sweep. */
    isDue: (endedBefore: number): boolean =>
      db.prepare('SELECT 1 FROM unnamed_sessions WHERE ended_at <= ? LIMIT 1').get(endedBefore) !== undefined,
  };
}
