import fc from 'fast-check';
import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import { connectParams } from './connect.ts';
import { chatSend } from './methods/chat.ts';
import { parseParams } from './parse-params.ts';

const schema = z.object({
  id: z.string().check(z.minLength(1), z.maxLength(4)),
  limit: z.optional(z.int().check(z.minimum(1), z.maximum(10))),
  mode: z.optional(z.enum(['new', 'reset'])),
  names: z.optional(z.array(z.string()).check(z.maxLength(2))),
  inner: z.optional(z.object({ flag: z.boolean() })),
  map: z.optional(z.record(z.string(), z.boolean())),
});

test.each([
  [undefined, 'must be an object'],
  [[], 'must be an object'],
  [{}, "must have required property 'id'"],
  [{ id: 7 }, 'at /id: must be a string'],
  [{ id: '' }, 'at /id: must not be empty'],
  [{ id: 'abcde' }, 'at /id: must be at most 4 characters'],
  [{ id: 'a', limit: 1.5 }, 'at /limit: must be a whole number'],
  [{ id: 'a', limit: 0 }, 'at /limit: must be at least 1'],
  [{ id: 'a', limit: 11 }, 'at /limit: must be at most 10'],
  [{ id: 'a', mode: 'x' }, 'at /mode: must be one of new, reset'],
  [{ id: 'a', names: ['a', 'b', 'c'] }, 'at /names: must be at most 2 items'],
  [{ id: 'a', names: ['a', 1] }, 'at /names/1: must be a string'],
  [{ id: 'a', inner: {} }, "at /inner: must have required property 'flag'"],
  [{ id: 'a', map: { ['k'.repeat(99)]: 1 } }, `at /map/${'k'.repeat(64)}: must be a boolean`],
])('WS-5 a wrong value is named by path: %j', (value, words) => {
  expect(parseParams(schema, value)).toEqual({ ok: false, error: words });
});

test('WS-5 the words that existing clients were recorded to get', () => {
  expect(parseParams(chatSend.params, { sessionKey: 'agent:main:x', message: 'x' })).toEqual({
    ok: false,
    error: "must have required property 'idempotencyKey'",
  });
  const client = { id: 'cli', platform: 'linux', mode: 'cli' };
  expect(parseParams(connectParams, { minProtocol: 3, maxProtocol: 3, client })).toEqual({
    ok: false,
    error: "at /client: must have required property 'version'",
  });
});

test('WS-5 parsing is total, and its words are short', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const parsed = parseParams(connectParams, value);
      if (!parsed.ok) expect(parsed.error.length).toBeLessThan(400);
    }),
  );
});
