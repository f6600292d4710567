import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import type { NewEntry, NewRun } from '../../agent/ports.ts';
import { AGENT_SCHEMA, AGENT_WAITING_SCHEMA, createAgentStore } from './agent.ts';
import { EVENT_LOG_STEP, eventLog } from './event-log.ts';
import { openDatabase } from './open.ts';
import { SESSION_LIST_STEP } from './session-list.ts';
import { UNNAMED_SESSIONS_STEP } from './unnamed-sessions.ts';

/** For who does not listen. */
const quiet = (): void => {};

const USAGE = { input: 3, output: 2, cacheRead: 1, cacheWrite: 0, total: 5 };

async function opened() {
  const dir = tempDir();
  const result = await openDatabase(path.join(dir.path, 'db.sqlite'), {
    schemas: [EVENT_LOG_STEP, AGENT_SCHEMA, SESSION_LIST_STEP, UNNAMED_SESSIONS_STEP, AGENT_WAITING_SCHEMA],
  });
  if (!result.ok) throw result.error;
  const db = result.value;
  const events = eventLog(db);
  return {
    db,
    events,
    store: createAgentStore(db, events),
    async [Symbol.asyncDispose]() {
      await db.close();
      dir[Symbol.dispose]();
    },
  };
}
let ids = 0;
const newRun = (runId: string, key = 'agent:main:main', message = `message of ${runId}`): NewRun => ({
  request: { runId, sessionKey: key, message, origin: { principalId: 'owner', via: 'chat' } },
  bytes: message.length,
  agentId: 'main',
  digest: message,
  at: 1_000 + ++ids,
  entryId: `entry-${ids}`,
  newSessionId: `session-${ids}`,
  title: message,
  preview: message,
});
const reply = (text: string): NewEntry => ({
  id: `entry-${++ids}`,
  at: 2_000 + ids,
  message: { role: 'assistant', content: [{ type: 'text', text }], provider: 'p', model: 'm', api: 'a', usage: USAGE, stopReason: 'stop' },
});

describe("the agent's store", () => {
  test('AG-3 seq is dense from 1 in the transcript and in the log, whatever is written at the same moment', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.constantFrom('accept', 'step', 'finish', 'reset', 'repeat')), {
          minLength: 1,
          maxLength: 40,
        }),
        async (steps) => {
          await using s = await opened();
          const runs = new Map<string, string[]>();
          const work: Promise<unknown>[] = [];
          let n = 0;
          for (const [name, action] of steps) {
            const key = `agent:main:${name}`;
            const open = runs.get(key) ?? [];
            runs.set(key, open);
            if (action === 'accept') {
              const runId = `run-${++n}`;
              open.push(runId);
              work.push(s.store.accept(newRun(runId, key), quiet));
            } else if (action === 'reset') {
              work.push(s.store.resetSession(key, 'main', `reset-${++n}`, 5, quiet));
            } else if (open[0] !== undefined && action === 'step')
              work.push(s.store.appendStep(open[0], [reply('x'), reply('y')], 7, quiet));
            else if (open[0] !== undefined && action === 'repeat') work.push(s.store.accept(newRun(open[0], key), quiet));
            else if (action === 'finish') {
              const runId = open.shift();
              if (runId !== undefined)
                work.push(s.store.finish({ runId, status: 'ok', at: 9, usage: USAGE, entries: [reply('end')] }, quiet));
            }
          }
          await Promise.all(work);
          const sessions = s.db.prepare('SELECT session_id, key, last_seq FROM session_ids').all() as {
            session_id: string;
            key: string;
            last_seq: number;
          }[];
          for (const { session_id, key, last_seq } of sessions) {
            const { entries, total } = s.store.entries(session_id, { limit: 1_000 });
            expect(total).toBe(last_seq);
            expect(entries.map(({ seq }) => seq)).toEqual(entries.map((_, i) => i + 1));
            const logged = s.events.read(`session:${key}`, 0, 1_000);
            expect(logged.map(({ seq }) => seq)).toEqual(logged.map((_, i) => i + 1));
            const inLog = logged
              .filter(({ kind }) => kind === 'message')
              .map(({ payload }) => JSON.parse(payload) as { sessionId: string; seq: number })
              .filter(({ sessionId }) => sessionId === session_id)
              .map(({ seq }) => seq);
            expect(inLog).toEqual(entries.map(({ seq }) => seq));
          }
        },
      ),
      { numRuns: 30 },
    );
  });

  test('AG-4 a repeat writes nothing', async () => {
    await using s = await opened();
    const [first, second] = await Promise.all([s.store.accept(newRun('r1'), quiet), s.store.accept(newRun('r1'), quiet)]);
    expect(first.kind).toBe('new');
    expect(second.kind).toBe('known');
    const { sessionId } = s.store.session('agent:main:main') ?? { sessionId: '' };
    expect(s.store.entries(sessionId, { limit: 10 }).total).toBe(1);
  });

  test('AG-1 usage adds up over runs, and a second end changes nothing', async () => {
    await using s = await opened();
    for (const runId of ['r1', 'r2']) {
      await s.store.accept(newRun(runId), quiet);
      await s.store.finish({ runId, status: 'ok', at: 9, usage: USAGE, entries: [reply('one')] }, quiet);
    }
    const again = await s.store.finish({ runId: 'r1', status: 'error', at: 10, usage: USAGE, entries: [reply('two')] }, quiet);
    expect(again.entries).toEqual([]);
    expect(s.store.session('agent:main:main')).toMatchObject({ usage: { input: 6, output: 4, total: 10 }, lastStatus: 'done' });
    expect(s.store.run('r1')).toMatchObject({ status: 'ok' });
    expect(s.store.runText('r1')).toBe('one');
  });

  test('AG-30 the journal is in order and goes with the step it belongs to', async () => {
    await using s = await opened();
    await s.store.accept(newRun('r1'), quiet);
    for (const part of ['a', 'b', 'ç']) await s.store.appendJournal('r1', part);
    expect(s.store.journal('r1')).toBe('abç');
    expect(s.store.unfinishedRuns()).toMatchObject([{ run: { runId: 'r1', status: 'queued' } }]);
    expect(s.store.request('r1')).toMatchObject({ message: 'message of r1' });
    await s.store.markRunning('r1', 5);
    expect(s.store.unfinishedRuns()).toMatchObject([{ run: { status: 'running', startedAt: 5 } }]);
    await s.store.appendStep('r1', [reply('abç')], 6, quiet);
    expect(s.store.journal('r1')).toBe('');
  });

  test('AG-93 what has not ended is told by ids and sizes, whatever it holds', async () => {
    await using s = await opened();
    for (let n = 0; n < 20; n++)
      await s.store.accept({ ...newRun(`r${n}`, `agent:main:${n}`, 'x'.repeat(200_000)), file: `file-${n}` }, quiet);
    await s.store.mark(['r1', 'r2']);
    await s.store.setDeaths([{ runId: 'r2', deaths: 2, heldAt: 7 }]);
    const found = s.store.unfinishedRuns().map(({ run, ...rest }) => ({ ...rest, runId: run.runId }));
    expect(found.slice(0, 3)).toMatchObject([
      { runId: 'r0', bytes: 200_000, file: 'file-0', isMarked: false, deaths: 0 },
      { runId: 'r1', isMarked: true },
      { runId: 'r2', isMarked: false, deaths: 2, heldAt: 7 },
    ]);
    expect(JSON.stringify(found).length).toBeLessThan(20 * 400);
    await s.store.markRunning('r1', 5);
    await s.store.finish({ runId: 'r2', status: 'aborted', at: 9, usage: USAGE, entries: [] }, quiet);
    expect(s.store.unfinishedRuns().map(({ run, isMarked }) => [run.runId, isMarked])).toContainEqual(['r1', false]);
    expect(s.db.prepare('SELECT count(*) AS n FROM run_waiting').get()).toEqual({ n: 19 });
  });

  test('AG-43 a session of 100,000 messages opens as fast as a small one', async () => {
    await using s = await opened();
    await s.store.accept(newRun('r1'), quiet);
    const { sessionId } = s.store.session('agent:main:main') ?? { sessionId: '' };
    await s.db.write((tx) => {
      const insert = tx.prepare('INSERT INTO transcript (session_id, seq, id, at, run_id, message) VALUES (?, ?, ?, 1, NULL, ?)');
      for (let seq = 2; seq <= 100_000; seq++) insert.run(sessionId, seq, `bulk-${seq}`, '{"role":"user","text":"x"}');
      tx.prepare('UPDATE session_ids SET last_seq = 100000 WHERE session_id = ?').run(sessionId);
    });
    await s.store.accept(newRun('small', 'agent:main:small'), quiet);
    const small = s.store.session('agent:main:small')?.sessionId ?? '';
    const time = (id: string, query: object): number => {
      const times = Array.from({ length: 50 }, () => {
        const began = performance.now();
        s.store.entries(id, { limit: 200, ...query });
        return performance.now() - began;
      }).sort((a, b) => a - b);
      return times[25] ?? 0;
    };
    // Two hundred rows against one: what counts is that it is not a hundred thousand.
    const base = time(small, {});
    for (const query of [{}, { offset: 50_000 }, { offset: 99_700 }, { beforeSeq: 300 }])
      expect(time(sessionId, query)).toBeLessThan(Math.max(5, base * 500));
    const plan = s.db
      .prepare('EXPLAIN QUERY PLAN SELECT seq FROM transcript WHERE session_id = ? AND seq <= ? ORDER BY seq DESC LIMIT ?')
      .all('x', 1, 1);
    expect(JSON.stringify(plan)).toContain('SEARCH');
    expect(JSON.stringify(plan)).not.toContain('TEMP B-TREE');
  });
});

test('HT-70 a session that nobody was given the name of goes with all it had when its time is over; one that was used since stays', async () => {
  await using s = await opened();
  const oneOff = (runId: string, key: string): NewRun => {
    const run = newRun(runId, key);
    return { ...run, request: { ...run.request, isOneOff: true } };
  };
  const rows = (): number =>
    ['sessions', 'session_ids', 'transcript', 'runs', 'events', 'topics', 'run_journal', 'unnamed_sessions']
      .map((table) => Number(Object.values(s.db.prepare(`SELECT count(*) FROM ${table}`).get() ?? {})[0]))
      .reduce((sum, n) => sum + n, 0);
  const end = (runId: string, at: number) =>
    s.store.finish({ runId, status: 'ok', at, usage: USAGE, entries: [reply(`answer of ${runId}`)] }, quiet);

  for (let i = 0; i < 20; i++) {
    await s.store.accept(oneOff(`r${i}`, `agent:main:openai:${i}`), quiet);
    await end(`r${i}`, 100 + i);
  }
  // One is still being answered, one was used again, one is named by its user from the start.
  await s.store.accept(oneOff('running', 'agent:main:openai:running'), quiet);
  await s.store.accept(oneOff('used', 'agent:main:openai:used'), quiet);
  await end('used', 50);
  await s.store.accept(newRun('used-again', 'agent:main:openai:used'), quiet);
  await end('used-again', 60);
  await s.store.accept(newRun('named', 'agent:main:openai-user:me'), quiet);
  await end('named', 50);

  expect(await s.store.sweepUnnamed(99)).toEqual({ gone: [], more: false });
  const gone: string[] = [];
  for (let more = true; more; ) {
    const step = await s.store.sweepUnnamed(110);
    gone.push(...step.gone.map(({ key }) => key));
    more = step.more;
  }
  expect(gone.sort()).toEqual(Array.from({ length: 11 }, (_, i) => `agent:main:openai:${i}`).sort());
  expect(s.store.session('agent:main:openai:3')).toBeUndefined();
  expect(s.store.run('r3')).toBeUndefined();
  expect(s.store.session('agent:main:openai:15')).toBeDefined();
  for (let more = true; more; ) more = (await s.store.sweepUnnamed(10_000)).more;
  for (const key of ['running', 'used']) expect(s.store.session(`agent:main:openai:${key}`)).toBeDefined();
  expect(s.store.session('agent:main:openai-user:me')).toBeDefined();
  // What is left is what those three have: nothing of the twenty lies anywhere.
  const left = rows();
  await s.store.accept(oneOff('last', 'agent:main:openai:last'), quiet);
  await end('last', 20_000);
  for (let more = true; more; ) more = (await s.store.sweepUnnamed(30_000)).more;
  expect(rows()).toBe(left);
});
