import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_JSON_DEPTH } from '../lib/json.ts';
import { closeReason } from './close.ts';
import { eventBody, parseRequest, withSeq } from './frames.ts';
import { closeScopes, holdsScope, intersectScopes, knownScopes, OPERATOR_SCOPES, type Scope } from './scopes.ts';
import { negotiate } from './version.ts';

const messageOf = (text: string): string => {
  const frame = parseRequest(text);
  return frame.ok ? 'ok' : `${frame.error.kind} ${frame.error.id}: ${frame.error.message}`;
};

test('WS-6 any text gives a frame or a fault, never a throw', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => void parseRequest(text)));
  fc.assert(fc.property(fc.json(), (text) => void parseRequest(text)));
  fc.assert(
    fc.property(
      fc.record({ type: fc.anything(), id: fc.anything(), method: fc.anything(), params: fc.anything() }, { requiredKeys: [] }),
      (value) => {
        let text: string | undefined;
        try {
          text = JSON.stringify(value);
        } catch {
          // Not JSON at all (a bigint, a cycle): nothing to parse.
        }
        if (text !== undefined) parseRequest(text);
      },
    ),
  );
});

test('WS-6 a request comes back as it was sent', () => {
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 256 }),
      fc.string({ minLength: 1, maxLength: 128 }),
      fc.jsonValue({ maxDepth: 6 }),
      (id, method, params) => {
        const parsed = parseRequest(JSON.stringify({ type: 'req', id, method, params }));
        expect(parsed.ok && parsed.value).toEqual({ type: 'req', id, method, params: JSON.parse(JSON.stringify(params)) });
      },
    ),
  );
});

test('WS-6 each kind of wrong frame is named', () => {
  const frame = (extra: object): string => JSON.stringify({ type: 'req', id: 'a', method: 'health', ...extra });
  expect(messageOf('{')).toBe('json invalid: not JSON');
  expect(messageOf('[]')).toMatch(/^not-object invalid/);
  expect(messageOf('{"type":"event"}')).toMatch(/^not-request invalid/);
  expect(messageOf(frame({ zzz: 1 }))).toMatch(/^invalid a: .*'zzz'/);
  expect(messageOf(frame({ id: '' }))).toMatch(/^invalid : at \/id/);
  expect(messageOf(frame({ id: 7 }))).toMatch(/^invalid invalid: at \/id/);
  expect(messageOf(frame({ method: 7 }))).toMatch(/^invalid a: at \/method/);
  expect(messageOf(frame({ id: 'x'.repeat(257) }))).toMatch(/at most 256/);
  expect(messageOf('{"type":"req","id":"a","method":"health","params":{"x":"\\ud800"}}')).toMatch(/at \/params\/x.*lone surrogate/);
  expect(messageOf('{"type":"req","id":"a","method":"health","params":{"x":"\\ud83d\\ude00"}}')).toBe('ok');
  expect(messageOf('{"type":"req","id":"a","method":"m","__proto__":{}}')).toMatch(/unexpected property '__proto__'/);
});

test('WS-6 depth is refused before the text is parsed', () => {
  const deep = (depth: number): string => `{"type":"req","id":"a","method":"m","params":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  expect(messageOf(deep(MAX_JSON_DEPTH - 1))).toBe('ok');
  expect(messageOf(deep(MAX_JSON_DEPTH))).toMatch(/deeper/);
  expect(messageOf(deep(10_000))).toMatch(/deeper/);
  // Brackets inside of a text do not count.
  expect(messageOf(JSON.stringify({ type: 'req', id: 'a', method: 'm', params: { x: '[[{'.repeat(500) } }))).toBe('ok');
});

test('WS-8 the number is spliced into a body that is built once', () => {
  const body = eventBody('tick', { ts: 1 });
  expect(JSON.parse(withSeq(body, 7))).toEqual({ type: 'event', event: 'tick', payload: { ts: 1 }, seq: 7 });
});

test('WS-1 negotiation', () => {
  expect(negotiate(3, 3)).toBe(3);
  expect(negotiate(3, 4)).toBe(4);
  expect(negotiate(4, 4)).toBe(4);
  expect(negotiate(1, 9)).toBe(4);
  for (const [low, high] of [
    [1, 2],
    [5, 6],
    [4, 3],
  ] as const)
    expect(negotiate(low, high)).toBeUndefined();
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), (low, high) => {
      const version = negotiate(low, high);
      if (version !== undefined) expect(version >= low && version <= high).toBe(true);
    }),
  );
});

const scopes = fc.subarray([...OPERATOR_SCOPES]) as fc.Arbitrary<Scope[]>;
test('AU scopes: an intersection gives nothing that one side does not hold', () => {
  fc.assert(
    fc.property(scopes, scopes, (a, b) => {
      for (const scope of intersectScopes(a, b)) {
        expect(holdsScope(closeScopes(a), scope)).toBe(true);
        expect(holdsScope(closeScopes(b), scope)).toBe(true);
      }
      expect(intersectScopes(a, b)).toEqual(intersectScopes(b, a));
      expect(closeScopes(closeScopes(a))).toEqual(closeScopes(a));
    }),
  );
  expect(knownScopes(['operator.read', 'operator.zzz', 'foo', '__proto__', 'operator.read'])).toEqual(['operator.read']);
});

test('a close reason is cut to bytes, never inside a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 0, max: 130 }), (text, max) => {
      const cut = closeReason(text, max);
      expect(new TextEncoder().encode(cut).length).toBeLessThanOrEqual(max);
      expect(text.startsWith(cut)).toBe(true);
      if (text.isWellFormed()) expect(cut.isWellFormed()).toBe(true);
    }),
  );
});
