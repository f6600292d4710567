import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SessionView, TranscriptEntry, TranscriptMessage, TranscriptPage } from '../../agent/api.ts';
import { isRecord, type JsonObject } from '../../lib/json.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Protocol } from '../../protocol/version.ts';
import { type HistoryFacts, historyResult, parseDeltaCursor, startupResult } from './history-shape.ts';
import { OMITTED } from './message-shape.ts';

const DEFAULTS = { modelProvider: 'stub', model: 'stub-model', contextTokens: 128_000, thinkingLevel: 'off' };
const KEY = 'agent:main:tool';
const NOW = 5_000;

function recorded(capture: string, label: string): JsonObject {
  const path = fileURLToPath(new URL(`../../../test/contract/captures/${capture}.jsonl`, import.meta.url));
  for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
    const row = JSON.parse(line) as { label?: string; payload?: JsonObject };
    if (row.label === label && row.payload) return row.payload;
  }
  throw new Error(`no ${label} in ${capture}`);
}

const entries = (...messages: readonly TranscriptMessage[]): TranscriptEntry[] =>
  messages.map((message, i) => ({ id: `e${i + 1}`, seq: i + 1, at: i, runId: 'run-<uuid2>', message }));
const page = (list: readonly TranscriptEntry[], more: Partial<TranscriptPage> = {}): TranscriptPage => ({
  sessionKey: KEY,
  sessionId: '<uuid1>',
  entries: list,
  total: list.length,
  hasMore: false,
  bytes: 0,
  ...more,
});
/** The answer to a question, read from a transcript of which `whole` is what there is. */
async function ask(
  protocol: Protocol,
  whole: TranscriptPage,
  params: Parameters<typeof historyResult>[1],
  facts: Partial<HistoryFacts> = {},
  asked: object[] = [],
): Promise<JsonObject> {
  const text = await historyResult(
    protocol,
    params,
    (query) => {
      asked.push(query);
      const { limit, offset = 0, beforeSeq = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY } = query;
      const list: TranscriptEntry[] = [];
      let bytes = 0;
      for (const entry of whole.entries.toReversed()) {
        if (list.length === limit || entry.seq >= beforeSeq || entry.seq > whole.total - offset) continue;
        const size = JSON.stringify(entry.message).length;
        if (list.length > 0 && bytes + size > maxBytes) break;
        bytes += size;
        list.unshift(entry);
      }
      return { ...whole, entries: list, bytes, hasMore: (list[0]?.seq ?? 1) > 1 };
    },
    () => ({ session, defaults: DEFAULTS, now: NOW, ...facts }),
  );
  return JSON.parse(text) as JsonObject;
}
const session: SessionView = {
  key: KEY,
  sessionId: '<uuid1>',
  agentId: 'main',
  createdAt: 1,
  updatedAt: 2,
  usage: { input: 10, output: 2, cacheRead: 0, cacheWrite: 0, total: 12 },
  contextUsed: 10,
  contextTokens: undefined,
  status: 'done',
  activeRunIds: [],
  abortedLastRun: false,
  channel: 'webchat',
};

const usage = { input: 10, output: 2, cacheRead: 0, cacheWrite: 0, total: 12 };
const stub = { provider: 'stub', model: 'stub-model', api: 'openai-completions', usage } as const;
const toolTurn = entries(
  { role: 'user', text: 'TEST:tool name=read', senderLabel: 'gateway-client' },
  {
    role: 'assistant',
    ...stub,
    stopReason: 'toolUse',
    content: [{ type: 'toolCall', id: 'call_5', name: 'read', arguments: { path: 'example-tool.txt' } }],
  },
  { role: 'toolResult', toolCallId: 'call_5', toolName: 'read', text: 'marker-tool-content-42\n', isError: false },
  { role: 'assistant', ...stub, stopReason: 'stop', content: [{ type: 'text', text: 'TOOLRESULT<<marker-tool-content-42\n>>' }] },
);

const unstamped = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (key, item) => (['timestamp', 'recordTimestampMs'].includes(key) ? 'T' : item)));

describe('EV-121 chat.history of protocol 3', () => {
  test('EV-121 a turn with a tool, as recorded', async () => {
    const got = await ask(3, page(toolTurn), { sessionKey: KEY, limit: 50 });
    expect(unstamped(got)).toEqual(unstamped(recorded('v3-methods-1', 'chat.history-tool')));
  });

  test('EV-121 reasoning stands before the text; an unknown session is empty', async () => {
    const think = entries({
      role: 'assistant',
      ...stub,
      stopReason: 'stop',
      content: [
        { type: 'thinking', thinking: 'let me' },
        { type: 'text', text: 'answer' },
      ],
    });
    const got = await ask(3, page(think), { sessionKey: KEY });
    expect(got['messages']).toMatchObject([{ content: [{ type: 'thinking', thinking: 'let me' }, { type: 'text' }] }]);
    const { sessionId: _, ...missing } = page([]);
    expect(await ask(3, missing, { sessionKey: 'agent:main:doesnotexist' }, { session: undefined })).toEqual(
      recorded('v3-methods-1', 'chat.history-missing'),
    );
  });

  test('EV-122 a failed answer keeps its text and says what went wrong; an aborted one is marked', async () => {
    const failed = entries(
      { role: 'assistant', ...stub, stopReason: 'error', content: [{ type: 'text', text: 'half' }], errorMessage: '500 stub exploded' },
      { role: 'assistant', ...stub, stopReason: 'aborted', content: [{ type: 'text', text: 'tok0' }] },
      { role: 'assistant', ...stub, stopReason: 'interrupted', content: [{ type: 'text', text: 'cut' }] },
    );
    const old = (await ask(3, page(failed), { sessionKey: KEY }))['messages'];
    expect(old).toMatchObject([
      { stopReason: 'error', errorMessage: '500 stub exploded', content: [{ text: 'half' }] },
      { stopReason: 'stop', model: 'gateway-injected', openclawAbort: { aborted: true, runId: 'run-<uuid2>' } },
      { stopReason: 'error', errorMessage: 'The run was interrupted.', content: [{ text: 'cut' }] },
    ]);
    const recordedAbort = (recorded('v3-methods-1', 'chat.history-abort2')['messages'] as JsonObject[])[0];
    expect(unstamped({ ...(old as JsonObject[])[1], openclawAbort: recordedAbort?.['openclawAbort'] })).toEqual(unstamped(recordedAbort));
    const now = (await ask(4, page(failed), { sessionKey: KEY }))['messages'];
    expect(now).toMatchObject([
      { stopReason: 'error', content: [{ text: 'half' }, { text: '500 stub exploded' }], idempotencyKey: 'run-<uuid2>:terminal-error' },
      { stopReason: 'stop', idempotencyKey: 'run-<uuid2>:assistant' },
      { stopReason: 'error', content: [{ text: 'cut' }, { text: 'The run was interrupted.' }] },
    ]);
  });
});

describe('EV-123 chat.history of protocol 4', () => {
  test('EV-123 a turn with a tool, as recorded', async () => {
    const got = await ask(4, page(toolTurn), { sessionKey: KEY, limit: 50 });
    const want = recorded('v9-methods-1', 'chat.history-tool');
    // Recorded for its own sake: what a provider, a profile or a runtime that we do not have would say.
    const absent = new Set(['agentRuntime', 'thinkingLevels', 'thinkingOptions', 'thinkingDefault']);
    const keys = (value: unknown): string[] => (isRecord(value) ? Object.keys(value).filter((key) => !absent.has(key)) : []);
    expect(keys(got).toSorted()).toEqual(keys(want).toSorted());
    expect(keys(got['defaults']).toSorted()).toEqual(keys(want['defaults']).toSorted());
    expect(got['pendingInputs']).toEqual(want['pendingInputs']);
    const [user] = got['messages'] as JsonObject[];
    const [wanted] = want['messages'] as JsonObject[];
    expect(user).toMatchObject({ role: 'user', content: wanted?.['content'], idempotencyKey: wanted?.['idempotencyKey'] });
    expect(keys(wanted?.['__openclaw'])).toEqual(expect.arrayContaining(keys(user?.['__openclaw'])));
    const items = (activity: unknown): unknown => (activity as JsonObject[]).map((line) => line['items']);
    expect(items(got['activity'])).toEqual(items(want['activity']));
  });

  test('EV-123 the last message, as recorded', async () => {
    const got = await ask(4, page(toolTurn.slice(-1), { hasMore: true, total: 4 }), { sessionKey: KEY, limit: 1 });
    const want = recorded('v9-methods-1', 'chat.history-limit1');
    const [message] = (unstamped(got) as { messages: JsonObject[] }).messages;
    const [wanted] = (unstamped(want) as { messages: JsonObject[] }).messages;
    const { __openclaw: meta, responseId: _, ...rest } = wanted as JsonObject;
    const { __openclaw: own, ...bare } = message as JsonObject;
    expect(bare).toEqual(rest);
    expect(Object.keys(own as object).toSorted()).toEqual(Object.keys(meta as object).toSorted());
    expect({ nextOffset: got['nextOffset'], hasMore: got['hasMore'], totalMessages: got['totalMessages'] }).toEqual({
      nextOffset: want['nextOffset'],
      hasMore: want['hasMore'],
      totalMessages: want['totalMessages'],
    });
  });

  test('EV-123 offset skips the newest; an unknown session is empty and says what it would be', async () => {
    const asked: object[] = [];
    await ask(3, page(toolTurn), { sessionKey: KEY, offset: 1 }, {}, asked);
    expect(asked[0]).toMatchObject({ offset: 0 });
    const got = await ask(4, page(toolTurn.slice(1, 3), { total: 4, hasMore: true }), { sessionKey: KEY, limit: 2, offset: 1 });
    expect(got).toMatchObject({ offset: 1, nextOffset: 3, hasMore: true });
    expect(got).not.toHaveProperty('deltaCursor');
    const { sessionId: _, ...nothing } = page([], { sessionKey: 'agent:main:doesnotexist' });
    const missing = await ask(4, nothing, { sessionKey: 'agent:main:doesnotexist' }, { session: undefined });
    const want = recorded('v9-methods-1', 'chat.history-missing');
    expect(missing).toMatchObject({ messages: [], hasMore: false, totalMessages: 0, sessionInfo: { updatedAt: null, activeRunIds: [] } });
    expect(Object.keys(missing).toSorted()).toEqual(Object.keys(want).toSorted());
  });

  test('EV-124 a cursor gives what came after it, and a reset when that cannot be told', async () => {
    const first = await ask(4, page(toolTurn.slice(0, 2)), { sessionKey: KEY });
    const cursor = first['deltaCursor'] as string;
    expect(parseDeltaCursor(cursor)).toEqual({ sessionId: '<uuid1>', lastSeq: 2 });
    const since = async (list: readonly TranscriptEntry[], text = cursor, more: Partial<TranscriptPage> = {}): Promise<JsonObject> =>
      await ask(4, page(list, { total: list.at(-1)?.seq ?? 0, ...more }), { sessionKey: KEY, cursor: text });
    const delta = await since(toolTurn);
    expect(delta).toMatchObject({ kind: 'delta', messages: [{ messageSeq: 3, messageId: 'e3' }, { messageSeq: 4 }] });
    expect(parseDeltaCursor(delta['deltaCursor'] as string)?.lastSeq).toBe(4);
    expect(await since(toolTurn.slice(0, 2))).toMatchObject({ kind: 'delta', messages: [] });
    // A hole between cursor and page, another session id, nonsense.
    expect(await since(toolTurn.slice(3))).toEqual({ kind: 'reset' });
    expect(await since(toolTurn, cursor, { sessionId: 'other' })).toEqual({ kind: 'reset' });
    expect(await since(toolTurn, 'x')).toEqual(recorded('v9-methods-1', 'chat.history-cursor'));
  });

  test('EV-124 any text is a cursor or none, never a throw', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json().map((json) => Buffer.from(json).toString('base64url')),
        ),
        (text) => {
          const cursor = parseDeltaCursor(text);
          expect(cursor === undefined || Number.isSafeInteger(cursor.lastSeq)).toBe(true);
        },
      ),
    );
  });

  test('EV-125 chat.startup is the history with metadata', async () => {
    const history = await ask(4, page(toolTurn), { sessionKey: KEY });
    expect(JSON.parse(startupResult(JSON.stringify(history), { models: [] }))).toEqual({ ...history, metadata: { models: [] } });
  });
});

describe('EV-126 what does not fit', () => {
  const long = (chars: number): TranscriptEntry[] =>
    entries({ role: 'assistant', ...stub, stopReason: 'stop', content: [{ type: 'text', text: 'é'.repeat(chars) }] });

  test('EV-126 texts are cut, with a sign of it', async () => {
    const text = async (protocol: 3 | 4, chars: number, maxChars?: number): Promise<{ text: string; meta: unknown }> => {
      const params = { sessionKey: KEY, ...(maxChars === undefined ? {} : { maxChars }) };
      const got = await ask(protocol, page(long(chars)), params);
      const [message] = got['messages'] as [{ content: [{ text: string }]; __openclaw?: unknown }];
      return { text: message.content[0].text, meta: message.__openclaw };
    };
    expect(await text(4, 50, 20)).toMatchObject({ text: 'é'.repeat(20), meta: { truncated: true, reason: 'display-cap' } });
    expect((await text(4, 20, 20)).meta).not.toHaveProperty('truncated');
    expect((await text(4, 20_000)).text).toHaveLength(LIMITS.historyTextChars);
    expect((await text(3, 20_000)).text).toMatch(/…\(truncated\)…$/);
    expect((await text(3, 20_000)).text).toHaveLength(LIMITS.historyTextChars);
  });

  test('EV-126 a message above 128 KiB becomes a placeholder', async () => {
    const args = { data: 'x'.repeat(LIMITS.historyMessageBytes) };
    const huge = entries({
      role: 'assistant',
      ...stub,
      stopReason: 'toolUse',
      content: [{ type: 'toolCall', id: 'c', name: 'write', arguments: args }],
    });
    for (const protocol of [3, 4] as const) {
      const got = await ask(protocol, page(huge), { sessionKey: KEY });
      expect(got['messages']).toMatchObject([{ content: [{ text: OMITTED }] }]);
    }
  });

  test('EV-126 the newest that fit are given, and where to go on from', async () => {
    const many = entries(...Array.from({ length: 10 }, (): TranscriptMessage => ({ role: 'user', text: 'x'.repeat(1_000) })));
    const got = await ask(4, page(many), { sessionKey: KEY, maxBytes: 4_000 });
    const seqs = (got['messages'] as { __openclaw: { seq: number } }[]).map((m) => m.__openclaw.seq);
    expect(seqs).toEqual([8, 9, 10]);
    expect(got).toMatchObject({ hasMore: true, nextOffset: seqs.length });
    expect(Buffer.byteLength(JSON.stringify(got['messages']))).toBeLessThanOrEqual(4_000);
    // One is always given, or nobody could go on.
    const tiny = await ask(4, page(many), { sessionKey: KEY, maxBytes: 1 });
    expect(tiny['messages']).toHaveLength(1);
  });
});
