import { connect } from 'node:net';
import OpenAI, { APIError } from 'openai';
import { describe, expect, test } from 'vitest';
import type { RunError } from '../../../agent/api.ts';
import { type FakeRun, type HttpFixture, startHttp, TOKEN } from '../testing.ts';

const headers = { Authorization: `Bearer ${TOKEN}`, 'Content-Type': 'application/json' };
const hello = [{ role: 'user', content: 'hello' }];
const post = (gateway: HttpFixture, body: unknown, more: Record<string, string> = {}): Promise<Response> =>
  fetch(`${gateway.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...headers, ...more },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });

/** The `data:` lines of a stream, parsed but for `[DONE]`. */
const lines = (text: string): unknown[] =>
  text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => (event === 'data: [DONE]' ? '[DONE]' : JSON.parse(event.slice(6))));

const failWith =
  (error: RunError, said = '') =>
  (_request: unknown, run: FakeRun): void => {
    if (said) run.say(said);
    run.event({ type: 'end', outcome: 'error', endedAt: 2, text: said, error });
  };

describe('HT-41 the answer as a whole', () => {
  test('HT-41 shape, usage, model as sent', async () => {
    await using gateway = await startHttp();
    const answer = await post(gateway, { model: 'openclaw/main', messages: hello });
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(await answer.json()).toEqual({
      id: expect.stringMatching(/^chatcmpl_[0-9a-f-]{36}$/),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'openclaw/main',
      choices: [{ index: 0, message: { role: 'assistant', content: 'hello' }, finish_reason: 'stop' }],
      usage: { prompt_tokens: 16, completion_tokens: 4, total_tokens: 20, prompt_tokens_details: { cached_tokens: 6 } },
    });
    expect(gateway.agent.sent[0]).toMatchObject({ message: 'hello', origin: { principalId: 'secret:test', via: 'http' } });
  });

  test('HT-41 an empty answer says so; a cut one says why', async () => {
    await using gateway = await startHttp();
    gateway.agent.script = (_request, run) => run.ok('length');
    expect(await (await post(gateway, { messages: hello })).json()).toMatchObject({
      choices: [{ message: { content: 'No response from OpenClaw.' }, finish_reason: 'length' }],
    });
  });

  test.each([
    ['bad-request', 400, 'provider_rejected', undefined],
    ['context-too-small', 400, 'context_length_exceeded', undefined],
    ['rate-limit', 429, 'rate_limit_exceeded', undefined],
    ['billing', 402, 'insufficient_quota', 'false'],
    ['auth', 502, 'provider_auth', 'false'],
    ['unreachable', 502, 'provider_unreachable', undefined],
    ['cut', 502, 'provider_cut', undefined],
    ['timeout', 504, 'timeout', undefined],
    ['interrupted', 503, 'run_interrupted', undefined],
    ['internal', 500, 'internal_error', 'false'],
  ] as const)('HT-42 a run that failed: %s', async (kind, status, code, retry) => {
    await using gateway = await startHttp();
    gateway.agent.script = failWith({ kind, message: 'it went wrong', fix: 'do this' });
    const answer = await post(gateway, { messages: hello });
    expect(answer.status).toBe(status);
    expect(answer.headers.get('x-should-retry') ?? undefined).toBe(retry);
    expect(await answer.json()).toMatchObject({ error: { message: 'it went wrong (do this)', code } });
  });

  test('HT-42 a run that somebody stopped is an error, not an answer', async () => {
    await using gateway = await startHttp();
    gateway.agent.script = (_request, run) => run.event({ type: 'end', outcome: 'aborted', endedAt: 2, text: 'ha', stopReason: 'rpc' });
    const answer = await post(gateway, { messages: hello });
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([400, 'false']);
    expect(await answer.json()).toMatchObject({ error: { code: 'run_aborted' } });
  });

  test('HT-42 a turn that the agent does not take', async () => {
    await using gateway = await startHttp();
    gateway.agent.send = async () =>
      ({ status: 'refused', error: { code: 'UNAVAILABLE', message: 'draining', retryAfterMs: 1500 } }) as never;
    const answer = await post(gateway, { messages: hello });
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '2']);
  });

  test.each([
    ['{nope', 'The body is not JSON'],
    ['[]', 'expected object'],
    ['"\\ud800"', 'lone surrogate'],
    [`{"messages":${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'nests deeper'],
    ['{"messages":[{"role":"user","content":"x"}],"__proto__":{"stream":true},"temperature":3}', 'temperature'],
  ])('HT-43 a body that is none: %.20s', async (body, message) => {
    await using gateway = await startHttp();
    const answer = await post(gateway, body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ error: { type: 'invalid_request_error', message: expect.stringContaining(message) } });
    expect(gateway.agent.sent).toHaveLength(0);
  });

  test('HT-43 bytes that are not UTF-8', async () => {
    await using gateway = await startHttp();
    const answer = await fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', headers, body: Buffer.from([0x22, 0xff, 0x22]) });
    expect([answer.status, await answer.json()]).toMatchObject([400, { error: { message: 'The body is not valid UTF-8.' } }]);
  });
});

describe('HT-44 the answer as a stream', () => {
  test('HT-44 role, text, stop, usage where asked for, done', async () => {
    await using gateway = await startHttp();
    gateway.agent.script = (_request, run) => {
      for (const piece of ['one', ' two', ' three']) run.say(piece);
      run.ok();
    };
    const answer = await post(gateway, { messages: hello, stream: true, stream_options: { include_usage: true } });
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-cache');
    const events = lines(await answer.text()) as {
      choices: { delta: Record<string, string>; finish_reason: string | null }[];
      object: string;
      usage?: object;
    }[];
    expect(events.at(-1)).toBe('[DONE]');
    const chunks = events.slice(0, -1);
    expect(chunks[0]?.choices).toEqual([{ index: 0, delta: { role: 'assistant' }, finish_reason: null }]);
    expect(chunks.map(({ choices }) => choices[0]?.delta['content'] ?? '').join('')).toBe('one two three');
    expect(chunks.at(-2)?.choices).toEqual([{ index: 0, delta: {}, finish_reason: 'stop' }]);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 20 } });
    expect(new Set(chunks.map(({ object }) => object))).toEqual(new Set(['chat.completion.chunk']));
    const plain = lines(await (await post(gateway, { messages: hello, stream: true })).text());
    expect(JSON.stringify(plain)).not.toContain('usage');
  });

  test('HT-45 an error in the middle is the last line', async () => {
    await using gateway = await startHttp();
    gateway.agent.script = failWith({ kind: 'cut', message: 'the provider hung up' }, 'half');
    const events = lines(await (await post(gateway, { messages: hello, stream: true })).text());
    expect(events.slice(1)).toMatchObject([
      { choices: [{ delta: { content: 'half' } }] },
      { error: { message: 'the provider hung up', code: 'provider_cut' } },
    ]);
  });

  test('HT-46 an answer that begins again: the same words go on, others end the stream', async () => {
    await using gateway = await startHttp();
    gateway.agent.script = (_request, run) => {
      run.say('one two');
      run.replace();
      run.say('one');
      run.say(' two three');
      run.ok();
    };
    const same = lines(await (await post(gateway, { messages: hello, stream: true })).text()) as {
      choices: { delta: { content?: string } }[];
    }[];
    expect(same.slice(1, 3).map(({ choices }) => choices[0]?.delta.content)).toEqual(['one two', ' three']);
    gateway.agent.script = (_request, run) => {
      run.say('one two');
      run.replace();
      run.say('otherwise');
      run.ok();
    };
    const other = lines(await (await post(gateway, { messages: hello, stream: true })).text());
    expect(other.slice(1)).toMatchObject([{ choices: [{ delta: { content: 'one two' } }] }, { error: { code: 'answer_restarted' } }]);
    expect(other).toHaveLength(3);
  });

  test('EV-162 a long answer in many pieces costs the loop its length, also when it is begun again', async () => {
    await using gateway = await startHttp();
    const pieces = 20_000;
    let spent = 0;
    gateway.agent.script = (_request, run) => {
      const before = process.threadCpuUsage();
      for (const restarts of [true, false]) {
        for (let i = 0; i < pieces; i++) run.say('fifty characters of text that are said again a bit ');
        if (restarts) run.replace();
      }
      run.ok();
      const { user, system } = process.threadCpuUsage(before);
      spent = (user + system) / 1000;
    };
    const events = lines(await (await post(gateway, { messages: hello, stream: true })).text()) as {
      choices?: { delta: { content?: string } }[];
    }[];
    const text = events.map(({ choices }) => choices?.[0]?.delta.content ?? '').join('');
    expect(text).toHaveLength(pieces * 'fifty characters of text that are said again a bit '.length);
    // A look at the whole for each piece took many seconds.
    expect(spent).toBeLessThan(2_000);
  });

  test('HT-47 half a character waits for its other half', async () => {
    await using gateway = await startHttp();
    gateway.agent.script = (_request, run) => {
      run.say('a\ud83e');
      run.say('\udd9e');
      run.ok();
    };
    const events = lines(await (await post(gateway, { messages: hello, stream: true })).text()) as {
      choices: { delta: { content?: string } }[];
    }[];
    expect(events.slice(1, 3).map(({ choices }) => choices[0]?.delta.content)).toEqual(['a', '🦞']);
  });

  test('HT-48 a reader that does not read costs no queue: it gets the rest in one piece', async () => {
    await using gateway = await startHttp();
    const piece = 'x'.repeat(1_000);
    let resume = (): void => {};
    const read = new Promise<void>((resolve) => {
      resume = resolve;
    });
    gateway.agent.script = async (_request, run) => {
      for (let i = 0; i < 8_000; i++) run.say(piece);
      resume();
      run.ok();
    };
    const socket = connect(gateway.port, '127.0.0.1');
    const body = JSON.stringify({ messages: hello, stream: true });
    socket.pause();
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${TOKEN}\r\nConnection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await read;
    let text = '';
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.resume();
    await closed;
    expect(text.match(/"content":"x+"/g)?.length).toBeLessThan(200);
    expect(text.split('x').length - 1).toBeGreaterThanOrEqual(8_000_000);
    expect(text).toContain('[DONE]');
  });

  test('HT-49 silence is broken by comments', async () => {
    await using gateway = await startHttp({ ports: { limits: { commentMs: 20 } } });
    let finish = (): void => {};
    gateway.agent.script = (_request, run) => {
      finish = () => run.ok();
    };
    const answer = await post(gateway, { messages: hello, stream: true });
    const reader = answer.body?.getReader();
    let text = '';
    while (!text.includes(': still running')) text += Buffer.from((await reader?.read())?.value ?? []).toString();
    finish();
    for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) text += Buffer.from(part.value).toString();
    expect(text).toContain('[DONE]');
  });
});

describe('HT-50 a caller who goes away', () => {
  const leave = async (gateway: HttpFixture, body: object, stream: boolean): Promise<void> => {
    const started = new Promise<void>((resolve) => {
      gateway.agent.script = (_request, run) => {
        run.say('a');
        resolve();
      };
    });
    const controller = new AbortController();
    const call = fetch(`${gateway.url}/v1/chat/completions`, {
      method: 'POST',
      headers,
      signal: controller.signal,
      body: JSON.stringify({ messages: hello, stream, ...body }),
    });
    if (stream) await call;
    await started;
    controller.abort();
    await call.catch(() => {});
  };

  test.each([true, false])('HT-50 the run of a one-off session is stopped (stream %s)', async (stream) => {
    await using gateway = await startHttp();
    const aborted = new Promise<unknown>((resolve) => {
      gateway.agent.onAbort = resolve;
    });
    await leave(gateway, {}, stream);
    expect(await aborted).toMatchObject({
      reason: 'disconnect',
      runId: gateway.agent.sent[0]?.runId,
      sessionKey: gateway.agent.sent[0]?.sessionKey,
    });
  });

  test('HT-50 the run of a named session goes on', async () => {
    await using gateway = await startHttp();
    await leave(gateway, { user: 'ann' }, true);
    // A later request on the same gateway has come and gone: the disconnect was seen.
    await new Promise<void>((resolve) =>
      gateway.server.getConnections((_error, count) => (count <= 1 ? resolve() : setImmediate(resolve))),
    );
    gateway.agent.script = (_request, run) => run.ok();
    expect((await post(gateway, { messages: hello })).status).toBe(200);
    expect(gateway.agent.aborted).toHaveLength(0);
  });
});

describe('HT-51 the official client', () => {
  const client = (gateway: HttpFixture, apiKey = TOKEN): OpenAI => new OpenAI({ apiKey, baseURL: `${gateway.url}/v1`, maxRetries: 0 });

  test('HT-30 HT-51 models, a conversation, a stream, errors', async () => {
    await using gateway = await startHttp();
    const openai = client(gateway);
    expect((await openai.models.list()).data.map(({ id }) => id)).toEqual([
      'openclaw',
      'openclaw/default',
      'openclaw/main',
      'openclaw/helper',
    ]);
    expect(await openai.models.retrieve('openclaw/default')).toMatchObject({
      id: 'openclaw/default',
      object: 'model',
      owned_by: 'openclaw',
    });
    const whole = await openai.chat.completions.create({ model: 'openclaw', messages: [{ role: 'user', content: 'hi' }], user: 'ann' });
    expect(whole.choices[0]?.message.content).toBe('hello');
    expect(whole.usage?.total_tokens).toBe(20);

    const stream = await openai.chat.completions.create({
      model: 'openclaw',
      messages: [{ role: 'user', content: 'hi' }],
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = '';
    let total = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? '';
      total = chunk.usage?.total_tokens ?? total;
    }
    expect([text, total]).toEqual(['hello', 20]);

    const refused = await client(gateway, 'wrong')
      .models.list()
      .catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(APIError);
    expect((refused as APIError).status).toBe(401);
    const wrong = await openai.chat.completions.create({ model: 'gpt-4o', messages: [] }).catch((error: unknown) => error);
    expect(wrong).toMatchObject({ status: 400, param: 'model', code: 'model_not_found' });

    gateway.agent.script = failWith({ kind: 'cut', message: 'the provider hung up' }, 'half');
    const broken = await openai.chat.completions.create({ model: 'openclaw', messages: [{ role: 'user', content: 'hi' }], stream: true });
    let half = '';
    const failure = await (async () => {
      for await (const chunk of broken) half += chunk.choices[0]?.delta.content ?? '';
    })().catch((error: unknown) => error);
    expect(half).toBe('half');
    expect(failure).toBeInstanceOf(APIError);
    expect((failure as APIError).message).toContain('the provider hung up');
  });

  test('HT-30 unknown model ids, and the slash encoded or not', async () => {
    await using gateway = await startHttp();
    for (const id of ['nope', 'openclaw/nope', '%E0%A4%A']) {
      const answer = await fetch(`${gateway.url}/v1/models/${id}`, { headers });
      expect([answer.status, await answer.json()]).toEqual([
        400,
        { error: { message: 'Invalid model id.', type: 'invalid_request_error', param: 'model' } },
      ]);
    }
    const slash = await fetch(`${gateway.url}/v1/models/openclaw%2Fdefault`, { headers });
    expect(await slash.json()).toEqual({ id: 'openclaw/default', object: 'model', created: 0, owned_by: 'openclaw', permission: [] });
  });
});
