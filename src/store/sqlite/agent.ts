import type { RunError, TranscriptEntry, TranscriptMessage, Usage } from '../../agent/api.ts';
import type {
  Accepted,
  AgentStore,
  KeptRequest,
  NewEntry,
  RunHead,
  RunRecord,
  SessionRecord,
  StoredStatus,
  UnfinishedRun,
  Written,
} from '../../agent/ports.ts';
import type { EventLog } from '../event-log.ts';
import type { Database, Tx } from './database.ts';
import { sessionList } from './session-list.ts';
import { sessionTopic } from './session-topic.ts';
import { transcriptReader } from './transcript.ts';
import { unnamedSessions } from './unnamed-sessions.ts';

/** Schema step of the resident agent. Once released it is never edited; a change is a further step. */
export const AGENT_SCHEMA = `
CREATE TABLE IF NOT EXISTS sessions (
  key TEXT PRIMARY KEY,
  session_id TEXT NOT NULL UNIQUE,
  agent_id TEXT NOT NULL,
  label TEXT,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  model TEXT,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cache_read INTEGER NOT NULL DEFAULT 0,
  cache_write INTEGER NOT NULL DEFAULT 0,
  total_tokens INTEGER NOT NULL DEFAULT 0,
  context_used INTEGER,
  last_status TEXT NOT NULL DEFAULT 'idle',
  title TEXT,
  preview TEXT,
  channel TEXT NOT NULL DEFAULT 'webchat'
) STRICT;
CREATE INDEX IF NOT EXISTS sessions_by_time ON sessions (updated_at DESC);
CREATE INDEX IF NOT EXISTS sessions_by_label ON sessions (label) WHERE label IS NOT NULL;

CREATE TABLE IF NOT EXISTS session_ids (
  session_id TEXT PRIMARY KEY,
  key TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_seq INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE IF NOT EXISTS transcript (
  session_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL UNIQUE,
  at INTEGER NOT NULL,
  run_id TEXT,
  message TEXT NOT NULL,
  PRIMARY KEY (session_id, seq)
) STRICT;
CREATE INDEX IF NOT EXISTS transcript_by_run ON transcript (run_id, seq) WHERE run_id IS NOT NULL;

CREATE TABLE IF NOT EXISTS runs (
  run_id TEXT PRIMARY KEY,
  session_key TEXT NOT NULL,
  session_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  principal_id TEXT NOT NULL,
  status TEXT NOT NULL,
  accepted_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  provider TEXT,
  model TEXT,
  stop_reason TEXT,
  usage TEXT,
  error TEXT,
  digest TEXT NOT NULL,
  request TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS runs_unfinished ON runs (status) WHERE status IN ('queued', 'running');

CREATE TABLE IF NOT EXISTS run_journal (
  run_id TEXT NOT NULL,
  n INTEGER NOT NULL,
  text TEXT NOT NULL,
  PRIMARY KEY (run_id, n)
) STRICT, WITHOUT ROWID;
`;

/**
 * Schema step: what a start has to know of runs that have not ended, in rows of their own, because a `request` beside
 * them may have megabytes. `marked`: being taken up at this moment. `deaths`: starts that found it marked.
 */
export const AGENT_WAITING_SCHEMA = `
CREATE TABLE IF NOT EXISTS run_waiting (
  run_id TEXT PRIMARY KEY,
  bytes INTEGER NOT NULL,
  head TEXT NOT NULL,
  file TEXT,
  marked INTEGER NOT NULL DEFAULT 0,
  deaths INTEGER NOT NULL DEFAULT 0,
  held_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO run_waiting (run_id, bytes, head)
  SELECT run_id, coalesce(octet_length(request), 0), '{}' FROM runs WHERE status IN ('queued', 'running');
`;

type Row = Readonly<Record<string, unknown>>;
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const num = (value: unknown): number => (typeof value === 'number' ? value : 0);
const parsed = <T>(value: unknown): T => JSON.parse(text(value)) as T;

const RUN_COLUMNS =
  'run_id, session_key, session_id, agent_id, principal_id, status, accepted_at, started_at, ended_at, provider, model, stop_reason, usage, error, digest';

function runOf(row: Row): RunRecord {
  return {
    runId: text(row.run_id),
    sessionKey: text(row.session_key),
    sessionId: text(row.session_id),
    agentId: text(row.agent_id),
    principalId: text(row.principal_id),
    status: text(row.status) as StoredStatus,
    acceptedAt: num(row.accepted_at),
    digest: text(row.digest),
    ...(row.started_at !== null && { startedAt: num(row.started_at) }),
    ...(row.ended_at !== null && { endedAt: num(row.ended_at) }),
    ...(row.provider !== null && { provider: text(row.provider) }),
    ...(row.model !== null && { model: text(row.model) }),
    ...(row.stop_reason !== null && { stopReason: text(row.stop_reason) }),
    ...(row.usage !== null && { usage: parsed<Usage>(row.usage) }),
    ...(row.error !== null && { error: parsed<RunError>(row.error) }),
  };
}

function sessionOf(row: Row): SessionRecord {
  return {
    key: text(row.key),
    sessionId: text(row.session_id),
    agentId: text(row.agent_id),
    createdAt: num(row.created_at),
    updatedAt: num(row.updated_at),
    usage: {
      input: num(row.input_tokens),
      output: num(row.output_tokens),
      cacheRead: num(row.cache_read),
      cacheWrite: num(row.cache_write),
      total: num(row.total_tokens),
    },
    lastStatus: text(row.last_status) as SessionRecord['lastStatus'],
    channel: text(row.channel),
    ...(row.context_used !== null && { contextUsed: num(row.context_used) }),
    ...(row.label !== null && { label: text(row.label) }),
    ...(row.model !== null && { model: text(row.model) }),
    ...(row.title !== null && { title: text(row.title) }),
    ...(row.preview !== null && { preview: text(row.preview) }),
  };
}

const unfinishedOf = (row: Row): UnfinishedRun => ({
  run: runOf(row),
  head: parsed<RunHead>(row.head),
  bytes: num(row.bytes),
  isMarked: row.marked === 1,
  deaths: num(row.deaths),
  ...(row.file !== null && { file: text(row.file) }),
  ...(row.held_at !== null && { heldAt: num(row.held_at) }),
});

const FINISHED = { ok: 'done', error: 'failed', interrupted: 'failed', aborted: 'killed' } as const;

/**
 * The agent's store on the state dir's database. Every entry, every end of a run and every reset is also an event of the session's topic, in the same
 * transaction: `message` {sessionId, seq, id, runId}, which refers to the entry, `run` {runId, status, …}, `reset` {sessionId}.
 */
export function createAgentStore(db: Database, log: Pick<EventLog<Tx>, 'append'>): AgentStore {
  const one = (source: Pick<Tx, 'prepare'>, sql: string, ...args: (string | number | null)[]): Row | undefined =>
    source.prepare(sql).get(...args) as Row | undefined;
  const all = (sql: string, ...args: (string | number | null)[]): Row[] => db.prepare(sql).all(...args) as Row[];

  const transcript = transcriptReader(db);
  const list = sessionList(db, sessionOf);
  const passing = unnamedSessions(db);

  const sessionRow = (source: Pick<Tx, 'prepare'>, key: string): Row | undefined =>
    one(source, 'SELECT * FROM sessions WHERE key = ?', key);
  const runRow = (source: Pick<Tx, 'prepare'>, runId: string): Row | undefined =>
    one(source, `SELECT ${RUN_COLUMNS} FROM runs WHERE run_id = ?`, runId);

  function sessionIn(tx: Tx, key: string): SessionRecord {
    const row = sessionRow(tx, key);
    if (row === undefined) throw new Error('the session of a run is missing');
    return sessionOf(row);
  }

  /** The session of `key`, made when there is none. */
  function ensureSession(tx: Tx, key: string, agentId: string, newId: string, at: number, channel: string): boolean {
    if (sessionRow(tx, key) !== undefined) return false;
    tx.prepare('INSERT INTO sessions (key, session_id, agent_id, created_at, updated_at, channel) VALUES (?, ?, ?, ?, ?, ?)').run(
      key,
      newId,
      agentId,
      at,
      at,
      channel,
    );
    tx.prepare('INSERT INTO session_ids (session_id, key, created_at) VALUES (?, ?, ?)').run(newId, key, at);
    return true;
  }

  /** Appends entries: dense `seq` within the session id, and one event of the session's topic each. */
  function addEntries(tx: Tx, sessionId: string, sessionKey: string, runId: string, entries: readonly NewEntry[]): TranscriptEntry[] {
    if (entries.length === 0) return [];
    let seq = num(one(tx, 'SELECT last_seq FROM session_ids WHERE session_id = ?', sessionId)?.last_seq);
    const written = entries.map(({ id, at, message }): TranscriptEntry => {
      const entry = { id, seq: ++seq, at, runId, message };
      tx.prepare('INSERT INTO transcript (session_id, seq, id, at, run_id, message) VALUES (?, ?, ?, ?, ?, ?)').run(
        sessionId,
        seq,
        id,
        at,
        runId,
        JSON.stringify(message),
      );
      log.append(tx, sessionTopic(sessionKey), 'message', JSON.stringify({ sessionId, seq, id, runId }), at);
      return entry;
    });
    tx.prepare('UPDATE session_ids SET last_seq = ? WHERE session_id = ?').run(seq, sessionId);
    return written;
  }

  function runIn(tx: Tx, runId: string): RunRecord {
    const row = runRow(tx, runId);
    if (row === undefined) throw new Error('a run that was never accepted');
    return runOf(row);
  }

  const dropJournal = (tx: Tx, runId: string): void => {
    tx.prepare('DELETE FROM run_journal WHERE run_id = ?').run(runId);
  };

  return {
    run(runId) {
      const row = runRow(db, runId);
      return row && runOf(row);
    },
    runText: transcript.runText,
    unfinishedRuns: () =>
      all(
        `SELECT ${RUN_COLUMNS}, bytes, coalesce(head, '{}') AS head, file, marked, deaths, held_at
         FROM runs LEFT JOIN run_waiting USING (run_id)
         WHERE status IN ('queued', 'running') ORDER BY runs.rowid`,
      ).map(unfinishedOf),
    request(runId) {
      const row = one(db, 'SELECT request FROM runs WHERE run_id = ?', runId);
      return row === undefined || row.request === null ? undefined : parsed<KeptRequest>(row.request);
    },
    journal: (runId) =>
      all('SELECT text FROM run_journal WHERE run_id = ? ORDER BY n', runId)
        .map((row) => text(row.text))
        .join(''),
    session(key) {
      const row = sessionRow(db, key);
      return row && sessionOf(row);
    },
    sessions: ({ limit = 100, offset = 0, ...query }) => list({ ...query, limit, offset }),
    keyOfSessionId(sessionId) {
      const row = one(db, 'SELECT key FROM session_ids WHERE session_id = ?', sessionId);
      return row && text(row.key);
    },
    keyOfLabel(label) {
      const row = one(db, 'SELECT key FROM sessions WHERE label = ? ORDER BY updated_at DESC LIMIT 1', label);
      return row && text(row.key);
    },
    entries: transcript.entries,
    entriesOfRun: transcript.entriesOfRun,

    accept: (run, told) =>
      db.write((tx): Accepted => {
        const { request, spilled, at } = run;
        const kept: KeptRequest =
          spilled === undefined ? request : { spilled, ...(request.attachments !== undefined && { attachments: request.attachments }) };
        const known = runRow(tx, request.runId);
        if (known !== undefined) return { kind: 'known', run: runOf(known) };
        const channel = request.origin.via === 'http' ? 'http' : 'webchat';
        const created = ensureSession(tx, request.sessionKey, run.agentId, run.newSessionId, at, channel);
        const { sessionId } = sessionIn(tx, request.sessionKey);
        passing.taken(tx, request.sessionKey, created && request.isOneOff === true);
        tx.prepare(
          `INSERT INTO runs (run_id, session_key, session_id, agent_id, principal_id, status, accepted_at, digest, request)
           VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?)`,
        ).run(request.runId, request.sessionKey, sessionId, run.agentId, request.origin.principalId, at, run.digest, JSON.stringify(kept));
        const head: RunHead = { origin: request.origin, ...(request.model !== undefined && { model: request.model }) };
        tx.prepare('INSERT INTO run_waiting (run_id, bytes, head, file) VALUES (?, ?, ?, ?)').run(
          request.runId,
          run.bytes,
          JSON.stringify(head),
          run.file ?? null,
        );
        const message: TranscriptMessage = {
          role: 'user',
          text: request.message,
          ...(request.origin.label !== undefined && { senderLabel: request.origin.label }),
          ...(request.attachments !== undefined &&
            request.attachments.length > 0 && {
              attachments: request.attachments.map(({ chars: _, ...each }) => each),
            }),
        };
        const [entry] = addEntries(tx, sessionId, request.sessionKey, request.runId, [{ id: run.entryId, at, message }]);
        if (entry === undefined) throw new Error('no entry was written');
        tx.prepare('UPDATE sessions SET updated_at = ?, title = coalesce(title, ?), preview = ? WHERE key = ?').run(
          at,
          run.title || null,
          run.preview,
          request.sessionKey,
        );
        const accepted = {
          kind: 'new' as const,
          run: runIn(tx, request.runId),
          entry,
          session: sessionIn(tx, request.sessionKey),
          created,
        };
        tx.afterCommit(() => told(accepted));
        return accepted;
      }),
    mark: (runIds) =>
      db.write((tx) => {
        for (const runId of runIds) tx.prepare('UPDATE run_waiting SET marked = 1 WHERE run_id = ?').run(runId);
      }),
    setDeaths: (runs) =>
      db.write((tx) => {
        for (const { runId, deaths, heldAt } of runs)
          tx.prepare('UPDATE run_waiting SET marked = 0, deaths = ?, held_at = ? WHERE run_id = ?').run(deaths, heldAt ?? null, runId);
      }),
    markRunning: (runId, at) =>
      db.write((tx) => {
        tx.prepare("UPDATE runs SET status = 'running', started_at = ? WHERE run_id = ? AND status = 'queued'").run(at, runId);
        tx.prepare('UPDATE run_waiting SET marked = 0, deaths = 0 WHERE run_id = ?').run(runId);
      }),
    appendJournal: (runId, part) =>
      db.write((tx) => {
        tx.prepare('INSERT INTO run_journal (run_id, n, text) SELECT ?, coalesce(max(n), 0) + 1, ? FROM run_journal WHERE run_id = ?').run(
          runId,
          part,
          runId,
        );
      }),
    clearJournal: (runId) => db.write((tx) => dropJournal(tx, runId)),
    appendStep: (runId, entries, at, told) =>
      db.write((tx): Written => {
        const { sessionId, sessionKey } = runIn(tx, runId);
        dropJournal(tx, runId);
        const written = addEntries(tx, sessionId, sessionKey, runId, entries);
        tx.prepare('UPDATE sessions SET updated_at = ? WHERE key = ?').run(at, sessionKey);
        const step = { entries: written, session: sessionIn(tx, sessionKey) };
        tx.afterCommit(() => told(step));
        return step;
      }),
    finish: (end, told) =>
      db.write((tx): Written => {
        const run = runIn(tx, end.runId);
        const { sessionId, sessionKey } = run;
        if (run.endedAt !== undefined) return { entries: [], session: sessionIn(tx, sessionKey) };
        dropJournal(tx, end.runId);
        tx.prepare('DELETE FROM run_waiting WHERE run_id = ?').run(end.runId);
        const entries = addEntries(tx, sessionId, sessionKey, end.runId, end.entries);
        tx.prepare(
          `UPDATE runs SET status = ?, ended_at = ?, stop_reason = ?, usage = ?, error = ?, provider = ?, model = ?, request = NULL
           WHERE run_id = ?`,
        ).run(
          end.status,
          end.at,
          end.stopReason ?? null,
          JSON.stringify(end.usage),
          end.error === undefined ? null : JSON.stringify(end.error),
          end.provider ?? null,
          end.model ?? null,
          end.runId,
        );
        // A run that outlived a reset belongs to the old id: its tokens count for the session all the same.
        tx.prepare(
          `UPDATE sessions SET updated_at = ?, last_status = ?, preview = coalesce(?, preview), input_tokens = input_tokens + ?,
             output_tokens = output_tokens + ?, cache_read = cache_read + ?, cache_write = cache_write + ?, total_tokens = total_tokens + ?,
             context_used = coalesce(?, context_used)
           WHERE key = ?`,
        ).run(
          end.at,
          FINISHED[end.status],
          end.preview ?? null,
          end.usage.input,
          end.usage.output,
          end.usage.cacheRead,
          end.usage.cacheWrite,
          end.usage.total,
          end.contextUsed ?? null,
          sessionKey,
        );
        passing.ended(tx, sessionKey, end.at);
        log.append(
          tx,
          sessionTopic(sessionKey),
          'run',
          JSON.stringify({
            runId: end.runId,
            sessionKey,
            status: end.status,
            endedAt: end.at,
            ...(end.stopReason !== undefined && { stopReason: end.stopReason }),
            ...(end.error !== undefined && { error: end.error }),
          }),
          end.at,
        );
        const written = { entries, session: sessionIn(tx, sessionKey) };
        tx.afterCommit(() => told(written));
        return written;
      }),
    resetSession: (key, agentId, newSessionId, at, told) =>
      db.write((tx): SessionRecord => {
        const tell = (session: SessionRecord): SessionRecord => {
          tx.afterCommit(() => told(session));
          return session;
        };
        if (ensureSession(tx, key, agentId, newSessionId, at, 'webchat')) return tell(sessionIn(tx, key));
        passing.taken(tx, key, false);
        log.append(tx, sessionTopic(key), 'reset', JSON.stringify({ sessionKey: key, sessionId: newSessionId }), at);
        tx.prepare('INSERT INTO session_ids (session_id, key, created_at) VALUES (?, ?, ?)').run(newSessionId, key, at);
        tx.prepare(
          `UPDATE sessions SET session_id = ?, created_at = ?, updated_at = ?, title = NULL, preview = NULL, last_status = 'idle',
             input_tokens = 0, output_tokens = 0, cache_read = 0, cache_write = 0, total_tokens = 0, context_used = NULL
           WHERE key = ?`,
        ).run(newSessionId, at, at, key);
        return tell(sessionIn(tx, key));
      }),
    setSessionModel: (key, agentId, newSessionId, model, at, told) =>
      db.write((tx): SessionRecord => {
        ensureSession(tx, key, agentId, newSessionId, at, 'webchat');
        passing.taken(tx, key, false);
        tx.prepare('UPDATE sessions SET model = ?, updated_at = ? WHERE key = ?').run(model, at, key);
        const session = sessionIn(tx, key);
        tx.afterCommit(() => told(session));
        return session;
      }),
    async sweepUnnamed(endedBefore) {
      if (!passing.isDue(endedBefore)) return { gone: [], more: false };
      const { gone, more } = await db.write((tx) => passing.sweep(tx, endedBefore));
      return { gone: gone.map(sessionOf), more };
    },
  };
}
