import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TryModel } from '../../src/agent/ports.ts';
import { createTryModel } from '../../src/agent/try-model/child.ts';
import { installTryModel, removeTryModel, type TryModelProgress } from '../../src/agent/try-model/install.ts';
import { findPython, isTryModelInstalled, planTryModel, type TryModelPlace } from '../../src/agent/try-model/plan.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { ROOT } from '../support/gateway.ts';
import { tempDir } from '../support/temp-dir.ts';
import { KEY, testAgent, turn } from '../support/test-agent.ts';
import { until } from '../support/until.ts';

// The real small model: a real Python, real packages, real tokens.

const dir = tempDir();
const place: TryModelPlace = { modelsDir: path.join(dir.path, 'models'), assetsDir: path.join(ROOT, 'assets'), env: process.env };
let model: TryModel;
let missing: string | undefined;
const progress: TryModelProgress[] = [];

beforeAll(async () => {
  const python = await findPython(process.env);
  if (!python.ok) {
    missing = `${python.error.message} ${python.error.fix}`;
    return;
  }
  const installed = await installTryModel(place, { onProgress: (each) => progress.push(each) });
  if (!installed.ok) {
    missing = `the packages cannot be installed here: ${installed.error.message}`;
    return;
  }
  model = createTryModel(place, silentLog, systemClock);
});
afterAll(async () => {
  await model?.stop();
  dir[Symbol.dispose]();
});

const pidsServing = (): string[] =>
  fs
    .readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`${dir.path}/models/smollm2`);
      } catch {
        return false;
      }
    });

describe('the small local model', () => {
  test('AG-80 installs by itself, in steps that are told', async (ctx) => {
    if (missing !== undefined) return ctx.skip(missing);
    expect(isTryModelInstalled(place)).toBe(true);
    expect([...new Set(progress.map(({ step }) => step))]).toEqual([1, 2, 3, 4]);
    expect(await planTryModel(place)).toMatchObject({ installed: true, model: 'try/smollm2-135m', python: { ok: true } });
    expect(fs.readdirSync(place.modelsDir)).toEqual(['smollm2']);
    expect(fs.statSync(place.modelsDir).mode & 0o777).toBe(0o700);
    // A second time it is there already.
    expect(await installTryModel(place)).toMatchObject({ ok: true });
  });

  test('AG-81 holds a conversation, streaming, in its 2048 tokens', async (ctx) => {
    if (missing !== undefined) return ctx.skip(missing);
    await using t = await testAgent({ ports: { tryModel: model } });
    fs.mkdirSync(t.workspace, { recursive: true });
    fs.writeFileSync(path.join(t.workspace, 'AGENTS.md'), 'You are kind. '.repeat(2_000));
    expect(t.agent.defaultModel()).toMatchObject({ provider: 'try', source: 'local-child', contextWindow: 2048 });
    const first = await t.ask('My name is Ada. Say hello to me.', { sampling: { maxOutputTokens: 40 } });
    expect(first).toMatchObject({ status: 'ok', provider: 'try', model: 'smollm2-135m' });
    expect(first?.text.length).toBeGreaterThan(3);
    expect(first?.usage?.input).toBeGreaterThan(10);
    expect(t.runEvents.filter(({ type }) => type === 'text').length).toBeGreaterThan(3);
    expect(await t.ask('What can you do?', { sampling: { maxOutputTokens: 20 } })).toMatchObject({ status: 'ok' });
    expect(t.agent.transcript(KEY, { limit: 10 }).entries).toHaveLength(4);
  });

  test('AG-81 a long conversation goes on: what is oldest is left out', async (ctx) => {
    if (missing !== undefined) return ctx.skip(missing);
    await using t = await testAgent({ ports: { tryModel: model } });
    for (let i = 0; i < 4; i++) {
      const run = await t.ask(`Question ${i}: ${'the sea is wide and the lobster is red. '.repeat(40)}`, {
        sampling: { maxOutputTokens: 10 },
      });
      expect(run?.error).toBeUndefined();
    }
    expect(await t.ask('字'.repeat(3_000))).toMatchObject({ status: 'error', error: { kind: 'context-too-small' } });
  });

  test('AG-82 nobody without its key is answered', async (ctx) => {
    if (missing !== undefined) return ctx.skip(missing);
    const { baseUrl, apiKey } = await model.serve(new AbortController().signal);
    expect(apiKey.length).toBeGreaterThan(40);
    expect(new URL(baseUrl).hostname).toBe('127.0.0.1');
    const ask = (headers: Record<string, string>): Promise<Response> =>
      fetch(`${baseUrl}/chat/completions`, {
        method: 'POST',
        headers,
        body: JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], max_tokens: 1 }),
      });
    expect((await ask({})).status).toBe(401);
    expect((await ask({ authorization: 'Bearer guess' })).status).toBe(401);
    expect((await ask({ authorization: `Bearer ${apiKey}` })).status).toBe(200);
    for (const pid of pidsServing()) expect(fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')).not.toContain(apiKey);
    model.release();
  });

  test('AG-83 an abort frees it at once', async (ctx) => {
    if (missing !== undefined) return ctx.skip(missing);
    await using t = await testAgent({ ports: { tryModel: model } });
    const request = turn('Tell me a very long story about the sea.', { sampling: { maxOutputTokens: 900 } });
    await t.agent.send(request);
    await t.told((event) => event.type === 'text' && event.text.length > 20);
    await t.agent.abort({ sessionKey: KEY, reason: 'rpc', mayAbort: () => true });
    expect(t.agent.run(request.runId)).toMatchObject({ status: 'aborted' });
    expect(t.agent.run(request.runId)?.text.length).toBeGreaterThan(10);
    expect(await t.ask('Say hi.', { sampling: { maxOutputTokens: 5 } })).toMatchObject({ status: 'ok' });
  });

  test('AG-84 killed, it comes back with the next question; stopped, nothing of it is left', async (ctx) => {
    if (missing !== undefined) return ctx.skip(missing);
    await using t = await testAgent({ ports: { tryModel: model } });
    expect(await t.ask('Say hi.', { sampling: { maxOutputTokens: 5 } })).toMatchObject({ status: 'ok' });
    const [pid] = pidsServing();
    process.kill(Number(pid), 'SIGKILL');
    await until(() => !pidsServing().includes(pid ?? ''));
    expect(await t.ask('Say hi again.', { sampling: { maxOutputTokens: 5 } })).toMatchObject({ status: 'ok' });
    await model.stop();
    expect(pidsServing()).toEqual([]);
  });

  test('AG-80 --remove leaves nothing', async (ctx) => {
    if (missing !== undefined) return ctx.skip(missing);
    await model.stop();
    expect(removeTryModel(place)).toBe(true);
    expect(fs.readdirSync(place.modelsDir)).toEqual([]);
    expect(removeTryModel(place)).toBe(false);
    expect(isTryModelInstalled(place)).toBe(false);
  });
});
