import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { AgentView, SessionView, TranscriptEntry } from '../../agent/api.ts';
import type { JsonObject } from '../../lib/json.ts';
import { healthResult, statusResult } from './health-shape.ts';
import { modelsListResult } from './model-shape.ts';
import { previewLines, previewOf, sessionChangedPayload, sessionMessagePayload, sessionRow, sessionsListResult } from './session-shape.ts';

function recorded(capture: string, label: string): JsonObject {
  const path = fileURLToPath(new URL(`../../../test/contract/captures/${capture}.jsonl`, import.meta.url));
  for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
    const row = JSON.parse(line) as { label?: string; payload?: JsonObject };
    if (row.label === label && row.payload) return row.payload;
  }
  throw new Error(`no ${label} in ${capture}`);
}

const defaults = { modelProvider: 'stub', model: 'stub-model', contextTokens: 128_000 };
const session: SessionView = {
  key: 'agent:main:tool',
  sessionId: 's1',
  agentId: 'main',
  createdAt: 1,
  updatedAt: 90,
  usage: { input: 20, output: 4, cacheRead: 0, cacheWrite: 0, total: 24 },
  contextUsed: 10,
  contextTokens: undefined,
  status: 'done',
  activeRunIds: [],
  abortedLastRun: false,
  channel: 'webchat',
  derivedTitle: 'A title',
  lastMessagePreview: 'bye',
};
const keys = (value: unknown): string[] => Object.keys(value as object);

describe('EV-131 sessions', () => {
  test('EV-131 totalTokens is how full the context is, not the sum of all runs', () => {
    for (const protocol of [3, 4] as const) {
      const busy = {
        ...session,
        usage: { input: 900_000, output: 5_000, cacheRead: 0, cacheWrite: 0, total: 905_000 },
        contextUsed: 64_000,
      };
      expect(sessionRow(protocol, busy, { defaults, now: 100 })).toMatchObject({
        totalTokens: 64_000,
        totalTokensFresh: true,
        contextTokens: 128_000,
      });
      expect(sessionRow(protocol, { ...busy, contextUsed: undefined }, { defaults, now: 100 })).toMatchObject({ totalTokensFresh: false });
    }
  });
  test('EV-131 a row of protocol 3 has the keys that clients of 3 were given', async () => {
    const [, want] = recorded('v3-methods-1', 'sessions.list')['sessions'] as JsonObject[];
    const row = sessionRow(3, session, { defaults, now: 100 });
    expect(keys(row)).toEqual(expect.arrayContaining(keys(want)));
    const list = JSON.parse(
      await sessionsListResult(3, { read: () => ({ total: 1, sessions: [session] }), limit: 100, offset: 0, defaults, now: 100 }),
    ) as JsonObject;
    expect(keys(list)).toEqual(keys(recorded('v3-methods-1', 'sessions.list')));
  });

  test('EV-131 titles and previews only where they were asked for', () => {
    for (const protocol of [3, 4] as const) {
      expect(sessionRow(protocol, session, { defaults, now: 100 })).not.toHaveProperty('derivedTitle');
      const options = { defaults, now: 100, includeDerivedTitles: true, includeLastMessage: true };
      expect(sessionRow(protocol, session, options)).toMatchObject({ derivedTitle: 'A title', lastMessagePreview: 'bye' });
    }
  });

  test('EV-131 a list of protocol 4 pages', async () => {
    const want = recorded('v9-methods-1', 'sessions.list-rich');
    const input = {
      limit: 3,
      offset: 0,
      defaults,
      now: 100,
      read: (limit: number, offset: number) => ({ total: 15, sessions: many.slice(offset, offset + limit) }),
    };
    const many = Array.from({ length: 15 }, (_, n) => ({ ...session, key: `agent:main:s${n}` }));
    const got = JSON.parse(await sessionsListResult(4, input)) as JsonObject;
    expect(keys(got)).toEqual(keys(want));
    expect(got).toMatchObject({ count: 3, totalCount: 15, limitApplied: 3, nextOffset: 3, hasMore: true });
    const last = JSON.parse(await sessionsListResult(4, { ...input, offset: 12 })) as JsonObject;
    expect(last).toMatchObject({ nextOffset: null, hasMore: false });
  });

  test('EV-131 previews', () => {
    const entries: TranscriptEntry[] = [
      { id: '1', seq: 1, at: 1, message: { role: 'user', text: 'TEST:tool name=read' } },
      {
        id: '2',
        seq: 2,
        at: 2,
        message: {
          role: 'assistant',
          content: [{ type: 'toolCall', id: 'c', name: 'read', arguments: {} }],
          provider: 'stub',
          model: 'm',
          api: 'a',
          usage: session.usage,
          stopReason: 'toolUse',
        },
      },
      { id: '3', seq: 3, at: 3, message: { role: 'toolResult', toolCallId: 'c', toolName: 'read', text: 'secret', isError: false } },
    ];
    const shown = (protocol: 3 | 4, maxChars: number) => entries.flatMap(({ message }) => previewLines(protocol, message, maxChars));
    expect(previewOf('agent:main:tool', shown(3, 20))).toEqual({
      key: 'agent:main:tool',
      status: 'ok',
      items: [
        { role: 'user', text: 'TEST:tool name=read' },
        { role: 'tool', text: 'call read' },
      ],
    });
    expect(previewOf('agent:main:nope', undefined)).toEqual({ key: 'agent:main:nope', status: 'missing', items: [] });
    expect(previewOf('agent:main:empty', [])).toEqual({ key: 'agent:main:empty', status: 'empty', items: [] });
    expect(shown(4, 10)).toEqual([{ role: 'user', text: 'TEST:to...' }]);
  });

  test('EV-132 what subscribers are told', () => {
    expect(sessionChangedPayload({ type: 'changed', reason: 'send', session, ts: 9 }, { defaults, now: 9 })).toMatchObject({
      sessionKey: session.key,
      agentId: 'main',
      reason: 'send',
      ts: 9,
      session: { key: session.key, status: 'done' },
    });
    const entry: TranscriptEntry = { id: 'e', seq: 4, at: 1, runId: 'r', message: { role: 'user', text: 'hi' } };
    expect(sessionMessagePayload(4, { session, entry }, { defaults, now: 9 })).toMatchObject({
      messageId: 'e',
      messageSeq: 4,
      message: { role: 'user', content: 'hi', idempotencyKey: 'r:user' },
    });
  });
});

describe('EV-133 health, status, models', () => {
  const agents: AgentView[] = [{ id: 'main', name: 'Assistant', workspace: '/w', isDefault: true }];
  const input = { ok: true, now: 100, durationMs: 1, agents, sessions: [session], sessionCount: 1 };

  test('EV-133 health has every key that clients of either line were given', () => {
    for (const [protocol, capture] of [
      [3, 'v3-methods-1'],
      [4, 'v9-methods-1'],
    ] as const) {
      const want = recorded(capture, 'health');
      const got = healthResult(protocol, input);
      expect(keys(got).toSorted()).toEqual(keys(want).toSorted());
      const agent = (value: JsonObject): JsonObject => (value['agents'] as JsonObject[])[0] as JsonObject;
      expect(keys(agent(got))).toEqual(expect.arrayContaining(keys(agent(want))));
      expect(keys(agent(got)['heartbeat']).toSorted()).toEqual(keys(agent(want)['heartbeat']).toSorted());
      expect(got['sessions']).toMatchObject({ count: 1, recent: [{ key: session.key, updatedAt: 90, age: 10 }] });
    }
  });

  test('EV-133 status', () => {
    const want = recorded('v3-methods-1', 'status');
    const status = { ...input, version: '1.2.3', defaults, process: { pid: 7, memory: { rssBytes: 1 } } };
    const got = statusResult(3, status);
    expect(keys(got).toSorted()).toEqual(keys(want).toSorted());
    const row = (value: JsonObject): JsonObject => ((value['sessions'] as JsonObject)['recent'] as JsonObject[])[0] as JsonObject;
    expect(keys(row(got))).toEqual(expect.arrayContaining(keys(row(want))));
    expect(row(got)).toMatchObject({ totalTokens: 10, remainingTokens: 127_990, percentUsed: 0 });
    // Command lines of protocol 4 ask with the read scope alone and got these.
    expect(statusResult(4, status)).toMatchObject({ pid: 7, processMemory: { rssBytes: 1 }, tasks: { byStatus: { queued: 0 } } });
  });

  test('EV-133 models', () => {
    const model = {
      provider: 'stub',
      id: 'm',
      name: 'M',
      contextWindow: 5,
      reasoning: true,
      input: ['text'] as const,
      source: 'config' as const,
    };
    expect(modelsListResult(3, [model], model)).toEqual({
      models: [{ id: 'm', name: 'M', provider: 'stub', contextWindow: 5, reasoning: true, input: ['text'] }],
    });
    expect(modelsListResult(4, [model], model)).toMatchObject({ models: [{ tags: ['default'], available: true }], accountSelection: {} });
  });
});
