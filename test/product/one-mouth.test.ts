import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type ScriptedProvider, startScriptedProvider } from '../support/scripted-provider.ts';
import { until } from '../support/until.ts';
import { connect, type Frame, newDevice, type RawClient } from '../support/wire.ts';

/** What is told is what was appended, in that order. */
describe('what is told', () => {
  let provider: ScriptedProvider;
  let gateway: TestGateway;
  beforeAll(async () => {
    provider = await startScriptedProvider();
    gateway = await startTestGateway({
      config: JSON.stringify({
        agents: { defaults: { model: 'scripted/model' } },
        models: {
          providers: {
            scripted: {
              baseUrl: provider.url,
              apiKey: 'not-a-secret',
              api: 'openai-completions',
              models: [{ id: 'model', name: 'Model' }],
            },
          },
        },
      }),
    });
  });
  afterAll(async () => {
    await gateway[Symbol.asyncDispose]();
    await provider.close();
  });
  const enter = (protocol: 3 | 4): Promise<RawClient> =>
    connect(gateway.url, { protocol, device: newDevice(), auth: { token: gateway.token() }, scopes: ['operator.admin'] });

  /** Entries of a session as the log names them, in its order. */
  function logged(key: string): number[] {
    const db = new DatabaseSync(join(gateway.stateDir, 'gateway', 'gateway.sqlite'), { readOnly: true });
    try {
      return db
        .prepare("SELECT payload FROM events WHERE kind = 'message' AND topic_id = (SELECT id FROM topics WHERE topic = ?) ORDER BY row_id")
        .all(`session:${key}`)
        .map(({ payload }) => JSON.parse(String(payload)).seq as number);
    } finally {
      db.close();
    }
  }
  const seqs = (client: RawClient, key: string): number[] =>
    client.frames
      .filter(({ event, payload }: Frame) => event === 'session.message' && payload.sessionKey === key)
      .map(({ payload }: Frame) => payload.messageSeq ?? payload.message?.__openclaw?.seq);

  test.each([3, 4] as const)(
    'EV-5 protocol %i: tool runs and messages sent among them are told in the order of the log',
    async (protocol) => {
      const key = `agent:main:order${protocol}`;
      await using watcher = await enter(4);
      await watcher.call('sessions.messages.subscribe', { key });
      await using sender = await enter(protocol);
      const runs: string[] = [];
      for (let i = 0; i < 10; i++) {
        for (const message of ['TEST:tool read path=notes.md', 'TEST:text short']) {
          const runId = `order${protocol}-${runs.length}`;
          runs.push(runId);
          await sender.call('chat.send', { sessionKey: key, message, idempotencyKey: runId });
        }
        await sender.call('agent.wait', { runId: runs.at(-1), timeoutMs: 20_000 });
      }
      const order = logged(key);
      expect(order.length).toBe(10 * (4 + 2));
      await until(() => seqs(watcher, key).length === order.length);
      expect(seqs(watcher, key)).toEqual(order);
      // Nothing of a run before the answer that it was taken.
      for (const runId of runs) {
        const answer = sender.frames.findIndex(({ type, payload }: Frame) => type === 'res' && payload?.runId === runId);
        const first = sender.frames.findIndex(({ type, payload }: Frame) => type === 'event' && payload?.runId === runId);
        expect(answer).toBeGreaterThan(-1);
        expect(first).toBeGreaterThan(answer);
      }
    },
  );

  test.each(['chat.abort', 'sessions.reset'] as const)('EV-142 %s in the same breath as a send means that send too', async (method) => {
    await using client = await enter(4);
    for (let i = 0; i < 5; i++) {
      const key = `agent:main:breath-${method}-${i}`;
      const runId = `${method}-${i}`;
      const attachments = i % 2 === 0 ? [] : [{ type: 'image', mimeType: 'image/png', content: 'iVBORw0KGgoA'.repeat(2_000) }];
      client.send({
        type: 'req',
        id: `s${i}`,
        method: 'chat.send',
        params: { sessionKey: key, message: 'TEST:hang after=1', idempotencyKey: runId, attachments },
      });
      const params = method === 'chat.abort' ? { sessionKey: key } : { key };
      const answer = await client.call(method, params);
      if (method === 'chat.abort') expect(answer.runIds).toEqual([runId]);
      expect(await client.call('agent.wait', { runId, timeoutMs: 15_000 })).toMatchObject({ status: 'error' });
      const ends = client.frames.filter(
        ({ event, payload }: Frame) => event === 'chat' && payload.runId === runId && ['final', 'aborted', 'error'].includes(payload.state),
      );
      expect(ends.map(({ payload }: Frame) => payload.state)).toEqual(['aborted']);
    }
  });
});
