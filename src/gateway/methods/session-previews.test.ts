import { expect, test } from 'vitest';
import type { Agent, SessionView, TranscriptEntry, TranscriptQuery } from '../../agent/api.ts';
import { PREVIEW_BYTES, PREVIEW_MESSAGES, sessionPreviews } from './session-previews.ts';

/** Sessions `agent:main:<n>` that have no end of messages of `bytes` each. */
function endless(bytes: number) {
  const asked = { messages: 0, bytes: 0, pages: 0, largest: 0 };
  const agent = {
    agents: () => [{ id: 'main', name: 'm', workspace: '/w', isDefault: true }],
    session: (key: string) => (key.endsWith('none') ? undefined : ({ key } as SessionView)),
    transcript(key: string, { limit, maxBytes = Number.POSITIVE_INFINITY, beforeSeq = 1_000_000 }: TranscriptQuery) {
      const count = Math.max(1, Math.min(limit, Math.floor(maxBytes / bytes)));
      asked.messages += count;
      asked.bytes += count * bytes;
      asked.pages++;
      asked.largest = Math.max(asked.largest, count * bytes);
      const entries = Array.from({ length: count }, (_, i): TranscriptEntry => {
        const seq = beforeSeq - count + i;
        return { id: `${seq}`, seq, at: 0, message: { role: 'user', text: `message ${seq} ${'x'.repeat(200)}` } };
      });
      return { sessionKey: key, sessionId: key, entries, total: 1_000_000, hasMore: true, bytes: count * bytes };
    },
  } as unknown as Agent;
  return { agent, asked };
}
const keys = (count: number): string[] => Array.from({ length: count }, (_, n) => `agent:main:${n}`);
const items = (text: string | undefined): { key: string; status: string; items: { text: string }[] } => JSON.parse(text ?? '{}') as never;

test('EV-152 a key that is named twice is answered once; one that is unknown says so', async () => {
  const { agent, asked } = endless(300);
  const texts = await sessionPreviews(agent, 4, ['agent:main:a', 'agent:main:none', ...Array(62).fill('agent:main:a')], 3, 40);
  expect(texts.map((text) => items(text).status)).toEqual(['ok', 'missing']);
  expect(items(texts[0]).items.map(({ text }) => text.slice(0, 14))).toEqual(['message 999997', 'message 999998', 'message 999999']);
  expect(asked.messages).toBe(6);
});

test('EV-152 what one call reads is bounded over all its keys, in messages and in bytes, and each gets its share', async () => {
  for (const [count, bytes] of [
    [64, 300],
    [64, 90_000],
    [1, 90_000],
    [2, 5_000],
    [64, 400_000],
  ] as const) {
    const { agent, asked } = endless(bytes);
    const texts = await sessionPreviews(agent, 4, keys(count), 200, 10_000);
    expect(texts).toHaveLength(count);
    for (const text of texts) expect(items(text).items.length).toBeGreaterThan(0);
    expect(asked.messages).toBeLessThanOrEqual(PREVIEW_MESSAGES + count);
    // One message of each is read whatever its size.
    expect(asked.bytes).toBeLessThanOrEqual(PREVIEW_BYTES + 2 * count * bytes);
    expect(asked.largest).toBeLessThanOrEqual(Math.max(128 * 1024, bytes));
  }
});
