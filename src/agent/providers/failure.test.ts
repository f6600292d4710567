import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FailureContext, ProviderRedirect, ProviderSilent, providerFailure } from './failure.ts';

const CONTEXT: FailureContext = {
  provider: 'acme',
  model: 'm1',
  baseUrl: 'https://api.acme.test/v1',
  keyHint: 'Set ACME.',
  secrets: ['s3cr3t-value', 'header-secret'],
};
const api = (statusCode: number, body: unknown, headers: Record<string, string> = {}): Error =>
  Object.assign(new Error('failed'), {
    name: 'AI_APICallError',
    statusCode,
    responseBody: typeof body === 'string' ? body : JSON.stringify(body),
    responseHeaders: headers,
  });
const network = (code: string): Error => Object.assign(new Error('Cannot connect'), { cause: Object.assign(new Error(code), { code }) });

describe('one typed error', () => {
  test.each([
    [api(401, { error: { message: 'bad key' } }), 'auth', false],
    [api(402, {}), 'billing', false],
    [api(429, { error: { message: 'slow down' } }), 'rate-limit', true],
    [api(429, { error: { code: 'insufficient_quota', message: 'x' } }), 'billing', false],
    [api(400, { error: { code: 'context_length_exceeded', message: 'x' } }), 'context-too-small', false],
    [api(400, { error: { message: 'prompt is too long: 9 > 8' } }), 'context-too-small', false],
    [api(500, '<html>'), 'provider', true],
    [api(503, {}), 'provider', true],
    [api(504, {}), 'timeout', true],
    [api(422, { error: { message: 'no' } }), 'bad-request', false],
    [network('ECONNREFUSED'), 'unreachable', true],
    [network('ENOTFOUND'), 'unreachable', true],
    [network('DEPTH_ZERO_SELF_SIGNED_CERT'), 'unreachable', false],
    [new ProviderSilent(5_000), 'timeout', true],
    [new ProviderRedirect('x'), 'bad-request', false],
    [Object.assign(new Error('x'), { name: 'AI_JSONParseError' }), 'malformed', true],
    [Object.assign(new Error('Response stream ended without a finish reason.'), { name: 'AI_InvalidResponseDataError' }), 'cut', true],
    [{ message: 'CUDA out of memory', type: 'server_error' }, 'provider', true],
    [
      { error: { message: 'n', type: 'exceed_context_size_error', code: 400, n_ctx: 512, n_prompt_tokens: 900 } },
      'context-too-small',
      false,
    ],
    ['text', 'provider', false],
    [undefined, 'provider', false],
  ])('AG-9 %# is %s', (thrown, kind, retry) => {
    const failure = providerFailure(thrown, CONTEXT, false);
    expect(failure).toMatchObject({ error: { kind, provider: 'acme', model: 'm1' }, retry });
    expect(failure.error.message.length).toBeGreaterThan(10);
  });

  test('AG-9 a connection that breaks after text is a cut', () => {
    expect(providerFailure(network('ECONNRESET'), CONTEXT, true)).toMatchObject({ error: { kind: 'cut' }, retry: true });
    expect(providerFailure(new TypeError('terminated'), CONTEXT, true)).toMatchObject({ error: { kind: 'cut' } });
  });

  test("AG-14 llama.cpp's refusal tells what it holds", () => {
    const body = {
      error: { code: 400, message: 'request exceeds…', type: 'exceed_context_size_error', n_prompt_tokens: 2_500, n_ctx: 2_048 },
    };
    expect(providerFailure(api(400, body), CONTEXT, false)).toMatchObject({
      contextTokens: 2_048,
      promptTokens: 2_500,
      error: {
        kind: 'context-too-small',
        message: 'The conversation does not fit into the context of m1. It holds 2048 tokens, this needs 2500.',
      },
    });
  });

  test('AG-10 Retry-After in seconds or ms; too long is no retry', () => {
    expect(providerFailure(api(429, {}, { 'retry-after': '3' }), CONTEXT, false)).toMatchObject({ retryAfterMs: 3_000, retry: true });
    expect(providerFailure(api(429, {}, { 'retry-after-ms': '250' }), CONTEXT, false)).toMatchObject({ retryAfterMs: 250 });
    expect(providerFailure(api(503, {}, { 'retry-after': '3600' }), CONTEXT, false)).toMatchObject({ retry: false });
  });

  test('AG-9 no secret, no control character, no endless text, whatever was thrown', () => {
    const text = fc.oneof(fc.constantFrom('s3cr3t-value', 'header-secret', 'sk-abcdefgh12345678', '\u001b[31m', '\n'), fc.string());
    const body = fc.array(text, { maxLength: 6 }).map((parts) => parts.join(' '));
    const thrown = fc.oneof(
      fc.anything(),
      body.map((message) => new Error(message)),
      fc
        .tuple(fc.integer({ min: 100, max: 999 }), body)
        .map(([status, message]) => api(status, { error: { message, code: message, type: message } })),
      fc.tuple(fc.integer({ min: 400, max: 599 }), body).map(([status, message]) => api(status, message)),
    );
    fc.assert(
      fc.property(thrown, fc.boolean(), (each, begun) => {
        const { error } = providerFailure(each, CONTEXT, begun);
        const said = `${error.message}${error.fix ?? ''}`;
        return !/s3cr3t-value|header-secret|sk-abcdefgh/.test(said) && !/[\u0000-\u001f]/.test(said) && error.message.length <= 500;
      }),
      { numRuns: 1_000 },
    );
  });
});
