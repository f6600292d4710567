import type { SessionView, TranscriptEntry, TranscriptPage } from '../../agent/api.ts';
import { agentOfSessionKey } from '../../agent/session-key.ts';
import { isRecord, type Json, type JsonObject } from '../../lib/json.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { HistoryParams } from '../../protocol/methods/chat.ts';
import type { Protocol } from '../../protocol/version.ts';
import { messageOf } from './message-shape.ts';
import { defaultsBlock, type SessionModelDefaults, sessionMessagePayload, sessionRow, unknownSessionInfo } from './session-shape.ts';
import { isCommandTool } from './tool-item.ts';

/** Messages per `chat.history` when the caller names no limit. */
export const HISTORY_LIMIT = 200;

export interface HistoryDefaults extends SessionModelDefaults {
  readonly thinkingLevel: string;
}

/** What to ask the transcript for. Protocol 3 knows `limit` alone. */
export function historyQuery(protocol: Protocol, params: HistoryParams): { readonly limit: number; readonly offset: number } {
  return { limit: params.limit ?? HISTORY_LIMIT, offset: protocol === 4 && params.cursor === undefined ? (params.offset ?? 0) : 0 };
}

/**
 * The result of `chat.history`. `page` is what `historyQuery` asked for; of its newest messages as many are given as fit into 6 MiB
 * (or `maxBytes`), at least one. Protocol 4 with a `cursor`: only what came after it, or `{kind: "reset"}` when that cannot be told.
 */
export function historyResult(
  protocol: Protocol,
  page: TranscriptPage,
  params: HistoryParams,
  session: SessionView | undefined,
  defaults: HistoryDefaults,
  now: number,
): JsonObject {
  const { sessionKey } = params;
  if (protocol === 3) {
    const { messages } = newest(protocol, page, {});
    const sessionId = page.sessionId === undefined ? {} : { sessionId: page.sessionId };
    return { sessionKey, ...sessionId, messages, thinkingLevel: defaults.thinkingLevel };
  }
  if (params.cursor !== undefined) return deltaResult(page, params.cursor, session, defaults, now);

  const { messages, entries } = newest(protocol, page, params);
  const offset = params.offset ?? 0;
  const reached = offset + messages.length;
  const hasMore = page.hasMore || entries.length < page.entries.length;
  const activity = activityOf(entries, session);
  return {
    sessionKey,
    ...(page.sessionId === undefined ? {} : { sessionId: page.sessionId }),
    messages,
    ...(activity.length === 0 ? {} : { activity }),
    pendingInputs: { items: [], total: 0 },
    ...(offset === 0 ? cursorOf(page, entries) : { offset }),
    ...(hasMore ? { nextOffset: reached } : {}),
    hasMore,
    totalMessages: page.total,
    defaults: defaultsBlock(4, defaults),
    sessionInfo: sessionInfo(page.sessionKey, session, defaults, now),
    thinkingLevel: defaults.thinkingLevel,
  };
}

/** The result of `chat.startup`: the history with `metadata`, the result of `chat.metadata`. */
export const startupResult = (history: JsonObject, metadata: JsonObject): JsonObject => ({ ...history, metadata });

/** The newest messages that fit, oldest first, with the entries they came from. */
function newest(
  protocol: Protocol,
  page: TranscriptPage,
  { maxChars, maxBytes }: { readonly maxChars?: number | undefined; readonly maxBytes?: number | undefined },
): { readonly messages: readonly JsonObject[]; readonly entries: readonly TranscriptEntry[] } {
  const budget = Math.min(maxBytes ?? LIMITS.historyBytes, LIMITS.historyBytes);
  const chars = Math.min(maxChars ?? LIMITS.historyTextChars, LIMITS.historyMessageBytes);
  const messages: JsonObject[] = [];
  let bytes = 1;
  for (let i = page.entries.length - 1; i >= 0; i--) {
    const entry = page.entries[i];
    if (entry === undefined) break;
    const message = messageOf(protocol, entry, page.sessionId ?? '', chars);
    bytes += Buffer.byteLength(JSON.stringify(message)) + 1;
    if (bytes > budget && messages.length > 0) break;
    messages.push(message);
  }
  return { messages: messages.reverse(), entries: page.entries.slice(page.entries.length - messages.length) };
}

function sessionInfo(key: string, session: SessionView | undefined, defaults: SessionModelDefaults, now: number): JsonObject {
  if (session === undefined) return unknownSessionInfo(key, agentOfSessionKey(key), defaults, now);
  // No leaf is named: a client that knows one makes its next message depend on it, and ours are queued, not refused.
  return { ...sessionRow(4, session, { defaults, now }), activeLeafEntryId: null };
}

/** A line per message that called a tool or holds its result. */
function activityOf(entries: readonly TranscriptEntry[], session: SessionView | undefined): Json[] {
  const results = new Map<string, boolean>();
  for (const { message } of entries) if (message.role === 'toolResult') results.set(message.toolCallId, message.isError);
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
  return entries.flatMap(({ id, message }): Json[] => {
    if (message.role === 'toolResult') return [{ messageId: id, items: [item(message.toolCallId, message.toolName)] }];
    if (message.role !== 'assistant') return [];
    const items = message.content.flatMap((part) => (part.type === 'toolCall' ? [item(part.id, part.name)] : []));
    return items.length === 0 ? [] : [{ messageId: id, items }];
  });
}

export interface DeltaCursor {
  readonly sessionId: string;
  /** Seq of the last entry its holder has. */
  readonly lastSeq: number;
}

function cursorOf(page: TranscriptPage, entries: readonly TranscriptEntry[]): JsonObject {
  const last = entries.at(-1);
  if (page.sessionId === undefined || last === undefined) return {};
  const agentId = agentOfSessionKey(page.sessionKey);
  const cursor = { agentId, generation: 0, lastSeq: last.seq, sessionId: page.sessionId, version: 1 };
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

const RESET: JsonObject = { kind: 'reset' };

function deltaResult(
  page: TranscriptPage,
  text: string,
  session: SessionView | undefined,
  defaults: HistoryDefaults,
  now: number,
): JsonObject {
  const cursor = parseDeltaCursor(text);
  if (!cursor || session === undefined || cursor.sessionId !== page.sessionId) return RESET;
  const last = page.entries.at(-1)?.seq ?? 0;
  const first = page.entries[0]?.seq ?? 1;
  // The page has to reach back to what the holder has: a hole would never be noticed.
  if (cursor.lastSeq > last || first > cursor.lastSeq + 1) return RESET;
  const fresh = page.entries.filter((entry) => entry.seq > cursor.lastSeq);
  const messages = fresh.map((entry) => sessionMessagePayload(4, { session, entry }, { defaults, now }));
  if (Buffer.byteLength(JSON.stringify(messages)) > LIMITS.historyBytes) return RESET;
  return {
    kind: 'delta',
    sessionKey: page.sessionKey,
    sessionId: page.sessionId,
    messages,
    ...cursorOf(page, page.entries),
    hasMore: false,
    totalMessages: page.total,
    sessionInfo: sessionInfo(page.sessionKey, session, defaults, now),
    thinkingLevel: defaults.thinkingLevel,
  };
}
