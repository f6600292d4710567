import { execFileSync } from 'node:child_process';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newStateDir, runCli, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { openaiPython, pythonMissing } from '../support/python.ts';
import { connect, newDevice } from '../support/wire.ts';

const missing = pythonMissing();
const CONFIG = '{ gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } } }';

const PYTHON_CHAT = `
import sys, openai
client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2])
messages = [{"role": "user", "content": "Say hello."}]
first = client.chat.completions.create(model="openclaw", messages=messages)
answer = first.choices[0].message.content
assert answer and first.usage.completion_tokens > 0, first
messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "Say goodbye."}]
text, usage = "", None
for chunk in client.chat.completions.create(model="openclaw", messages=messages, stream=True, stream_options={"include_usage": True}):
    if chunk.choices and chunk.choices[0].delta.content: text += chunk.choices[0].delta.content
    if chunk.usage: usage = chunk.usage
assert text and usage and usage.prompt_tokens > first.usage.prompt_tokens, (text, usage)
print("two turns", [m.id for m in client.models.list()])
`;

/** A real model: the one that `openclaw models try` puts in place. */
describe.skipIf(missing !== undefined)(`a real model, end to end${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  const stateDir = newStateDir();
  let gateway: TestGateway;
  beforeAll(async () => {
    gateway = await startTestGateway({ stateDir, config: CONFIG });
    const installed = await runCli(['models', 'try', '--yes'], { env: gateway.env(), timeoutMs: 280_000 });
    expect(installed, installed.stderr).toMatchObject({ code: 0 });
  });
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]();
    execFileSync('rm', ['-rf', stateDir]);
  });
  const cli = (args: readonly string[], input?: string) => runCli(args, { env: gateway.env(), ...(input !== undefined && { input }) });
  const openai = (): OpenAI => new OpenAI({ baseURL: `${gateway.httpUrl}/v1`, apiKey: gateway.token(), maxRetries: 0 });

  test('AG-81 openclaw agent -m and a two-turn openclaw chat; the history is there after a restart', async () => {
    const once = await cli(['agent', '-m', 'Say hello.', '--json']);
    expect(once, once.stderr).toMatchObject({ code: 0 });
    expect(JSON.stringify(JSON.parse(once.stdout))).toContain('smollm2');
    const chat = await cli(['chat'], 'Say the word apple.\nSay it again.\n');
    expect(chat, chat.stderr).toMatchObject({ code: 0 });
    const before = await history();
    expect(before.map(({ role }: { role: string }) => role)).toEqual(['user', 'assistant', 'user', 'assistant', 'user', 'assistant']);
    await gateway.stop();
    gateway = await startTestGateway({ stateDir });
    expect(await history()).toEqual(before);
  });

  const history = async () => {
    await using client = await connect(gateway.url, { protocol: 4, device: newDevice(), auth: { token: gateway.token() } });
    return (await client.call('chat.history', { sessionKey: 'main' })).messages.map((m: { role: string; content: unknown }) => ({
      role: m.role,
      content: m.content,
    }));
  };

  test('HT-41 HT-44 curl, streamed and not', () => {
    const curl = (stream: boolean): string =>
      execFileSync(
        'curl',
        [
          '-sS',
          '--fail-with-body',
          '--no-buffer',
          `${gateway.httpUrl}/v1/chat/completions`,
          '-H',
          `Authorization: Bearer ${gateway.token()}`,
          '-H',
          'Content-Type: application/json',
          '-d',
          JSON.stringify({ model: 'openclaw', stream, messages: [{ role: 'user', content: 'Say hello.' }] }),
        ],
        { encoding: 'utf8' },
      );
    expect(JSON.parse(curl(false)).choices[0].message.content).not.toBe('');
    const lines = curl(true)
      .split('\n')
      .filter((line) => line !== '');
    expect(lines.at(-1)).toBe('data: [DONE]');
    expect(lines.length).toBeGreaterThan(3);
  });

  test('HT-33 the official openai client for JavaScript holds a two-turn conversation', async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: 'user', content: 'Say hello.' }];
    const first = await openai().chat.completions.create({ model: 'openclaw', messages });
    const answer = first.choices[0]?.message.content ?? '';
    expect(answer).not.toBe('');
    expect(first.usage?.completion_tokens).toBeGreaterThan(0);
    messages.push({ role: 'assistant', content: answer }, { role: 'user', content: 'Say goodbye.' });
    let text = '';
    let finish: string | null | undefined;
    for await (const chunk of await openai().chat.completions.create({ model: 'openclaw', messages, stream: true })) {
      text += chunk.choices[0]?.delta.content ?? '';
      finish = chunk.choices[0]?.finish_reason ?? finish;
    }
    expect(text).not.toBe('');
    expect(finish).toBe('stop');
    // One conversation kept by the gateway: the second call sends its own message alone.
    const kept = { model: 'openclaw', user: 'ada' } as const;
    await openai().chat.completions.create({ ...kept, messages: [{ role: 'user', content: 'My word is apple.' }] });
    const second = await openai().chat.completions.create({ ...kept, messages: [{ role: 'user', content: 'And again.' }] });
    expect(second.usage?.prompt_tokens ?? 0).toBeGreaterThan(first.usage?.prompt_tokens ?? 0);
  });

  test('HT-34 the official openai client for Python holds a two-turn conversation', () => {
    const out = execFileSync(openaiPython(), ['-c', PYTHON_CHAT, `${gateway.httpUrl}/v1`, gateway.token()], { encoding: 'utf8' });
    expect(out).toContain('two turns');
  });

  test('AG-83 an abort reaches the model: the next answer comes at once', async () => {
    await using client = await connect(gateway.url, { protocol: 4, device: newDevice(), auth: { token: gateway.token() } });
    const send = (key: string, message: string) =>
      client.call('chat.send', { sessionKey: 'agent:main:abort', message, idempotencyKey: key });
    await send('long', 'Write a very long story about a whale.');
    await client.event('chat', (p) => p.runId === 'long' && p.state === 'delta', 30_000);
    expect(await client.call('chat.abort', { sessionKey: 'agent:main:abort', runId: 'long' })).toMatchObject({
      aborted: true,
      runIds: ['long'],
    });
    expect(await client.event('chat', (p) => p.runId === 'long' && p.state === 'aborted')).toMatchObject({ stopReason: 'rpc' });
    await send('short', 'Say hello.');
    await client.event('chat', (p) => p.runId === 'short' && p.state === 'final', 30_000);
  });

  test('AG-81 two clients at once both get their answers', async () => {
    await using a = await connect(gateway.url, { protocol: 4, device: newDevice(), auth: { token: gateway.token() } });
    await using b = await connect(gateway.url, { protocol: 3, device: newDevice(), auth: { token: gateway.token() } });
    await Promise.all([
      a.call('chat.send', { sessionKey: 'agent:main:a', message: 'Say hello.', idempotencyKey: 'ka' }),
      b.call('chat.send', { sessionKey: 'agent:main:b', message: 'Say hello.', idempotencyKey: 'kb' }),
    ]);
    await Promise.all([
      a.event('chat', (p) => p.runId === 'ka' && p.state === 'final', 60_000),
      b.event('chat', (p) => p.runId === 'kb' && p.state === 'final', 60_000),
    ]);
  });

  test('AG-14 a message that does not fit the context is a readable error with its fix', async () => {
    await using client = await connect(gateway.url, { protocol: 4, device: newDevice(), auth: { token: gateway.token() } });
    await client.call('chat.send', { sessionKey: 'agent:main:big', message: 'word '.repeat(6_000), idempotencyKey: 'big' });
    const error = await client.event('chat', (p) => p.runId === 'big' && (p.state === 'error' || p.state === 'final'), 60_000);
    expect(error.state).toBe('error');
    expect(error.errorMessage).toMatch(/context|long|fit/i);
  });

  test('AG-80 models try --remove undoes it', async () => {
    expect(await cli(['models', 'try', '--remove', '--yes'])).toMatchObject({ code: 0 });
    const list = JSON.parse((await cli(['models', 'list', '--json'])).stdout);
    expect(JSON.stringify(list)).not.toContain('smollm2');
  });
});
