import type { SessionView, TranscriptEntry, TranscriptPage, TranscriptQuery } from '../../agent/api.ts';
import { agentOfSessionKey } from '../../agent/session-key.ts';
import { isRecord, type Json, type JsonObject } from '../../lib/json.ts';
import { turn } from '../../lib/turn.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { HistoryParams } from '../../protocol/methods/chat.ts';
import type { Protocol } from '../../protocol/version.ts';
import { messageAndText } from './message-shape.ts';
import { objectText } from './object-text.ts';
import { defaultsBlock, type SessionModelDefaults, sessionMessagePayload, sessionRow, unknownSessionInfo } from './session-shape.ts';
import { isCommandTool } from './tool-item.ts';

/** Messages per `chat.history` when the caller names no limit. */
export const HISTORY_LIMIT = 200;

export interface HistoryDefaults extends SessionModelDefaults {
  readonly thinkingLevel: string;
}

/** Of the transcript, bytes as stored, between two turns of the event loop. */
const SLICE_BYTES = 192 * 1024;

type ReadPage = (query: Omit<TranscriptQuery, 'wholeUpTo'>) => TranscriptPage;

/** What the answer to `chat.history` speaks of beside the messages. */
export interface HistoryFacts {
  readonly session: SessionView | undefined;
  readonly defaults: HistoryDefaults;
  readonly now: number;
}

/**
 * The JSON text of the result of `chat.history`. The transcript is read backwards, a slice at a time with a turn of the event loop
 * between two of them, until `limit` messages are there or 6 MiB (or `maxBytes`) are used, of what is stored and of what is
 * answered; at least one message. Protocol 4 with a `cursor`: only what came after it, or `{kind: "reset"}` when that cannot be told.
 */
export async function historyResult(protocol: Protocol, params: HistoryParams, read: ReadPage, facts: () => HistoryFacts): Promise<string> {
  if (protocol === 4 && params.cursor !== undefined) return await deltaResult(params, params.cursor, read, facts);
  const offset = protocol === 4 ? (params.offset ?? 0) : 0;
  const budget = protocol === 4 ? Math.min(params.maxBytes ?? LIMITS.historyBytes, LIMITS.historyBytes) : LIMITS.historyBytes;
  const chars = protocol === 4 ? Math.min(params.maxChars ?? LIMITS.historyTextChars, LIMITS.historyMessageBytes) : LIMITS.historyTextChars;
  const limit = params.limit ?? HISTORY_LIMIT;

  const texts: string[] = [];
  const tools: ToolTrace[] = [];
  let page = read({ limit: Math.min(limit, 1), offset });
  const { sessionId = '', sessionKey, total } = page;
  const newest = page.entries.at(-1);
  let { hasMore } = page;
  let bytes = 1;
  let stored = page.bytes;
  for (;;) {
    let isFull = false;
    for (const entry of page.entries.toReversed()) {
      const message = messageAndText(protocol, entry, sessionId, chars);
      bytes += message.bytes + 1;
      isFull = bytes > budget && texts.length > 0;
      if (isFull) break;
      texts.push(message.json);
      tools.push(toolTrace(entry));
    }
    hasMore = isFull || page.hasMore;
    const first = page.entries[0];
    const left = LIMITS.historyBytes - stored;
    if (isFull || !page.hasMore || first === undefined || texts.length >= limit || left <= 0) break;
    await turn();
    const next = read({ limit: limit - texts.length, beforeSeq: first.seq, maxBytes: Math.min(SLICE_BYTES, left), sessionId });
    stored += next.bytes;
    // The first one of a page is given whatever its size.
    if (stored > LIMITS.historyBytes) break;
    page = next;
  }
  await turn();

  const { session, defaults, now } = facts();
  const messages = `[${texts.reverse().join(',')}]`;
  const { thinkingLevel } = defaults;
  if (protocol === 3) {
    return objectText(
      { sessionKey: params.sessionKey, ...(page.sessionId === undefined ? {} : { sessionId }) },
      { messages },
      { thinkingLevel },
    );
  }
  const activity = activityOf(tools.reverse(), session);
  return objectText(
    { sessionKey: params.sessionKey, ...(page.sessionId === undefined ? {} : { sessionId }) },
    { messages },
    {
      ...(activity.length === 0 ? {} : { activity }),
      pendingInputs: { items: [], total: 0 },
      ...(offset === 0 ? cursorOf(sessionKey, page.sessionId, newest?.seq) : { offset }),
      ...(hasMore ? { nextOffset: offset + texts.length } : {}),
      hasMore,
      totalMessages: total,
      defaults: defaultsBlock(4, defaults),
      sessionInfo: sessionInfo(sessionKey, session, defaults, now),
      thinkingLevel,
    },
  );
}

/** The result of `chat.startup`: the history with `metadata`, the result of `chat.metadata`. */
export const startupResult = (history: string, metadata: JsonObject): string =>
  `${history.slice(0, -1)},"metadata":${JSON.stringify(metadata)}}`;

function sessionInfo(key: string, session: SessionView | undefined, defaults: SessionModelDefaults, now: number): JsonObject {
  if (session === undefined) return unknownSessionInfo(key, agentOfSessionKey(key), defaults, now);
  // No leaf is named: a client that knows one makes its next message depend on it, and ours are queued, not refused.
  return { ...sessionRow(4, session, { defaults, now }), activeLeafEntryId: null };
}

/** What one message says of tools, kept without the message. */
interface ToolTrace {
  readonly messageId: string;
  readonly calls: readonly { readonly id: string; readonly name: string }[];
  /** Whether the result that this message holds is an error. */
  readonly failed: boolean | undefined;
}

function toolTrace({ id: messageId, message }: TranscriptEntry): ToolTrace {
  if (message.role === 'toolResult')
    return { messageId, calls: [{ id: message.toolCallId, name: message.toolName }], failed: message.isError };
  const calls =
    message.role === 'assistant'
      ? message.content.flatMap((part) => (part.type === 'toolCall' ? [{ id: part.id, name: part.name }] : []))
      : [];
  return { messageId, calls, failed: undefined };
}

/** A line per message that called a tool or holds its result. */
function activityOf(traces: readonly ToolTrace[], session: SessionView | undefined): Json[] {
  const results = new Map<string, boolean>();
  for (const { calls, failed } of traces) if (failed !== undefined) for (const { id } of calls) results.set(id, failed);
  const running = (session?.activeRunIds.length ?? 0) > 0;
  const item = (toolCallId: string, name: string): JsonObject => {
    const failed = results.get(toolCallId);
    const isOpen = failed === undefined && running;
    return {
      itemId: `tool:${toolCallId}`,
      toolCallId,
      name,
      kind: 'tool',
      phase: isOpen ? 'start' : 'end',
      title: name.charAt(0).toUpperCase() + name.slice(1),
      status: isOpen ? 'running' : failed === false ? 'completed' : 'failed',
      commandBearing: isCommandTool(name),
    };
  };
  return traces.flatMap(({ messageId, calls }): Json[] =>
    calls.length === 0 ? [] : [{ messageId, items: calls.map(({ id, name }) => item(id, name)) }],
  );
}

export interface DeltaCursor {
  readonly sessionId: string;
  /** Seq of the last entry its holder has. */
  readonly lastSeq: number;
}

function cursorOf(sessionKey: string, sessionId: string | undefined, lastSeq: number | undefined): JsonObject {
  if (sessionId === undefined || lastSeq === undefined) return {};
  const cursor = { agentId: agentOfSessionKey(sessionKey), generation: 0, lastSeq, sessionId, version: 1 };
  return { deltaCursor: Buffer.from(JSON.stringify(cursor)).toString('base64url') };
}

/** Total: undefined for anything that is not a cursor of ours. */
export function parseDeltaCursor(text: string): DeltaCursor | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    if (!isRecord(value) || value['version'] !== 1) return undefined;
    const { sessionId, lastSeq } = value;
    return typeof sessionId === 'string' && Number.isSafeInteger(lastSeq) && Number(lastSeq) >= 0
      ? { sessionId, lastSeq: Number(lastSeq) }
      : undefined;
  } catch {
    return undefined;
  }
}

const RESET = JSON.stringify({ kind: 'reset' });

async function deltaResult(params: HistoryParams, text: string, read: ReadPage, facts: () => HistoryFacts): Promise<string> {
  const cursor = parseDeltaCursor(text);
  const head = read({ limit: 1, maxBytes: 0 });
  const last = head.entries.at(-1)?.seq ?? 0;
  const { sessionId } = head;
  if (!cursor || sessionId === undefined || cursor.sessionId !== sessionId) return RESET;
  // The page has to reach back to what the holder has: a hole would never be noticed.
  if (cursor.lastSeq > last || last - cursor.lastSeq > (params.limit ?? HISTORY_LIMIT)) return RESET;
  const { session, defaults, now } = facts();
  if (session === undefined || session.sessionId !== sessionId) return RESET;
  const texts: string[] = [];
  let bytes = 1;
  let stored = 0;
  for (let seq = last; seq > cursor.lastSeq; ) {
    const page = read({ limit: seq - cursor.lastSeq, beforeSeq: seq + 1, maxBytes: SLICE_BYTES, sessionId });
    stored += page.bytes;
    for (const entry of page.entries.toReversed()) {
      const message = JSON.stringify(sessionMessagePayload(4, { session, entry }, { defaults, now }));
      bytes += Buffer.byteLength(message) + 1;
      texts.push(message);
    }
    if (page.entries.length === 0 || bytes > LIMITS.historyBytes || stored > LIMITS.historyBytes) return RESET;
    seq -= page.entries.length;
    await turn();
  }
  return objectText(
    { kind: 'delta', sessionKey: head.sessionKey, sessionId },
    { messages: `[${texts.reverse().join(',')}]` },
    {
      ...cursorOf(head.sessionKey, sessionId, last === 0 ? undefined : last),
      hasMore: false,
      totalMessages: head.total,
      sessionInfo: sessionInfo(head.sessionKey, session, defaults, now),
      thinkingLevel: defaults.thinkingLevel,
    },
  );
}
