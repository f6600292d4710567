import { afterEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import type { ModelView } from '../api.ts';
import type { Fetch, ProviderEntry } from '../ports.ts';
import type { ModelPart } from './model-stream.ts';
import { sdkModel } from './sdk-model.ts';

const VIEW: ModelView = { provider: 'p', id: 'model-1', name: 'm', reasoning: false, input: ['text', 'image'], source: 'env' };
const sse = (...events: object[]): string =>
  events.map((event) => `event: ${(event as { type: string }).type}\ndata: ${JSON.stringify(event)}\n\n`).join('');

interface Seen {
  url: string;
  headers: Headers;
  body: { [key: string]: unknown };
}
/** A provider that answers one text, and what it was asked. */
function answering(text: string, status = 200): { fetch: Fetch; seen: Seen[] } {
  const seen: Seen[] = [];
  return {
    seen,
    fetch: async (input, init) => {
      seen.push({
        url: String(input),
        headers: new Headers(init?.headers),
        body: JSON.parse(await new Response(init?.body ?? '').text()) as Seen['body'],
      });
      return new Response(text, { status, headers: { 'content-type': 'text/event-stream' } });
    },
  };
}
async function ask(
  provider: Omit<ProviderEntry, 'id' | 'source' | 'models' | 'headers'>,
  fetch: Fetch,
  withTool = false,
): Promise<ModelPart[]> {
  const model = sdkModel({
    provider: { id: 'p', source: 'env', headers: { 'x-extra': 'one' }, models: [], ...provider },
    view: VIEW,
    tools: true,
    keyHint: 'hint',
    fetch,
    clock: systemClock,
    timeouts: () => ({ run: 5_000, firstPart: 5_000, idle: 5_000 }),
  });
  const tools = withTool ? [{ name: 'read', description: 'd', parameters: { type: 'object', properties: {} } }] : [];
  const images = ['AAAA', 'BBBB'.repeat(1_000), 'image00x='].map((base64) => ({ mimeType: 'image/png', base64: new Blob([base64]) }));
  const parts: ModelPart[] = [];
  for await (const part of model.stream(
    { system: 'be kind', messages: [{ role: 'user', text: 'hi', images }], tools },
    new AbortController().signal,
  )) {
    parts.push(part);
  }
  return parts;
}
const ANTHROPIC = sse(
  {
    type: 'message_start',
    message: {
      id: 'm',
      type: 'message',
      role: 'assistant',
      model: 'x',
      content: [],
      stop_reason: null,
      usage: { input_tokens: 9, output_tokens: 1 },
    },
  },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello ' } },
  { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'you' } },
  { type: 'content_block_stop', index: 0 },
  { type: 'content_block_start', index: 1, content_block: { type: 'tool_use', id: 'toolu_1', name: 'read', input: {} } },
  { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{"path":"a"}' } },
  { type: 'content_block_stop', index: 1 },
  { type: 'message_delta', delta: { stop_reason: 'tool_use' }, usage: { output_tokens: 7 } },
  { type: 'message_stop' },
);
const RESPONSES = sse(
  { type: 'response.created', response: { id: 'r', created_at: 1, model: 'x' } },
  { type: 'response.output_item.added', output_index: 0, item: { type: 'message', id: 'msg' } },
  { type: 'response.output_text.delta', item_id: 'msg', delta: 'Hello you' },
  { type: 'response.output_item.done', output_index: 0, item: { type: 'message', id: 'msg' } },
  { type: 'response.completed', response: { id: 'r', usage: { input_tokens: 9, output_tokens: 2 } } },
);

describe('providers by key', () => {
  afterEach(() => {
    for (const name of ['OPENAI_API_KEY', 'OPENAI_BASE_URL', 'ANTHROPIC_API_KEY', 'ANTHROPIC_BASE_URL']) delete process.env[name];
  });

  test('AG-64 AG-99 anthropic-messages: key in its header, system apart, text, tool call, usage', async () => {
    const { fetch, seen } = answering(ANTHROPIC);
    const parts = await ask({ api: 'anthropic-messages', baseUrl: 'https://api.anthropic.com/v1', apiKey: 'key-1' }, fetch, true);
    expect(seen[0]?.url).toBe('https://api.anthropic.com/v1/messages');
    expect(seen[0]?.headers.get('x-api-key')).toBe('key-1');
    expect(seen[0]?.headers.get('x-extra')).toBe('one');
    expect(JSON.stringify(seen[0]?.body['system'])).toContain('be kind');
    const { messages } = (seen[0]?.body ?? {}) as { messages: { content: { source?: { data: string } }[] }[] };
    expect(messages[0]?.content.flatMap(({ source }) => source?.data ?? [])).toEqual(['AAAA', 'BBBB'.repeat(1_000), 'image00x=']);
    expect(parts).toMatchObject([
      { type: 'text', delta: 'Hello ' },
      { type: 'text', delta: 'you' },
      { type: 'tool-call', id: 'toolu_1', name: 'read', input: '{"path":"a"}' },
      { type: 'finish', reason: 'tool-calls', usage: { input: 9, output: 7, total: 16 } },
    ]);
  });

  test('AG-64 openai-responses: bearer key, text, usage', async () => {
    const { fetch, seen } = answering(RESPONSES);
    const parts = await ask({ api: 'openai-responses', baseUrl: 'https://api.openai.com/v1', apiKey: 'key-2' }, fetch);
    expect(seen[0]?.url).toBe('https://api.openai.com/v1/responses');
    expect(seen[0]?.headers.get('authorization')).toBe('Bearer key-2');
    expect(parts).toMatchObject([
      { type: 'text', delta: 'Hello you' },
      { type: 'finish', reason: 'stop', usage: { input: 9, output: 2 } },
    ]);
  });

  test('AG-63 neither key nor address is taken from the environment behind our back', async () => {
    process.env['OPENAI_API_KEY'] = 'sk-of-the-environment';
    process.env['OPENAI_BASE_URL'] = 'https://elsewhere.example/v1';
    process.env['ANTHROPIC_API_KEY'] = 'sk-of-the-environment';
    process.env['ANTHROPIC_BASE_URL'] = 'https://elsewhere.example/v1';
    for (const api of ['openai-responses', 'anthropic-messages', 'openai-completions'] as const) {
      const { fetch, seen } = answering('{}', 500);
      await ask({ api, baseUrl: 'https://mine.example/v1' }, fetch);
      expect(new URL(seen[0]?.url ?? '').host).toBe('mine.example');
      expect(JSON.stringify([...(seen[0]?.headers ?? [])])).not.toContain('of-the-environment');
    }
  });

  test.each([
    ['ftp://x/v1', 'begins with ftp:'],
    ['not a url', 'is not a URL'],
    ['https://user:pw@x/v1', 'holds a user name'],
  ])('AG-12 the address %j is refused before anything is sent', async (baseUrl, why) => {
    const { fetch, seen } = answering('');
    const parts = await ask({ api: 'openai-completions', baseUrl, apiKey: 'k-123456' }, fetch);
    expect(parts).toMatchObject([{ type: 'failed', failure: { error: { kind: 'bad-request', message: expect.stringContaining(why) } } }]);
    expect(seen).toEqual([]);
  });

  test('AG-64 an API that is not spoken is named', async () => {
    const { fetch } = answering('');
    const parts = await ask({ api: { unsupported: 'bedrock-converse-stream' }, baseUrl: 'https://x/v1' }, fetch);
    expect(parts).toMatchObject([
      { type: 'failed', failure: { error: { message: expect.stringContaining('bedrock-converse-stream') }, retry: false } },
    ]);
  });
});

describe('answers without measure', () => {
  const chunk = (delta: object, finish: string | null = null): string =>
    `data: ${JSON.stringify({ choices: [{ delta, finish_reason: finish }] })}\n\n`;
  const of = (text: string): Promise<ModelPart[]> =>
    ask({ api: 'openai-completions', baseUrl: 'http://localhost/v1' }, answering(text).fetch);
  const textOf = (parts: readonly ModelPart[]): string => parts.map((part) => (part.type === 'text' ? part.delta : '')).join('');
  const call = (index: number, input: string): object => ({
    tool_calls: [{ index, id: `c${index}`, function: { name: 'read', arguments: input } }],
  });

  test('AG-130 many pieces of one turn are few parts', async () => {
    const parts = await of(chunk({ content: 'abc ' }).repeat(5_000) + chunk({}, 'stop'));
    expect(textOf(parts)).toBe('abc '.repeat(5_000));
    expect(parts.length).toBeLessThan(1_500);
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'stop' });
  });

  test.each([
    ['calls without number', Array.from({ length: 100 }, (_, i) => chunk(call(i, '{}'))).join(''), 'more than 64 tool calls'],
    [
      'calls without number in one event',
      chunk({
        tool_calls: Array.from({ length: 100 }, (_, i) => ({ index: i, id: `c${i}`, function: { name: 'read', arguments: '{}' } })),
      }),
      'more than 64 tool calls',
    ],
    [
      'arguments without end',
      [0, 1, 2].map((i) => chunk(call(i, `{"a":"${'x'.repeat(400_000)}"}`))).join(''),
      'tool calls of more than 1000000 characters',
    ],
    ['reasoning without end', chunk({ reasoning_content: 'x'.repeat(300_000) }).repeat(2), 'more than 500000 characters of reasoning'],
  ])('AG-131 AG-132 %s: malformed, and not asked again', async (_what, text, said) => {
    const parts = await of(text + chunk({}, 'stop'));
    expect(parts.at(-1)).toMatchObject({
      type: 'failed',
      failure: { retry: false, error: { kind: 'malformed', message: expect.stringContaining(said) } },
    });
  });

  test.each([[499_999], [500_000], [500_001], [1_000_001]])('AG-132 a piece of %d characters is never an empty answer', async (length) => {
    const parts = await of(chunk({ content: 'x'.repeat(length) }) + chunk({}, 'stop'));
    expect(textOf(parts)).toHaveLength(Math.min(length, 500_000));
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: length > 500_000 ? 'length' : 'stop' });
  });

  test('AG-132 a cut does not go through a character', async () => {
    const parts = await of(chunk({ content: `x${'🦞'.repeat(30_000)}` }).repeat(10));
    expect(textOf(parts).isWellFormed()).toBe(true);
    expect(parts.at(-1)).toMatchObject({ type: 'finish', reason: 'length' });
  });

  test('AG-131 of a refusal only the beginning is read, and no packed answer is asked for', async () => {
    let read = 0;
    let asked: Headers | undefined;
    const parts = await ask({ api: 'openai-completions', baseUrl: 'http://localhost/v1' }, async (_input, init) => {
      asked = new Headers(init?.headers);
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          read += 1024;
          controller.enqueue(new Uint8Array(1024).fill(120));
        },
      });
      return new Response(body, { status: 400 });
    });
    expect(asked?.get('accept-encoding')).toBe('identity');
    expect(read).toBeLessThan(100_000);
    expect(parts).toMatchObject([{ type: 'failed', failure: { error: { kind: 'bad-request', status: 400 } } }]);
  });
});
