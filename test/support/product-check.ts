import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Seen, Send } from './crash-client.ts';
import type { SentAnswer } from './scripted-provider.ts';
import { damageOf, logHoles } from './store-check.ts';

/** What the checker found; all empty is a pass. */
export interface ProductFindings {
  /** Acknowledged, and the run or its message is not there. */
  readonly lost: readonly string[];
  /** A run, a message or an end that is there more than once. */
  readonly twice: readonly string[];
  /** There in another session or with another text, half there, or there although it was refused. */
  readonly wrong: readonly string[];
  /** Messages of a session that stand or ran in another order than that of their acceptance. */
  readonly order: readonly string[];
  /** Numbers that are not 1, 2, 3, …: topics of the log, transcripts. */
  readonly holes: readonly string[];
  /** What a client saw and the disk does not hold. */
  readonly unseen: readonly string[];
  /** SQLite's own findings. */
  readonly damage: readonly string[];
}

/** What is true only when nothing runs any more. */
export interface FinalFindings extends ProductFindings {
  /** Runs that never ended, journals that nobody needs, calls without a result. */
  readonly unfinished: readonly string[];
  /** Answers that are not what the provider sent, or that lost more than the last 250 ms of it. */
  readonly partial: readonly string[];
  /** Of runs that a kill cut: how old (ms) the oldest lost token was, without the time the gateway was not let run; 0 when none was. */
  readonly lostTails: readonly number[];
}

/** One kill: when (`wallMs`), and how long before it the gateway had been kept from running since a moment. */
export interface Kill {
  readonly at: number;
  starvedSince(at: number): number;
}

export const SOUND_PRODUCT: ProductFindings = { lost: [], twice: [], wrong: [], order: [], holes: [], unseen: [], damage: [] };
export const SOUND_FINAL: Omit<FinalFindings, 'lostTails'> = { ...SOUND_PRODUCT, unfinished: [], partial: [] };

/** What is streamed is on disk after this, ms. */
const KEPT_AFTER_MS = 250;

/** Reads what a dead gateway left, as a stranger would: a copy of the files, SQLite and nothing of ours. */
export function readCopy<T>(file: string, read: (db: DatabaseSync) => T): T {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'oc-copy-'));
  try {
    const copy = path.join(dir, 'db');
    for (const suffix of ['', '-wal']) if (fs.existsSync(file + suffix)) fs.copyFileSync(file + suffix, copy + suffix);
    const db = new DatabaseSync(copy);
    try {
      return read(db);
    } finally {
      db.close();
    }
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

interface RunRow {
  readonly id: string;
  readonly key: string;
  readonly session: string;
  readonly status: string;
  readonly started: number | null;
  readonly ended: number | null;
}
interface UserRow {
  readonly run: string;
  readonly session: string;
  readonly key: string;
  readonly seq: number;
  readonly text: string;
}

const rows = <T>(db: DatabaseSync, sql: string): T[] => db.prepare(sql).all() as unknown as T[];

/** Compares what clients were told with what the file holds. True after any kill. `quick` leaves out what costs: every page, every text. */
export function checkProduct(db: DatabaseSync, seen: Seen, options: { readonly quick?: boolean } = {}): ProductFindings {
  const quick = options.quick === true;
  const known = db.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('runs', 'transcript', 'events', 'topics')").get();
  const sends = [...seen.sends.values()];
  // Nothing at all is a database that was lost before its first table.
  if (known?.['n'] !== 4) return { ...SOUND_PRODUCT, lost: sends.filter(({ ackedAt }) => ackedAt !== undefined).map(({ key }) => key) };

  const runs = rows<RunRow>(
    db,
    'SELECT run_id AS id, session_key AS key, session_id AS session, status, started_at AS started, ended_at AS ended FROM runs ORDER BY rowid',
  );
  const users = rows<UserRow>(
    db,
    `SELECT run_id AS run, t.session_id AS session, key, seq, message ->> 'text' AS text
     FROM transcript t LEFT JOIN session_ids s ON s.session_id = t.session_id WHERE message ->> 'role' = 'user' ORDER BY t.session_id, seq`,
  );
  const logged = rows<{ run: string; n: number }>(
    db,
    // An event refers to its message; one that refers to nothing shows as a hole.
    `SELECT payload ->> '$.runId' AS run, count(*) AS n FROM events
     JOIN transcript AS t ON t.session_id = payload ->> '$.sessionId' AND t.seq = payload ->> '$.seq'
     WHERE kind = 'message' AND message ->> 'role' = 'user' GROUP BY 1`,
  );
  const ends = rows<{ run: string; n: number }>(
    db,
    "SELECT payload ->> 'runId' AS run, count(*) AS n FROM events WHERE kind = 'run' GROUP BY 1",
  );
  const runOf = new Map(runs.map((run) => [run.id, run]));
  const usersOf = Map.groupBy(users, ({ run }) => run);
  const loggedOf = new Map(logged.map(({ run, n }) => [run, n]));
  const endsOf = new Map(ends.map(({ run, n }) => [run, n]));

  const lost: string[] = [];
  const twice: string[] = [];
  const wrong: string[] = [];
  for (const send of sends) {
    const { key } = send;
    const run = runOf.get(key);
    const messages = usersOf.get(key) ?? [];
    const events = loggedOf.get(key) ?? 0;
    if (messages.length > 1 || events > 1) twice.push(`${key}: ${messages.length} messages, ${events} events`);
    if (run === undefined || messages.length === 0 || events === 0) {
      if (send.ackedAt !== undefined) lost.push(`${key}: run ${run?.status ?? 'missing'}, ${messages.length} messages, ${events} events`);
      else if (run !== undefined || messages.length > 0 || events > 0) wrong.push(`${key} is half there`);
      continue;
    }
    if (send.refused !== undefined) wrong.push(`${key} was refused (${send.refused}) and is there`);
    const [message] = messages;
    if (run.key !== send.sessionKey || message?.key !== send.sessionKey || message.text !== send.message)
      wrong.push(`${key}: in ${run.key} and ${message?.key} as ${JSON.stringify(message?.text)}`);
  }
  // A text that two runs share would be a message taken twice under two names.
  for (const [text, same] of Map.groupBy(users, (user) => user.text))
    if (same.length > 1) twice.push(`${same.length} × ${JSON.stringify(text)}`);
  for (const { id } of runs) if (!seen.sends.has(id)) wrong.push(`run ${id} was never sent`);
  for (const { id, ended } of runs) {
    const n = endsOf.get(id) ?? 0;
    if (n > 1) twice.push(`${id} ended ${n} times`);
    else if ((n === 1) !== (ended !== null)) wrong.push(`${id}: ended ${ended}, ${n} events of its end`);
  }

  return {
    lost,
    twice,
    wrong,
    order: orderFindings(seen, users, runs),
    holes: [...logHoles(db), ...transcriptHoles(db)],
    unseen: unseenFindings(seen, runOf, quick ? undefined : (runId) => answerOf(db, runId)),
    damage: quick ? [] : damageOf(db),
  };
}

function orderFindings(seen: Seen, users: readonly UserRow[], runs: readonly RunRow[]): string[] {
  const out: string[] = [];
  for (const [session, messages] of Map.groupBy(users, (user) => user.session)) {
    const sends = messages.flatMap(({ run }): Send[] => {
      const send = seen.sends.get(run);
      return send === undefined ? [] : [send];
    });
    // What was acknowledged before another was first sent stands before it, whoever sent them.
    let latest: Send | undefined;
    for (const send of sends) {
      if (latest !== undefined && send.ackedAt !== undefined && send.ackedAt < latest.firstSentAt)
        out.push(`${session}: ${send.key} was acknowledged before ${latest.key} was sent, and stands after it`);
      if (latest === undefined || send.firstSentAt > latest.firstSentAt) latest = send;
    }
    // What one connection sent in one go stands as it was sent.
    const once = sends.filter(({ tries }) => tries.length === 1);
    for (const [connection, group] of Map.groupBy(once, ({ tries }) => tries[0]?.connection)) {
      for (const [index, send] of group.entries()) {
        const before = group[index - 1];
        if (before !== undefined && (before.tries[0]?.place ?? 0) > (send.tries[0]?.place ?? 0))
          out.push(`${session}: ${connection} sent ${send.key} before ${before.key}`);
      }
    }
    const place = new Map(messages.map(({ run }, index) => [run, index]));
    const ran = runs.filter((run) => run.session === session);
    if (ran.some(({ id }, index) => place.get(id) !== index)) out.push(`${session}: runs and messages differ in order`);
    // One at a time, in that order.
    const started = ran.filter((run) => run.started !== null && !seen.setAside.has(run.id));
    for (const [index, run] of started.entries()) {
      const before = started[index - 1];
      if (before !== undefined && (before.ended === null || (run.started ?? 0) < before.ended))
        out.push(`${session}: ${run.id} began at ${run.started} and ${before.id} before it ended at ${before.ended}`);
    }
  }
  return out;
}

const transcriptHoles = (db: DatabaseSync): string[] =>
  rows<{ id: string; n: number; low: number; high: number; last: number; events: number }>(
    db,
    `SELECT s.session_id AS id, count(t.seq) AS n, min(t.seq) AS low, max(t.seq) AS high, last_seq AS last,
       (SELECT count(*) FROM events JOIN topics ON topics.id = topic_id
        WHERE topic = 'session:' || s.key AND kind = 'message' AND payload ->> '$.sessionId' = s.session_id) AS events
     FROM session_ids s LEFT JOIN transcript t ON t.session_id = s.session_id GROUP BY s.session_id`,
  )
    .filter(({ n, low, high, last, events }) => n !== events || last !== n || (n > 0 && (low !== 1 || high !== n)))
    .map(({ id, n, low, high, last, events }) => `transcript ${id}: ${n} entries, ${low}–${high}, last ${last}, ${events} events`);

const STATUS_OF: Readonly<Record<string, readonly string[]>> = { final: ['ok'], aborted: ['aborted'], error: ['error', 'interrupted'] };

/** Nobody is shown what is not durable: endings, and stops that were acknowledged. */
function unseenFindings(seen: Seen, runOf: ReadonlyMap<string, RunRow>, answer: ((runId: string) => string) | undefined): string[] {
  const out: string[] = [];
  for (const [runId, { state, text }] of seen.ends) {
    const status = runOf.get(runId)?.status;
    if (status === undefined || STATUS_OF[state]?.includes(status) !== true)
      out.push(`${runId} was seen to end as ${state}; it is ${status}`);
    else if (state === 'final' && text !== undefined && answer !== undefined && text !== answer(runId))
      out.push(`${runId} was seen to end with another text`);
  }
  for (const runId of seen.aborted) {
    const status = runOf.get(runId)?.status;
    if (status === undefined || !['aborted', 'ok', 'error'].includes(status))
      out.push(`the stop of ${runId} was acknowledged; it is ${status}`);
  }
  return out;
}

/** The text of a run's answer as far as it is on disk. */
function answerOf(db: DatabaseSync, runId: string): string {
  return db
    .prepare(
      `SELECT (SELECT group_concat(part.value ->> 'text', '') FROM json_each(message, '$.content') AS part WHERE part.value ->> 'type' = 'text') AS text
       FROM transcript WHERE run_id = ? AND message ->> 'role' = 'assistant' ORDER BY seq`,
    )
    .all(runId)
    .flatMap(({ text }) => (typeof text === 'string' && text !== '' ? [text] : []))
    .join('\n\n');
}

/** The same and more, for a gateway that has finished everything and ended. `kills` in order. */
export function checkFinal(db: DatabaseSync, seen: Seen, sent: readonly SentAnswer[], kills: readonly Kill[]): FinalFindings {
  const unfinished: string[] = [];
  const partial: string[] = [];
  const lostTails: number[] = [];
  for (const { run_id, status } of rows<{ run_id: string; status: string }>(
    db,
    "SELECT run_id, status FROM runs WHERE ended_at IS NULL OR request IS NOT NULL OR status NOT IN ('ok', 'error', 'aborted', 'interrupted')",
  ))
    unfinished.push(`${run_id} is ${status}`);
  for (const { run_id } of rows<{ run_id: string }>(db, 'SELECT DISTINCT run_id FROM run_journal'))
    unfinished.push(`${run_id} has a journal`);
  for (const { id } of rows<{ id: string }>(
    db,
    `SELECT part.value ->> 'id' AS id FROM transcript t, json_each(message, '$.content') AS part
     WHERE message ->> 'role' = 'assistant' AND part.value ->> 'type' = 'toolCall'
       AND (SELECT count(*) FROM transcript r WHERE r.run_id = t.run_id AND r.message ->> 'toolCallId' = part.value ->> 'id') <> 1`,
  ))
    unfinished.push(`the call ${id} has no result, or two`);

  const answers = Map.groupBy(sent, ({ asked }) => asked);
  for (const run of rows<{ id: string; status: string; error: string | null; started: number | null }>(
    db,
    'SELECT run_id AS id, status, error, started_at AS started FROM runs',
  )) {
    const tries = answers.get(seen.sends.get(run.id)?.message ?? '') ?? [];
    const last = tries.at(-1);
    const whole = (last?.tokens ?? []).map(([text]) => text).join('');
    const kept = answerOf(db, run.id);
    if (run.status === 'error') partial.push(`${run.id} failed: ${run.error}`);
    else if (run.status === 'ok' ? kept !== whole : !whole.startsWith(kept))
      partial.push(`${run.id} is ${run.status} with ${JSON.stringify(kept)}; sent was ${JSON.stringify(whole)}`);
    if (run.status !== 'interrupted') continue;
    // Of the life that it began in; its provider may have seen the request a moment after that, and later lives too short to mark it.
    const killed = kills.find(({ at }) => at >= (run.started ?? 0));
    let length = 0;
    const lost = last?.tokens.find(([text]) => {
      length += text.length;
      return length > kept.length;
    });
    if (lost === undefined || killed === undefined) {
      lostTails.push(0);
      continue;
    }
    const starved = killed.starvedSince(lost[1]);
    const age = Math.max(0, killed.at - lost[1] - starved);
    lostTails.push(age);
    if (age > KEPT_AFTER_MS)
      partial.push(
        `${run.id} lost what was sent ${age.toFixed(0)} ms before kill ${kills.indexOf(killed)} (and ${starved.toFixed(0)} ms starved)`,
      );
  }
  return { ...checkProduct(db, seen), unfinished, partial, lostTails };
}
