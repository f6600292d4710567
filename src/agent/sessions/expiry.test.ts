import { expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { testAgent, turn } from '../../../test/support/test-agent.ts';
import { AGENT_SCHEMA, createAgentStore } from '../../store/sqlite/agent.ts';
import { EVENT_LOG_STEP, eventLog } from '../../store/sqlite/event-log.ts';
import { openDatabase } from '../../store/sqlite/open.ts';
import { SESSION_LIST_STEP } from '../../store/sqlite/session-list.ts';
import { UNNAMED_SESSIONS_STEP } from '../../store/sqlite/unnamed-sessions.ts';

const HOUR = 3_600_000;
const key = (n: number): string => `agent:main:openai:00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const oneOff = (n: number) => ({ sessionKey: key(n), isOneOff: true, origin: { principalId: 'owner', via: 'http' as const } });
const TABLES = ['sessions', 'session_ids', 'transcript', 'runs', 'run_journal', 'events', 'topics', 'session_text_ids', 'unnamed_sessions'];

test('HT-70 a session without a name goes with all that is kept of it when its time is over, and those who follow hear it', async () => {
  const clock = manualClock();
  await using t = await testAgent({ clock });
  const rows = (): number[] => TABLES.map((table) => Number(t.db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n']));
  await t.ask('hello', { sessionKey: 'agent:main:kept' });
  const before = rows();
  for (let n = 0; n < 20; n++) await t.ask(`question ${n}`, oneOff(n));
  expect(t.agent.sessions({}).total).toBe(21);
  await clock.advance(23 * HOUR);
  expect(t.agent.sessions({}).total).toBe(21);
  // Steps of a few each: every one is a commit of its own, which takes real time.
  for (let i = 0; i < 400 && t.agent.sessions({}).total > 1; i++) {
    await clock.advance(10 * 60_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(rows()).toEqual(before);
  expect(t.agent.sessions({ search: 'question' }).total).toBe(0);
  const gone = t.sessionEvents.flatMap((event) => (event.type === 'changed' && event.reason === 'delete' ? [event.session.key] : []));
  expect(gone.toSorted()).toEqual(Array.from({ length: 20 }, (_, n) => key(n)));
  expect(t.agent.session('agent:main:kept')).toBeDefined();
});

test('HT-70 with 0 hours it goes when its answer has ended', async () => {
  await using t = await testAgent();
  t.setConfig((config) => ({ ...config, limits: { ...config.limits, keepUnnamedMs: 0 } }));
  const ended = await t.ask('hello', oneOff(1));
  expect(ended).toMatchObject({ status: 'ok' });
  await expect.poll(() => t.agent.session(key(1)), { timeout: 20_000 }).toBeUndefined();
  await t.ask('hello', oneOff(2));
  await expect.poll(() => t.agent.sessions({}).total, { timeout: 20_000 }).toBe(0);
});

test('HT-70 one whose answer is on its way stays, however old; one that was cut by a stop goes like the others', async () => {
  const clock = manualClock();
  const first = await testAgent({ clock, held: true });
  await first.agent.send(turn('hello', oneOff(1)));
  await clock.advance(48 * HOUR);
  expect(first.agent.sessions({}).total).toBe(1);
  await first.db.write((tx) => void tx.prepare("UPDATE runs SET status = 'running'").run());
  await first.crash();
  await using second = await testAgent({ clock, dir: first.dir });
  expect(second.agent.sessions({}).total).toBe(1);
  for (let i = 0; i < 400 && second.agent.sessions({}).total > 0; i++) {
    await clock.advance(HOUR);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(second.agent.sessions({}).total).toBe(0);
});

test('HT-71 a further message, a model that is chosen or a reset keeps it', async () => {
  await using t = await testAgent();
  for (let n = 0; n < 4; n++) await t.ask('hello', oneOff(n));
  await t.ask('and more', { sessionKey: key(0) });
  await t.agent.setSessionModel(key(1), null);
  await t.agent.resetSession(key(2), 'reset');
  t.setConfig((config) => ({ ...config, limits: { ...config.limits, keepUnnamedMs: 0 } }));
  await t.ask('the one that starts the sweep', oneOff(9));
  await expect.poll(() => t.agent.session(key(9)), { timeout: 20_000 }).toBeUndefined();
  expect([0, 1, 2, 3].map((n) => t.agent.session(key(n)) !== undefined)).toEqual([true, true, true, false]);
});

test('HT-72 such sessions of earlier versions are known by key and single run', async () => {
  using dir = tempDir();
  const file = `${dir.path}/db.sqlite`;
  const before = await openDatabase(file, { schemas: [EVENT_LOG_STEP, AGENT_SCHEMA] });
  if (!before.ok) throw before.error;
  const made = [
    { key: key(1), runs: ['a', 'a'] },
    { key: key(2), runs: ['b', 'c'] },
    { key: 'agent:main:openai-user:ann', runs: ['d'] },
    { key: 'agent:main:openai:not-an-id', runs: ['e'] },
  ];
  await before.value.write((tx) => {
    for (const [n, { key: each, runs }] of made.entries()) {
      tx.prepare(
        "INSERT INTO sessions (key, session_id, agent_id, created_at, updated_at, channel, last_status) VALUES (?, ?, 'main', 1, 1, 'http', 'done')",
      ).run(each, `s${n}`);
      for (const [seq, run] of runs.entries())
        tx.prepare('INSERT INTO transcript (session_id, seq, id, at, run_id, message) VALUES (?, ?, ?, 1, ?, ?)').run(
          `s${n}`,
          seq + 1,
          `${n}-${seq}`,
          run,
          '{"role":"user","text":"x"}',
        );
      // Their topics were named by the session id, and held the messages.
      eventLog(before.value).append(tx, `session:s${n}`, 'message', '{"entry":{"message":"x"}}', 1);
    }
  });
  await before.value.close();
  const after = await openDatabase(file, { schemas: [EVENT_LOG_STEP, AGENT_SCHEMA, SESSION_LIST_STEP, UNNAMED_SESSIONS_STEP] });
  if (!after.ok) throw after.error;
  const store = createAgentStore(after.value, eventLog(after.value));
  expect(await store.sweepUnnamed(Date.now() - HOUR)).toEqual({ gone: [], more: false });
  const { gone } = await store.sweepUnnamed(Date.now() + HOUR);
  expect(gone.map((session) => session.key)).toEqual([key(1)]);
  expect(store.sessions({}).total).toBe(3);
  const topics = after.value.prepare('SELECT topic FROM topics JOIN events ON topic_id = id ORDER BY topic').all();
  expect(topics.map(({ topic }) => topic)).toEqual(['session:s1', 'session:s2', 'session:s3']);
  await after.value.close();
});
