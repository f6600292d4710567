import { spawnSync } from 'node:child_process';
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { newStateDir, runCli, startTestGateway } from '../support/gateway.ts';
import { type ScriptedProvider, startScriptedProvider } from '../support/scripted-provider.ts';
import { until } from '../support/until.ts';
import { connect, type Frame, newDevice, type RawClient } from '../support/wire.ts';
import { expectWithinBounds, startWatchedGateway, type WatchedGateway } from './support/attack.ts';

let provider: ScriptedProvider;
beforeAll(async () => {
  provider = await startScriptedProvider();
});
afterAll(() => provider.close());

const HANG = 'TEST:hang after=1';
/** Its model takes images, so that they travel all the way. */
const config = (more: object = {}): string =>
  JSON.stringify({
    agents: { defaults: { model: 'scripted/model' } },
    models: {
      providers: {
        scripted: {
          baseUrl: provider.url,
          apiKey: 'not-a-secret',
          api: 'openai-completions',
          models: [{ id: 'model', name: 'Model', input: ['text', 'image'] }],
        },
      },
    },
    ...more,
  });
const boot = (stateDir: string, more: object = {}): Promise<WatchedGateway> => startWatchedGateway({ stateDir, config: config(more) });
const enter = (gateway: { url: string; token(): string }, device = newDevice()): Promise<RawClient> =>
  connect(gateway.url, { device, auth: { token: gateway.token() } });

async function inStateDir(use: (stateDir: string) => Promise<void>): Promise<void> {
  const stateDir = newStateDir();
  try {
    await use(stateDir);
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

/** Three images of 6.5 million characters each, as one piece of a frame that is sent again and again. */
const IMAGE = Buffer.alloc(6_500_000, 'iVBORw0KGgo').toString('latin1');
const ATTACHMENTS = Buffer.from(
  `"attachments":[${[1, 2, 3].map((n) => `{"type":"image","mimeType":"image/png","fileName":"${n}.png","content":"${IMAGE}"}`).join(',')}]`,
);
const FRAME_BYTES = ATTACHMENTS.length;

/** Sends one `chat.send` with the three images as one message in pieces, so that the attacker has them in memory once. */
async function sendImages(client: RawClient, id: string, sessionKey: string, message = HANG): Promise<void> {
  const { ws } = client as unknown as { ws: WebSocket };
  const head = JSON.stringify({ type: 'req', id, method: 'chat.send', params: { sessionKey, message, idempotencyKey: id } });
  ws.send(`${head.slice(0, -2)},`, { fin: false });
  await new Promise<void>((resolve, reject) =>
    ws.send(ATTACHMENTS, { fin: false, binary: false }, (error) => (error ? reject(error) : resolve())),
  );
  ws.send('}}', { fin: true });
}
const answerTo = (client: RawClient, id: string): Promise<Frame> =>
  client.frame((frame) => frame.type === 'res' && frame.id === id, `answer to ${id}`, 120_000);

/** What the gateway's database says, read beside it. */
function sql(stateDir: string, text: string): Record<string, unknown>[] {
  const db = new DatabaseSync(join(stateDir, 'gateway', 'gateway.sqlite'), { readOnly: true });
  try {
    return db.prepare(text).all() as Record<string, unknown>[];
  } finally {
    db.close();
  }
}
const files = (stateDir: string): string[] => readdirSync(join(stateDir, 'gateway', 'attachments'));

describe('what waits is bounded in bytes', () => {
  test('AG-90 AG-92 AG-93: 208 waiting messages with three 6.5 MB images each, a kill, and the start after it', { timeout: 600_000 }, () =>
    inStateDir(async (stateDir) => {
      await using gateway = await boot(stateDir);
      await using client = await enter(gateway);
      const answers: Frame[] = [];
      const figures = await gateway.under('208 messages with three images of 6.5 MB', async () => {
        for (let i = 0; i < 208; i++) {
          await sendImages(client, `m${i}`, `s${i % 16}`);
          answers.push(await answerTo(client, `m${i}`));
        }
      });
      const taken = answers.filter(({ ok }) => ok);
      const refused = answers.filter(({ ok }) => !ok);
      expect(taken.length).toBeGreaterThan(4);
      expect(taken.length * FRAME_BYTES * 0.75).toBeLessThan(128 * 1024 * 1024);
      expect(refused.length).toBeGreaterThan(150);
      for (const { error } of refused) {
        expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, details: { code: 'QUEUE_BYTES' } });
        expect(error.retryAfterMs).toBeGreaterThan(0);
      }
      expect(files(stateDir).length).toBe(taken.length);
      expectWithinBounds(figures);

      // Somebody else still gets in with as much.
      await using other = await enter(gateway);
      await sendImages(other, 'other', 'other', 'TEST:text seen');
      expect(await answerTo(other, 'other')).toMatchObject({ ok: true });

      await gateway.kill('SIGKILL');
      await using next = await boot(stateDir);
      await using again = await enter(next);
      const idle = next.rssMiB();
      expect(idle).toBeLessThan(200);
      // What waits goes on one after the other; nobody has to do anything for it.
      const after = await next.under('the start after it', async () => {
        await until(() => Number(sql(stateDir, "SELECT count(*) AS n FROM runs WHERE status = 'running'")[0]?.['n']) >= 1, 60_000);
      });
      expectWithinBounds(after);
      await Promise.all(
        Array.from({ length: 17 }, (_, i) => again.request('chat.abort', { sessionKey: i === 16 ? 'other' : `s${i}` }, 60_000)),
      );
      await until(() => files(stateDir).length === 0, 60_000);
    }),
  );

  test('AG-98 the same with all of them in flight at once, over eight connections', { timeout: 600_000 }, () =>
    inStateDir(async (stateDir) => {
      await using gateway = await boot(stateDir);
      const clients = await Promise.all(Array.from({ length: 8 }, () => enter(gateway)));
      const answers: Frame[] = [];
      const figures = await gateway.under('64 messages with three images of 6.5 MB over eight connections', async () => {
        await Promise.all(
          clients.map(async (client, c) => {
            for (let i = 0; i < 8 && client.closed === undefined; i++) {
              await sendImages(client, `c${c}-${i}`, `c${c}`).catch(() => {});
              const answer = await answerTo(client, `c${c}-${i}`).catch(() => undefined);
              if (answer !== undefined) answers.push(answer);
            }
          }),
        );
      });
      // Eight such messages at once are more than all may have under way: they wait for a place (WS-50), nobody is turned away for it.
      expect(clients.flatMap((client) => client.closed ?? [])).toEqual([]);
      expect(answers.length).toBe(64);
      expect(answers.filter(({ ok }) => !ok).every(({ error }) => error.retryAfterMs > 0)).toBe(true);
      console.log('taken', answers.filter(({ ok }) => ok).length);
      expectWithinBounds(figures);
      for (const client of clients) await client[Symbol.asyncDispose]();
    }),
  );

  test('AG-92 600 waiting messages of 512 KB of text in many sessions', { timeout: 600_000 }, () =>
    inStateDir(async (stateDir) => {
      await using gateway = await boot(stateDir);
      await using client = await enter(gateway);
      const text = `${HANG} ${'é'.repeat(500_000)}`;
      const frames = Array.from({ length: 600 }, (_, i) =>
        JSON.stringify({
          type: 'req',
          id: `t${i}x`,
          method: 'chat.send',
          params: { sessionKey: `t${i % 60}`, message: text, idempotencyKey: `t${i}` },
        }),
      );
      const answers: Frame[] = [];
      const figures = await gateway.under('600 messages of 1 MB of text', async () => {
        for (const [i, frame] of frames.entries()) {
          client.send(frame);
          answers.push(await answerTo(client, `t${i}x`));
        }
      });
      const refused = answers.filter(({ ok }) => !ok);
      expect(refused.length).toBeGreaterThan(100);
      console.log('refused', refused.length, JSON.stringify(refused[0]?.error), JSON.stringify(refused.at(-1)?.error));
      expectWithinBounds(figures);
    }),
  );

  test('AG-92 200 completions that wait with 1 MB of earlier messages each', { timeout: 600_000 }, () =>
    inStateDir(async (stateDir) => {
      await using gateway = await boot(stateDir, { gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } } });
      const body = JSON.stringify({
        model: 'openclaw',
        messages: [
          ...Array.from({ length: 10 }, (_, i) => ({ role: i % 2 ? 'assistant' : 'user', content: 'x'.repeat(100_000) })),
          { role: 'user', content: HANG },
        ],
      });
      const stop = new AbortController();
      const seen: number[] = [];
      const figures = await gateway.under('200 completions with 1 MB of context', async () => {
        const all = Array.from({ length: 200 }, () =>
          fetch(`${gateway.httpUrl}/v1/chat/completions`, {
            method: 'POST',
            headers: { authorization: `Bearer ${gateway.token()}`, 'content-type': 'application/json' },
            body,
            signal: stop.signal,
          }).then(
            ({ status }) => seen.push(status),
            () => {},
          ),
        );
        await until(
          () =>
            seen.length + Number(sql(stateDir, "SELECT count(*) AS n FROM runs WHERE status IN ('queued', 'running')")[0]?.['n']) === 200,
          120_000,
        );
        stop.abort();
        await Promise.all(all);
      });
      console.log('statuses', [...new Set(seen)], seen.length);
      expectWithinBounds(figures);
      // Nobody waits for them any more.
      await until(
        () => Number(sql(stateDir, "SELECT count(*) AS n FROM runs WHERE status IN ('queued', 'running')")[0]?.['n']) === 0,
        60_000,
      );
    }),
  );

  test('AG-90 the same attachments named again: 40 repeats of one message', { timeout: 600_000 }, () =>
    inStateDir(async (stateDir) => {
      await using gateway = await boot(stateDir);
      await using client = await enter(gateway);
      await sendImages(client, 'first', 'main');
      expect(await answerTo(client, 'first')).toMatchObject({ ok: true });
      const { ws } = client as unknown as { ws: WebSocket };
      const answers: Frame[] = [];
      const figures = await gateway.under('40 repeats of a message with three images', async () => {
        for (let i = 0; i < 40; i++) {
          ws.send(
            `{"type":"req","id":"r${i}","method":"chat.send","params":{"sessionKey":"main","message":"${HANG}","idempotencyKey":"first",`,
            { fin: false },
          );
          ws.send(ATTACHMENTS, { fin: false, binary: false });
          ws.send('}}', { fin: true });
          if (i % 4 === 3) for (let back = i - 3; back <= i; back++) answers.push(await answerTo(client, `r${back}`));
        }
      });
      for (const answer of answers) {
        if (answer.ok) expect(answer.payload).toMatchObject({ runId: 'first', status: 'in_flight' });
        else expect(answer.error).toMatchObject({ details: { code: 'QUEUE_BYTES' } });
      }
      expect(files(stateDir).length).toBe(1);
      expectWithinBounds(figures);
    }),
  );
});

describe('a start that repeats what killed it', () => {
  test(
    'AG-95 AG-96: killed twice while one message is taken up: it is set aside, named, and can be retried or dropped',
    { timeout: 300_000 },
    () =>
      inStateDir(async (stateDir) => {
        const ids = { retried: '', dropped: '' };
        const place = join(stateDir, 'gateway', 'attachments');
        {
          await using gateway = await startTestGateway({ stateDir, config: config() });
          await using client = await enter(gateway);
          const send = async (sessionKey: string, idempotencyKey: string, message: string, attached: boolean): Promise<void> => {
            const attachments = attached ? [{ type: 'image', mimeType: 'image/png', content: 'iVBORw0KGgo=' }] : [];
            await client.call('chat.send', { sessionKey, message, idempotencyKey, attachments });
          };
          for (const key of ['retried', 'dropped'] as const) {
            await send(key, `${key}-first`, HANG, false);
            await send(key, `${key}-bad`, 'TEST:text late', true);
            await send(key, `${key}-behind`, 'TEST:text behind', false);
            ids[key] = String(sql(stateDir, `SELECT file FROM run_waiting WHERE run_id = '${key}-bad'`)[0]?.['file']);
          }
          await until(() => sql(stateDir, "SELECT 1 FROM runs WHERE status = 'running'").length === 2);
          await gateway.kill('SIGKILL');
        }
        // What is taken up from a pipe nobody writes to is taken up for ever: the kill comes right then.
        for (const file of Object.values(ids)) {
          renameSync(join(place, file), join(stateDir, file));
          spawnSync('mkfifo', [join(place, file)]);
        }
        const held = (): unknown[] =>
          sql(stateDir, 'SELECT run_id FROM run_waiting WHERE held_at IS NOT NULL ORDER BY run_id').map(({ run_id }) => run_id);
        const marked = (): unknown[] =>
          sql(stateDir, "SELECT run_id FROM run_waiting WHERE marked = 1 AND run_id LIKE '%-bad'").map(({ run_id }) => run_id);
        const seen: unknown[] = [];
        for (let life = 0; life < 4; life++) {
          await using gateway = await startTestGateway({ stateDir, config: config() });
          await until(() => marked().length > 0);
          seen.push(...marked());
          await gateway.kill('SIGKILL');
        }
        expect(seen).toEqual(['retried-bad', 'retried-bad', 'dropped-bad', 'dropped-bad']);

        await using gateway = await startTestGateway({ stateDir, config: config() });
        expect(held()).toEqual(['dropped-bad', 'retried-bad']);
        expect(gateway.output()).toContain('openclaw sessions retry dropped-bad');
        await using client = await enter(gateway);
        // What stood behind them goes on (one was cut by a kill above, and ended).
        for (const key of ['retried', 'dropped'])
          expect((await client.call('agent.wait', { runId: `${key}-behind`, timeoutMs: 20_000 })).status).not.toBe('timeout');
        const { gateway: facts } = await client.call('status', {});
        expect(facts).toMatchObject({
          heldRuns: 2,
          held: [{ runId: 'retried-bad', sessionKey: 'agent:main:retried' }, { runId: 'dropped-bad' }],
        });
        const cli = (...args: string[]) => runCli(args, { env: gateway.env() });
        expect((await cli('status')).stdout).toContain('openclaw sessions held');
        const listed = await cli('sessions', 'held');
        expect(listed.stdout).toContain('agent:main:retried');
        expect((await cli('sessions', 'drop', 'nosuch')).code).not.toBe(0);

        expect(await cli('sessions', 'drop', 'dropped-bad')).toMatchObject({ code: 0 });
        expect(await client.event('chat', ({ runId }) => runId === 'dropped-bad')).toMatchObject({ state: 'aborted' });
        expect(sql(stateDir, "SELECT status FROM runs WHERE run_id = 'dropped-bad'")).toEqual([{ status: 'aborted' }]);

        rmSync(join(place, ids.retried));
        renameSync(join(stateDir, ids.retried), join(place, ids.retried));
        expect(await cli('sessions', 'retry', 'retried-bad')).toMatchObject({ code: 0 });
        expect(await client.call('agent.wait', { runId: 'retried-bad', timeoutMs: 20_000 })).toMatchObject({ status: 'ok' });
        expect((await client.call('status', {})).gateway.heldRuns).toBeUndefined();
        await until(() => files(stateDir).length === 0);
        expect(sql(stateDir, 'SELECT * FROM run_waiting')).toEqual([]);
      }),
  );
});
