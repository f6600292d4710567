import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import type { TranscriptMessage } from '../../agent/api.ts';
import { AGENT_SCHEMA } from './agent.ts';
import { EVENT_LOG_STEP } from './event-log.ts';
import { openDatabase } from './open.ts';
import { transcriptReader } from './transcript.ts';

const KiB = 1024;
const user = (chars: number): TranscriptMessage => ({ role: 'user', text: 'x'.repeat(chars) });
const answer = (chars: number): TranscriptMessage => ({
  role: 'assistant',
  content: [{ type: 'text', text: 'y'.repeat(chars) }],
  provider: 'p',
  model: 'm',
  api: 'a',
  usage: { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, total: 2 },
  stopReason: 'stop',
});

/** One session `s` with these messages, all of one run. */
async function opened(messages: readonly TranscriptMessage[]) {
  const dir = tempDir();
  const result = await openDatabase(path.join(dir.path, 'db.sqlite'), { schemas: [EVENT_LOG_STEP, AGENT_SCHEMA] });
  if (!result.ok) throw result.error;
  const db = result.value;
  await db.write((tx) => {
    const insert = tx.prepare("INSERT INTO transcript (session_id, seq, id, at, run_id, message) VALUES ('s', ?, ?, 1, 'run', ?)");
    for (const [n, message] of messages.entries()) insert.run(n + 1, `e${n + 1}`, JSON.stringify(message));
    tx.prepare("INSERT INTO session_ids (session_id, key, created_at, last_seq) VALUES ('s', 'k', 1, ?)").run(messages.length);
  });
  return {
    reader: transcriptReader(db),
    async [Symbol.asyncDispose]() {
      await db.close();
      dir[Symbol.dispose]();
    },
  };
}

test('AG-110 a page ends before the message that would not fit into its bytes, and holds at least one', async () => {
  await using s = await opened([user(10), user(300 * KiB), ...Array.from({ length: 10 }, () => user(10 * KiB))]);
  const seqs = (query: object) => s.reader.entries('s', { limit: 100, ...query }).entries.map(({ seq }) => seq);
  expect(seqs({})).toHaveLength(12);
  expect(seqs({ maxBytes: 35 * KiB })).toEqual([10, 11, 12]);
  expect(seqs({ maxBytes: 1 })).toEqual([12]);
  expect(seqs({ maxBytes: 35 * KiB, limit: 2 })).toEqual([11, 12]);
  // The large one is alone in its page, and what is older goes on behind it.
  expect(seqs({ maxBytes: 35 * KiB, beforeSeq: 3 })).toEqual([2]);
  expect(seqs({ maxBytes: 35 * KiB, beforeSeq: 2 })).toEqual([1]);
  const page = s.reader.entries('s', { limit: 2 });
  expect(page.bytes).toBe(2 * JSON.stringify(user(10 * KiB)).length);
  expect(page.total).toBe(12);
});

test('AG-111 a message above the size that the reader names comes with its beginning', async () => {
  await using s = await opened([user(200 * KiB), answer(200 * KiB), answer(9 * 1024 * KiB), user(5)]);
  const { entries } = s.reader.entries('s', { limit: 10, wholeUpTo: 128 * KiB });
  expect(entries.map(({ isCut }) => isCut ?? false)).toEqual([true, true, true, false]);
  const [question, reply, huge] = entries.map(({ message }) => message);
  expect(question).toMatchObject({ role: 'user', text: expect.stringMatching(/^x{16000,16384}$/) });
  expect(reply).toMatchObject({
    provider: 'p',
    stopReason: 'stop',
    content: [{ type: 'text', text: expect.stringMatching(/^y{16000,}$/) }],
  });
  // Not even fetched.
  expect(huge).toMatchObject({ role: 'assistant', content: [{ text: '[message too large to show]' }] });
  expect(s.reader.entries('s', { limit: 10 }).entries[1]?.message).toEqual(answer(200 * KiB));
});

test('AG-115 the text of a run is what fits into 8 MiB, and of what is beyond it the beginning', async () => {
  await using s = await opened([user(50), answer(5 * 1024 * KiB), answer(5 * 1024 * KiB), answer(7)]);
  const parts = s.reader.runText('run').split('\n\n');
  expect(parts.map((part) => part.length)).toEqual([5 * 1024 * KiB, expect.any(Number), 7]);
  expect(parts[1]?.length).toBeLessThan(17 * KiB);
});
