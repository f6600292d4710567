import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { type ScriptedProvider, startScriptedProvider } from '../../test/support/scripted-provider.ts';
import { testAgent, turn } from '../../test/support/test-agent.ts';
import { until } from '../../test/support/until.ts';
import { AGENT_SCHEMA } from '../store/sqlite/agent.ts';
import { EVENT_LOG_STEP } from '../store/sqlite/event-log.ts';
import { openDatabase } from '../store/sqlite/open.ts';

let provider: ScriptedProvider;
beforeAll(async () => {
  provider = await startScriptedProvider();
});
afterAll(() => provider.close());

const image = (bytes: number) => ({ mimeType: 'image/png', fileName: 'a.png', content: Buffer.alloc(bytes, 7).toString('base64') });
const filesIn = (dir: string): string[] => {
  try {
    return fs.readdirSync(path.join(dir, 'attachments'));
  } catch {
    return [];
  }
};

test('AG-90 the file of a run goes with its end: answered, aborted, reset, refused', async () => {
  await using t = await testAgent({ provider: provider.url, held: true });
  const send = (runId: string, sessionKey: string, more = {}) =>
    t.agent.send(turn('hello', { runId, sessionKey, attachments: [image(9)], ...more }));
  expect(await send('answered', 'agent:main:a')).toMatchObject({ status: 'started' });
  expect(await send('aborted', 'agent:main:b')).toMatchObject({ status: 'started' });
  expect(await send('reset', 'agent:main:c')).toMatchObject({ status: 'started' });
  expect(filesIn(t.dir).length).toBe(3);
  expect(await send('answered', 'agent:main:a')).toMatchObject({ status: 'in_flight' });
  expect(await send('answered', 'agent:main:a', { attachments: [image(8)] })).toMatchObject({
    error: { details: { code: 'IDEMPOTENCY_MISMATCH' } },
  });
  expect(await send('bad', 'agent:main:d', { attachments: [{ mimeType: 'image/png', content: '!' }] })).toMatchObject({
    error: { code: 'INVALID_REQUEST', message: 'attachments[0].content is not base64' },
  });
  expect(await send('nobody', 'agent:nosuch:d')).toMatchObject({ error: { details: { code: 'UNKNOWN_AGENT' } } });
  expect(filesIn(t.dir).length).toBe(3);
  await t.agent.abort({ sessionKey: 'agent:main:b', reason: 'rpc', mayAbort: () => true });
  await t.agent.resetSession('agent:main:c', 'reset');
  t.agent.resume();
  expect(await t.agent.wait('answered', 20_000)).toMatchObject({ status: 'ok' });
  await until(() => filesIn(t.dir).length === 0);
});

test('AG-98 what has attachments is not overtaken in its session, and only so much is accepted at the same time', async () => {
  await using t = await testAgent({ provider: provider.url, held: true });
  const large = image(4_800_000);
  const attachments = [large, large, large];
  const outcomes = await Promise.all([
    t.agent.send(turn('first', { runId: 'first', attachments })),
    t.agent.send(turn('second', { runId: 'second' })),
    t.agent.send(turn('elsewhere', { runId: 'elsewhere', sessionKey: 'agent:main:b', attachments })),
    t.agent.send(turn('too much', { runId: 'too-much', sessionKey: 'agent:main:c', attachments })),
  ]);
  expect(outcomes.map(({ status }) => status)).toEqual(['started', 'started', 'started', 'refused']);
  expect(outcomes[3]).toMatchObject({
    error: { code: 'UNAVAILABLE', retryable: true, retryAfterMs: 1_000, details: { code: 'QUEUE_BYTES' } },
  });
  expect(t.agent.transcript('agent:main:main', { limit: 10 }).entries.map(({ runId }) => runId)).toEqual(['first', 'second']);
  expect(await t.agent.send(turn('now', { runId: 'too-much', sessionKey: 'agent:main:c', attachments }))).toMatchObject({
    status: 'started',
  });
});

test('AG-92 the budget is counted again after a restart, and freed by an end', async () => {
  const large = image(4_800_000);
  const send = (t: Awaited<ReturnType<typeof testAgent>>, n: number) =>
    t.agent.send(turn('x', { runId: `big-${n}`, sessionKey: `agent:main:s${n}`, attachments: [large, large, large] }));
  await using t = await testAgent({ provider: provider.url, held: true });
  let n = 0;
  for (; (await send(t, n)).status === 'started'; n++);
  expect(n).toBe(9);
  await t.crash();
  await using again = await testAgent({ provider: provider.url, held: true, dir: t.dir });
  expect(await send(again, n)).toMatchObject({ error: { details: { code: 'QUEUE_BYTES' }, retryAfterMs: 5_000 } });
  await again.agent.abort({ sessionKey: 'agent:main:s0', reason: 'rpc', mayAbort: () => true });
  expect(await send(again, n)).toMatchObject({ status: 'started' });
});

test('AG-95 AG-96 what two starts found marked is held; a reset ends it like an abort, a retry runs it', async () => {
  const t = await testAgent({ provider: provider.url, held: true });
  for (const [runId, sessionKey] of [
    ['kept', 'agent:main:a'],
    ['ended', 'agent:main:b'],
    ['cut', 'agent:main:c'],
  ] as const)
    await t.agent.send(turn('hello', { runId, sessionKey }));
  await t.db.write((tx) => tx.prepare("UPDATE runs SET status = 'running' WHERE run_id = 'cut'").run());
  await t.db.write((tx) => tx.prepare('UPDATE run_waiting SET marked = 1').run());
  await t.crash();
  // The next life finds the marks, and dies as well.
  const next = await testAgent({
    provider: provider.url,
    held: true,
    dir: t.dir,
    wrapStore: (store) => ({ ...store, finish: () => Promise.reject(new Error('no')) }),
  });
  expect(next.agent.heldRuns()).toEqual([]);
  await next.db.write((tx) => tx.prepare('UPDATE run_waiting SET marked = 1').run());
  await next.crash();
  await using again = await testAgent({ provider: provider.url, dir: t.dir });
  expect(again.agent.heldRuns().map(({ runId, during }) => [runId, during])).toEqual([
    ['kept', 'begin'],
    ['ended', 'begin'],
    ['cut', 'close'],
  ]);
  expect(again.agent.activeRuns()).toBe(0);
  await again.agent.resetSession('agent:main:b', 'reset');
  expect(again.agent.run('ended')).toMatchObject({ status: 'aborted' });
  expect(await again.agent.retryHeld('cut')).toBe(true);
  expect(again.agent.run('cut')).toMatchObject({ status: 'interrupted' });
  expect(await again.agent.retryHeld('kept')).toBe(true);
  expect(await again.agent.wait('kept', 20_000)).toMatchObject({ status: 'ok' });
  expect([await again.agent.retryHeld('kept'), await again.agent.dropHeld('ended'), await again.agent.dropHeld('nosuch')]).toEqual([
    false,
    false,
    false,
  ]);
});

test('ST-54 what no run names is removed after a start', async () => {
  const clock = manualClock();
  const t = await testAgent({ held: true });
  await t.agent.send(turn('waits', { attachments: [image(5)] }));
  await t.crash();
  fs.writeFileSync(path.join(t.dir, 'attachments', 'orphan'), 'x');
  await using again = await testAgent({ held: true, dir: t.dir, clock });
  expect(filesIn(again.dir).length).toBe(2);
  await clock.advance(3_000);
  await until(() => filesIn(again.dir).length === 1);
  expect(filesIn(again.dir)).not.toContain('orphan');
});

test('ST-55 a message that an earlier version left waiting goes on, with its attachment', async () => {
  const dir = fs.mkdtempSync(path.join((await import('node:os')).tmpdir(), 'oca-'));
  const before = await openDatabase(path.join(dir, 'db.sqlite'), { schemas: [EVENT_LOG_STEP, AGENT_SCHEMA] });
  if (!before.ok) throw before.error;
  const request = turn('from before', { runId: 'old', attachments: [image(5)] });
  await before.value.write((tx) => {
    tx.prepare("INSERT INTO sessions (key, session_id, agent_id, created_at, updated_at) VALUES (?, 's', 'main', 1, 1)").run(
      request.sessionKey,
    );
    tx.prepare("INSERT INTO session_ids (session_id, key, created_at) VALUES ('s', ?, 1)").run(request.sessionKey);
    tx.prepare(
      `INSERT INTO runs (run_id, session_key, session_id, agent_id, principal_id, status, accepted_at, digest, request)
       VALUES ('old', ?, 's', 'main', 'owner', 'queued', 1, 'd', ?)`,
    ).run(request.sessionKey, JSON.stringify(request));
  });
  await before.value.close();
  await using t = await testAgent({ provider: provider.url, dir });
  expect(await t.agent.wait('old', 20_000)).toMatchObject({ status: 'ok', text: expect.stringContaining('[attached: a.png') });
});
