import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FakeAgent, HTTP_CONFIG } from '../testing.ts';
import { type ChatRequest, chatRequest } from './chat-request.ts';

const agent = new FakeAgent();
const understand = (body: unknown, headers: Record<string, string> = {}) =>
  chatRequest(body, { agent, limits: HTTP_CONFIG.chatCompletions, header: (name) => headers[name], newId: () => 'id-1' });
const hello = [{ role: 'user', content: 'hello' }];

function good(body: unknown, headers?: Record<string, string>): ChatRequest {
  const result = understand(body, headers);
  if (!result.ok) throw new Error(JSON.stringify(result.error));
  return result.value;
}
const bad = (body: unknown, headers?: Record<string, string>): unknown => {
  const result = understand(body, headers);
  return result.ok ? 'accepted' : { status: result.error.status, param: result.error.param, message: result.error.message };
};

describe('HT-31 the agent', () => {
  test.each(['openclaw', 'openclaw/default', 'openclaw/main', 'openclaw:main', 'agent:main', undefined, null, ''])(
    'HT-31 model %s',
    (model) => {
      expect(good({ model, messages: hello }).turn.sessionKey).toBe('agent:main:openai:id-1');
    },
  );
  test('HT-31 another agent, by model and by header; the header wins', () => {
    expect(good({ model: 'openclaw/helper', messages: hello }).turn.sessionKey).toBe('agent:helper:openai:id-1');
    expect(good({ model: 'openclaw/main', messages: hello }, { 'x-openclaw-agent-id': 'helper' }).turn.sessionKey).toMatch(
      /^agent:helper:/,
    );
    expect(good({ model: 'gpt-4o', messages: hello }, { 'x-openclaw-agent': 'helper' }).turn.sessionKey).toMatch(/^agent:helper:/);
  });
  test('HT-31 what does not exist is refused, and nothing is made', () => {
    expect(bad({ model: 'gpt-4o', messages: hello })).toEqual({
      status: 400,
      param: 'model',
      message: 'Invalid `model`. Use `openclaw` or `openclaw/<agentId>`.',
    });
    expect(bad({ model: 'openclaw/nope', messages: hello })).toEqual({ status: 400, param: 'model', message: "Unknown agent 'nope'." });
    expect(bad({ messages: hello }, { 'x-openclaw-agent-id': '../main' })).toEqual({
      status: 400,
      param: 'model',
      message: "Unknown agent '../main'.",
    });
  });
  test('HT-32 the model behind it', () => {
    expect(good({ messages: hello }, { 'x-openclaw-model': 'stub/m' }).turn.model).toBe('stub/m');
    expect(bad({ messages: hello }, { 'x-openclaw-model': 'stub/none' })).toMatchObject({ status: 404, param: 'x-openclaw-model' });
  });
});

describe('HT-33 the session', () => {
  test('HT-33 fresh, by user, by header', () => {
    expect(good({ messages: hello })).toMatchObject({ isOneOff: true, turn: { sessionKey: 'agent:main:openai:id-1' } });
    expect(good({ messages: hello, user: 'ann' })).toMatchObject({ isOneOff: false, turn: { sessionKey: 'agent:main:openai-user:ann' } });
    const key = (text: string): string => good({ messages: hello }, { 'x-openclaw-session-key': text }).turn.sessionKey;
    expect(key('notes')).toBe('agent:main:notes');
    expect(key('agent:helper:notes')).toBe('agent:helper:notes');
    expect(key('main')).toBe('agent:main:main');
  });
  test.each(['subagent:x', 'cron:x', 'acp:x', 'agent:main:CRON:x', 'agent:main:subagent:x'])('HT-33 reserved: %s', (text) => {
    expect(bad({ messages: hello }, { 'x-openclaw-session-key': text })).toMatchObject({ status: 400, param: 'x-openclaw-session-key' });
  });
  test('HT-33 of another agent than the one that was named, or of none', () => {
    const key = { 'x-openclaw-session-key': 'agent:helper:x' };
    expect(bad({ messages: hello }, { ...key, 'x-openclaw-agent-id': 'main' })).toMatchObject({
      status: 400,
      param: 'x-openclaw-session-key',
    });
    expect(bad({ messages: hello }, { 'x-openclaw-session-key': 'agent:nope:x' })).toMatchObject({
      status: 400,
      param: 'x-openclaw-session-key',
    });
    expect(bad({ messages: hello, user: 'a\nb' })).toMatchObject({ status: 400, param: 'user' });
  });
});

describe('HT-34 the conversation', () => {
  test('HT-34 system and developer instruct, the last user message is the turn, the rest is context', () => {
    const messages = [
      { role: 'system', content: 'be brief' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'one' },
          { type: 'image_url', image_url: { url: 'https://x.example/old.png' } },
        ],
      },
      { role: 'assistant', content: 'two' },
      { role: 'assistant', content: null, tool_calls: [] },
      { role: 'tool', content: 'three', name: 'look' },
      { role: 'developer', content: 'in English' },
      { role: 'user', content: 'four' },
      { role: 'assistant', content: 'prefill' },
    ];
    expect(good({ messages }).turn).toMatchObject({
      message: 'four',
      extraSystemPrompt: 'be brief\n\nin English',
      context: [
        { role: 'user', text: 'one' },
        { role: 'assistant', text: 'two' },
        { role: 'user', text: '[tool result of look]\nthree' },
      ],
    });
  });
  test('HT-34 nothing was said', () => {
    for (const messages of [
      [],
      [{ role: 'system', content: 'x' }],
      [{ role: 'user', content: ' ' }],
      [{ role: 'assistant', content: 'x' }],
    ]) {
      expect(bad({ messages })).toEqual({ status: 400, param: 'messages', message: 'Missing user message in `messages`.' });
    }
  });
  test('HT-35 images of the active turn, as data only', () => {
    const image = (url: unknown) => ({
      messages: [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'look' },
            { type: 'image_url', image_url: { url } },
          ],
        },
      ],
    });
    expect(good(image('data:image/png;base64,iVBORw0KGgo=')).turn.attachments).toEqual([
      { mimeType: 'image/png', content: 'iVBORw0KGgo=' },
    ]);
    for (const url of [
      'http://169.254.169.254/latest',
      'file:///etc/passwd',
      'data:text/html;base64,AAAA',
      'data:image/svg+xml;base64,AAAA',
      'data:image/png;base64,?',
      7,
    ]) {
      expect(bad(image(url)), String(url)).toMatchObject({
        status: 400,
        param: expect.stringMatching(/^messages\.0\.content\.1\.image_url/),
      });
    }
    const many = {
      messages: [
        { role: 'user', content: Array.from({ length: 9 }, () => ({ type: 'image_url', image_url: 'data:image/png;base64,AAAA' })) },
      ],
    };
    expect(bad(many)).toMatchObject({ status: 400, param: 'messages.0.content', message: 'At most 8 images per request.' });
  });
  test.each([
    ['messages.0.role', { messages: [{ role: 'narrator', content: 'x' }] }],
    ['messages.0.role', { messages: [{ content: 'x' }] }],
    ['messages.0.content', { messages: [{ role: 'user', content: 7 }] }],
    ['messages.0.content.0', { messages: [{ role: 'user', content: [7] }] }],
    ['messages.0.content.0.type', { messages: [{ role: 'user', content: [{ type: 'input_audio' }] }] }],
    ['messages.0.content.0.text', { messages: [{ role: 'user', content: [{ type: 'text' }] }] }],
    ['messages', {}],
    ['messages', { messages: 'hello' }],
    ['stream', { messages: hello, stream: 'yes' }],
    ['n', { messages: hello, n: 2 }],
    ['temperature', { messages: hello, temperature: 9 }],
    ['temperature', { messages: hello, temperature: '1' }],
    ['top_p', { messages: hello, top_p: -0.1 }],
    ['max_tokens', { messages: hello, max_tokens: 0 }],
    ['max_completion_tokens', { messages: hello, max_completion_tokens: 1.5 }],
    ['presence_penalty', { messages: hello, presence_penalty: 3 }],
    ['stop', { messages: hello, stop: ['a', 'b', 'c', 'd', 'e'] }],
  ])('HT-36 %s', (param, body) => {
    expect(bad(body)).toMatchObject({ status: 400, param: param });
  });
  test('HT-36 not an object', () => {
    for (const body of [[], null, 7, 'x'])
      expect(bad(body)).toMatchObject({ status: 400, param: undefined, message: expect.stringContaining('expected object') });
  });
  test('HT-36 sampling reaches the turn', () => {
    expect(good({ messages: hello }).turn).not.toHaveProperty('sampling');
    expect(good({ messages: hello, temperature: 0, top_p: 0.5, max_tokens: 9, stop: 'x', seed: 1, tools: [{}] }).turn.sampling).toEqual({
      temperature: 0,
      topP: 0.5,
      maxOutputTokens: 9,
      stop: ['x'],
    });
    expect(good({ messages: hello, max_tokens: 9, max_completion_tokens: 10 }).turn.sampling).toEqual({ maxOutputTokens: 10 });
  });
  test('HT-36 any JSON is understood or refused, never a throw', () => {
    const message = fc.record(
      { role: fc.oneof(fc.constantFrom('user', 'system', 'tool'), fc.string()), content: fc.jsonValue() },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.jsonValue(),
          fc.record({ messages: fc.array(message), model: fc.jsonValue(), user: fc.jsonValue() }, { requiredKeys: [] }),
        ),
        (body) => {
          const result = understand(body);
          if (!result.ok) expect(result.error.status).toBeGreaterThanOrEqual(400);
          else expect(result.value.turn.sessionKey).toMatch(/^agent:(main|helper):./);
        },
      ),
    );
  });
});
