import type { SessionRecord } from '../../agent/ports.ts';
import type { Database } from './database.ts';

/**
 * Schema step of lists and search: every order and every filter of `sessions.list` has its index, totals are counted as
 * sessions come and go, and a trigram index finds what holds a text. `session_text` keeps no text of its own and knows
 * which characters stand together, not where: what it finds is looked at before it counts as found.
 */
export const SESSION_LIST_STEP = `
  DROP INDEX sessions_by_time;
  DROP INDEX sessions_by_label;
  CREATE INDEX sessions_by_time ON sessions (updated_at DESC, key);
  CREATE INDEX sessions_by_agent ON sessions (agent_id, updated_at DESC, key);
  CREATE INDEX sessions_by_label ON sessions (label, updated_at DESC, key) WHERE label IS NOT NULL;

  CREATE TABLE session_totals (agent_id TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO session_totals SELECT agent_id, count(*) FROM sessions GROUP BY agent_id;

  -- The number that the text index knows a session by; it grows with every session that is made.
  CREATE TABLE session_text_ids (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE) STRICT;
  CREATE VIRTUAL TABLE session_text USING fts5 (key, label, title, content='', contentless_delete=1, tokenize='trigram', detail='none');
  INSERT INTO session_text_ids (key) SELECT key FROM sessions ORDER BY created_at;
  INSERT INTO session_text (rowid, key, label, title)
    SELECT id, s.key, s.label, s.title FROM session_text_ids AS i JOIN sessions AS s ON s.key = i.key ORDER BY id;

  CREATE TRIGGER session_made AFTER INSERT ON sessions BEGIN
    INSERT INTO session_totals VALUES (new.agent_id, 1) ON CONFLICT (agent_id) DO UPDATE SET n = n + 1;
    INSERT INTO session_text_ids (key) VALUES (new.key);
    INSERT INTO session_text (rowid, key, label, title) SELECT id, new.key, new.label, new.title FROM session_text_ids WHERE key = new.key;
  END;
  CREATE TRIGGER session_texts_changed AFTER UPDATE OF label, title ON sessions
    WHEN new.label IS NOT old.label OR new.title IS NOT old.title BEGIN
    UPDATE session_text SET key = new.key, label = new.label, title = new.title
      WHERE rowid = (SELECT id FROM session_text_ids WHERE key = new.key);
  END;
  CREATE TRIGGER session_gone AFTER DELETE ON sessions BEGIN
    UPDATE session_totals SET n = n - 1 WHERE agent_id = old.agent_id;
    DELETE FROM session_text WHERE rowid = (SELECT id FROM session_text_ids WHERE key = old.key);
    DELETE FROM session_text_ids WHERE key = old.key;
  END;
`;

/** Sessions that one search looks at, in each of its two ways. */
export const SEARCHED = 1_000;
/** Of those that the index finds where it finds more than that. */
const COMMON = 250;
/** Trigrams of a search text that the index is asked for: each is a list to walk, and a few of them leave little to look at. */
const MAX_TRIGRAMS = 8;

export interface ListQuery {
  readonly limit: number;
  readonly offset: number;
  readonly agentId?: string | undefined;
  readonly label?: string | undefined;
  readonly search?: string | undefined;
  readonly activeSince?: number | undefined;
}

type Row = Readonly<Record<string, unknown>>;
type Found = { readonly key: string; readonly updated_at: number };

/** Sessions by time, the latest first: a page of them, and how many there are. */
export function sessionList(db: Pick<Database, 'prepare'>, sessionOf: (row: Row) => SessionRecord) {
  const all = <T = Row>(sql: string, ...args: (string | number)[]): T[] => db.prepare(sql).all(...args) as T[];
  const count = (sql: string, ...args: (string | number)[]): number => Number(all(sql, ...args)[0]?.['n'] ?? 0);

  /** The last search: a long answer is read in several pages. */
  let last: { readonly query: string; readonly keys: readonly string[] } | undefined;

  return (query: ListQuery): { readonly total: number; readonly sessions: readonly SessionRecord[] } => {
    const { limit, offset, agentId, label, search, activeSince } = query;
    const where: string[] = [];
    const args: (string | number)[] = [];
    const add = (sql: string, value: string | number): void => {
      where.push(sql);
      args.push(value);
    };
    if (agentId !== undefined) add('agent_id = ?', agentId);
    if (label !== undefined) add('label = ?', label);
    if (activeSince !== undefined) add('updated_at >= ?', activeSince);
    const clause = where.length > 0 ? `WHERE ${where.join(' AND ')}` : '';

    if (search !== undefined && search !== '') {
      const keys = foundOnce(search, clause, args);
      const here = JSON.stringify(keys.slice(offset, offset + limit));
      // In the order of the list: an outer loop over it.
      const rows = all('SELECT s.* FROM json_each(?) AS j CROSS JOIN sessions AS s ON s.key = j.value ORDER BY j.id', here);
      return { total: keys.length, sessions: rows.map(sessionOf) };
    }
    const total =
      label !== undefined || activeSince !== undefined
        ? count(`SELECT count(*) AS n FROM sessions ${clause}`, ...args)
        : count(`SELECT sum(n) AS n FROM session_totals ${clause}`, ...args);
    const here = Math.min(limit, total - offset);
    if (here <= 0) return { total, sessions: [] };
    // What lies behind the middle is reached from the end.
    const fromEnd = total - offset - here;
    const rows =
      fromEnd < offset
        ? all(`SELECT * FROM sessions ${clause} ORDER BY updated_at, key DESC LIMIT ? OFFSET ?`, ...args, here, fromEnd).reverse()
        : all(`SELECT * FROM sessions ${clause} ORDER BY updated_at DESC, key LIMIT ? OFFSET ?`, ...args, here, offset);
    return { total, sessions: rows.map(sessionOf) };
  };

  function foundOnce(search: string, clause: string, args: readonly (string | number)[]): readonly string[] {
    // Every write of ours counts; there is no other writer.
    const changes = count('SELECT total_changes() AS n');
    const query = JSON.stringify([changes, search, clause, args]);
    if (last?.query !== query) last = { query, keys: found(search, clause, args) };
    return last.keys;
  }

  /** Keys of the sessions that hold `search` in key, label or title, the latest first. */
  function found(search: string, clause: string, args: readonly (string | number)[]): readonly string[] {
    // No key, label or title holds it, and SQLite would read no further.
    if (search.includes('\0')) return [];
    const needle = search.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
    const holds = '(instr(lower(key), ?) > 0 OR instr(lower(label), ?) > 0 OR instr(lower(title), ?) > 0)';
    const hits = new Map<string, Found>();
    const take = (sql: string, ...values: (string | number)[]): void => {
      for (const hit of all<Found>(sql, ...values, needle, needle, needle)) hits.set(hit.key, hit);
    };
    const wanted = trigrams(needle);
    let isCommon = true;
    if (wanted.length > 0) {
      const match = wanted.map((three) => `"${three.replaceAll('"', '""')}"`).join(' AND ');
      const newest = (many: number): string =>
        `SELECT rowid FROM session_text WHERE session_text MATCH ? ORDER BY rowid DESC LIMIT ${many}`;
      isCommon = count(`SELECT count(*) AS n FROM (${newest(SEARCHED)})`, match) === SEARCHED;
      take(
        `SELECT key, updated_at FROM (SELECT s.* FROM (${newest(isCommon ? COMMON : SEARCHED)}) AS f CROSS JOIN session_text_ids AS i ON i.id = f.rowid
           CROSS JOIN sessions AS s ON s.key = i.key) ${clause === '' ? 'WHERE' : `${clause} AND`} ${holds}`,
        match,
        ...args,
      );
    }
    // Too short for the index, or in so many that it says little: those that were last used are what somebody looks for.
    if (isCommon) {
      take(
        `SELECT key, updated_at FROM (SELECT key, label, title, updated_at FROM sessions ${clause}
           ORDER BY updated_at DESC, key LIMIT ${SEARCHED}) WHERE ${holds}`,
        ...args,
      );
    }
    const inOrder = (a: Found, b: Found): number => b.updated_at - a.updated_at || (a.key < b.key ? -1 : 1);
    return [...hits.values()].sort(inOrder).map(({ key }) => key);
  }
}

/** Some of the three-character pieces of a text, spread over it; none of a text that has less. */
export function trigrams(text: string): readonly string[] {
  const chars = [...text];
  const last = chars.length - 3;
  if (last < 0) return [];
  const some = Math.min(MAX_TRIGRAMS, last + 1);
  const at = Array.from({ length: some }, (_, i) => (some === 1 ? 0 : Math.round((i * last) / (some - 1))));
  return [...new Set(at.map((i) => chars.slice(i, i + 3).join('')))];
}
