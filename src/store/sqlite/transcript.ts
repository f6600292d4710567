import type { TranscriptEntry, TranscriptMessage } from '../../agent/api.ts';
import type { EntryPage, EntryQuery } from '../../agent/ports.ts';
import type { Database } from './database.ts';
import { messageOfEnds } from './message-head.ts';

/** Of a message that is not read whole: characters of its JSON text from the beginning, bytes from the end. */
const HEAD_CHARS = 16_384;
const TAIL_BYTES = 2_048;
/** A message above this is not even fetched from its pages (bytes). */
const FETCHED_BYTES = 8 * 1024 * 1024;
/** Text of one run, bytes as stored. */
const RUN_TEXT_BYTES = 8 * 1024 * 1024;

type Row = Readonly<Record<string, unknown>>;
const text = (value: unknown): string => (typeof value === 'string' ? value : '');
const num = (value: unknown): number => (typeof value === 'number' ? value : 0);
const parsed = (json: unknown): TranscriptMessage => JSON.parse(text(json)) as TranscriptMessage;

export const entryOf = (row: Row): TranscriptEntry => ({
  id: text(row['id']),
  seq: num(row['seq']),
  at: num(row['at']),
  message: parsed(row['message']),
  ...(row['run_id'] !== null && { runId: text(row['run_id']) }),
});

/** Pages of transcripts. How large a message is stands in its row's header (`octet_length`): known before anything is read of it. */
export function transcriptReader(db: Pick<Database, 'prepare'>) {
  const all = (sql: string, ...args: (string | number)[]): Row[] => db.prepare(sql).all(...args) as Row[];

  function read(sessionId: string, seq: number, bytes: number, wholeUpTo: number): TranscriptEntry {
    if (bytes <= wholeUpTo) {
      const [row] = all('SELECT seq, id, at, run_id, message FROM transcript WHERE session_id = ? AND seq = ?', sessionId, seq);
      return entryOf(row ?? {});
    }
    const fetched =
      bytes <= FETCHED_BYTES ? 'substr(message, 1, ?) AS head, substr(CAST(message AS BLOB), ?) AS tail' : '? AS head, ? AS tail';
    const values = bytes <= FETCHED_BYTES ? [HEAD_CHARS, -TAIL_BYTES] : ['', ''];
    const [row] = all(`SELECT seq, id, at, run_id, ${fetched} FROM transcript WHERE session_id = ? AND seq = ?`, ...values, sessionId, seq);
    const tail = row?.['tail'];
    const message = messageOfEnds(text(row?.['head']), tail instanceof Uint8Array ? Buffer.from(tail).toString() : '');
    return { ...entryOf({ ...row, message: 'null' }), message, isCut: true };
  }

  return {
    entries(sessionId: string, query: EntryQuery): EntryPage {
      const { limit, offset = 0, beforeSeq, maxBytes = Number.POSITIVE_INFINITY, wholeUpTo = Number.MAX_SAFE_INTEGER } = query;
      const total = num(all('SELECT last_seq FROM session_ids WHERE session_id = ?', sessionId)[0]?.['last_seq']);
      // `seq` is dense: skipping the newest `offset` is a bound on it, never a scan.
      const top = Math.min(beforeSeq === undefined ? total : beforeSeq - 1, total - offset);
      const sizes = db
        .prepare('SELECT seq, octet_length(message) AS bytes FROM transcript WHERE session_id = ? AND seq <= ? ORDER BY seq DESC LIMIT ?')
        .iterate(sessionId, top, limit) as IterableIterator<Row>;
      const chosen: { seq: number; bytes: number }[] = [];
      let used = 0;
      for (const row of sizes) {
        const bytes = num(row['bytes']);
        if (chosen.length > 0 && used + bytes > maxBytes) break;
        used += bytes;
        chosen.push({ seq: num(row['seq']), bytes });
      }
      return { entries: chosen.reverse().map(({ seq, bytes }) => read(sessionId, seq, bytes, wholeUpTo)), total, bytes: used };
    },
    entriesOfRun: (sessionId: string, runId: string): readonly TranscriptEntry[] =>
      all('SELECT seq, id, at, run_id, message FROM transcript WHERE run_id = ? AND session_id = ? ORDER BY seq', runId, sessionId).map(
        entryOf,
      ),
    runText(runId: string): string {
      let left = RUN_TEXT_BYTES;
      const rows = all('SELECT session_id, seq, octet_length(message) AS bytes FROM transcript WHERE run_id = ? ORDER BY seq', runId);
      return rows
        .map((row) => {
          const bytes = num(row['bytes']);
          const { message } = read(text(row['session_id']), num(row['seq']), bytes, left);
          if (message.role !== 'assistant') return '';
          left -= bytes;
          return visibleText(message.content);
        })
        .filter((part) => part !== '')
        .join('\n\n');
    },
  };
}

const visibleText = (content: readonly { readonly type: string; readonly text?: string }[]): string =>
  content.map((part) => (part.type === 'text' ? (part.text ?? '') : '')).join('');
