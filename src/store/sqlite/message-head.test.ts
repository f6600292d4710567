import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { TranscriptMessage } from '../../agent/api.ts';
import { messageOfEnds, parseBeginning } from './message-head.ts';

const usage = { input: 1, output: 2, cacheRead: 0, cacheWrite: 0, total: 3 };
const ends = (message: TranscriptMessage, head: number, tail = 2_048): TranscriptMessage => {
  const json = JSON.stringify(message);
  return messageOfEnds(json.slice(0, head), json.slice(-tail));
};

test('AG-111 a message from its ends: the beginning of its text, and the facts that stand last', () => {
  const long = 'a "quoted" \\ line\n'.repeat(10_000);
  expect(ends({ role: 'user', text: long, senderLabel: 'Ada', attachments: [{ mimeType: 'image/png', bytes: 3 }] }, 500)).toMatchObject({
    role: 'user',
    text: expect.stringMatching(/^a "quoted"/),
    senderLabel: 'Ada',
    attachments: [{ mimeType: 'image/png', bytes: 3 }],
  });
  const call = { type: 'toolCall', id: 'c', name: 'write', arguments: { text: `,"provider":"x"${long}` } } as const;
  const answer: TranscriptMessage = {
    role: 'assistant',
    content: [{ type: 'thinking', thinking: 'hm' }, { type: 'text', text: 'I write it' }, call],
    provider: 'p',
    model: 'm',
    api: 'a',
    usage,
    stopReason: 'toolUse',
  };
  expect(ends(answer, 500)).toEqual({ ...answer, content: [answer.content[0], answer.content[1], { ...call, arguments: {} }] });
  const result: TranscriptMessage = { role: 'toolResult', toolCallId: 'c', toolName: 'read', text: long, isError: true };
  expect(ends(result, 500)).toMatchObject({ role: 'toolResult', toolCallId: 'c', toolName: 'read', isError: true });
});

test('AG-111 whatever a text is cut to, what comes out is the beginning of it', () => {
  const text = fc.string({ unit: 'grapheme', maxLength: 60 });
  const message = fc.oneof(
    fc.record({ role: fc.constant('user' as const), text }),
    fc.record({
      role: fc.constant('assistant' as const),
      content: fc.array(
        fc.oneof(
          fc.record({ type: fc.constant('text' as const), text }),
          fc.record({ type: fc.constant('toolCall' as const), id: text, name: text, arguments: fc.jsonValue() as fc.Arbitrary<never> }),
        ),
        { maxLength: 4 },
      ),
      provider: text,
      model: text,
      api: text,
      usage: fc.constant(usage),
      stopReason: fc.constant('stop' as const),
    }),
  );
  fc.assert(
    fc.property(message, fc.nat(400), (whole, cut) => {
      const json = JSON.stringify(whole);
      const part = messageOfEnds(json.slice(0, cut), json.slice(-2_048));
      if (cut < 12) return;
      expect(part.role === 'user' || part.role === 'assistant').toBe(true);
      if (part.role === 'user' && whole.role === 'user') expect(whole.text.startsWith(part.text)).toBe(true);
      if (cut < json.length) return;
      if (whole.role === 'user') expect(part).toEqual(whole);
    }),
  );
  fc.assert(fc.property(fc.string(), fc.string(), (head, tail) => messageOfEnds(head, tail).role.length > 0));
  fc.assert(
    fc.property(fc.jsonValue(), fc.nat(), (value, cut) => {
      const json = JSON.stringify({ role: 'user', value });
      parseBeginning(json.slice(0, cut % (json.length + 1)));
    }),
  );
});
