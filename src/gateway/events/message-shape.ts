import type { AssistantPart, TranscriptEntry, TranscriptMessage, Usage } from '../../agent/api.ts';
import type { Json, JsonObject } from '../../lib/json.ts';
import { LIMITS } from '../../protocol/limits.ts';
import type { Protocol } from '../../protocol/version.ts';
import { cutText } from './cut-text.ts';

/** Stands in for a message that is larger than `LIMITS.historyMessageBytes`. */
export const OMITTED = '[chat.history omitted: message too large]';
/** Protocol 3 has no field that says a text was cut. */
const CUT_MARK = '\n…(truncated)…';

type Assistant = Extract<TranscriptMessage, { role: 'assistant' }>;

/**
 * One transcript entry as existing clients read it in `chat.history` and `session.message`. `maxChars` cuts each text.
 * Protocol 3: user content in parts, `senderLabel`. Protocol 4: user content a plain string, `__openclaw` with id, seq and time.
 */
export function messageOf(
  protocol: Protocol,
  entry: TranscriptEntry,
  sessionId: string,
  maxChars: number = LIMITS.historyTextChars,
): JsonObject {
  return messageAndText(protocol, entry, sessionId, maxChars).message;
}

/** The same with its JSON text, which is made anyway to know its size. */
export function messageAndText(
  protocol: Protocol,
  entry: TranscriptEntry,
  sessionId: string,
  maxChars: number = LIMITS.historyTextChars,
): { readonly message: JsonObject; readonly json: string; readonly bytes: number } {
  // Of what was not read whole, at most the beginning that is shown by default.
  const limit = entry.isCut === true ? Math.min(maxChars, LIMITS.historyTextChars) : maxChars;
  let wasCut = entry.isCut === true;
  const cut = (text: string): string => {
    if (text.length <= limit) return text;
    wasCut = true;
    return protocol === 3 ? cutText(text, limit, CUT_MARK) : cutText(text, limit);
  };
  const message = bare(protocol, entry, cut);
  const whole = protocol === 3 ? message : { ...message, __openclaw: meta(entry, sessionId, wasCut ? 'display-cap' : undefined) };
  const sized = withText(whole);
  if (sized.bytes <= LIMITS.historyMessageBytes) return sized;
  const content = [{ type: 'text', text: OMITTED }];
  const small = entry.message.role === 'user' ? { ...message, content: protocol === 3 ? content : OMITTED } : { ...message, content };
  return withText(protocol === 3 ? small : { ...small, __openclaw: meta(entry, sessionId, 'oversized') });
}

function withText(message: JsonObject): { readonly message: JsonObject; readonly json: string; readonly bytes: number } {
  const json = JSON.stringify(message);
  return { message, json, bytes: Buffer.byteLength(json) };
}

function bare(protocol: Protocol, entry: TranscriptEntry, cut: (text: string) => string): JsonObject {
  const { message, at, runId } = entry;
  switch (message.role) {
    case 'user': {
      const text = cut(message.text);
      if (protocol === 4) {
        return { role: 'user', content: text, timestamp: at, ...(runId === undefined ? {} : { idempotencyKey: `${runId}:user` }) };
      }
      const senderLabel = message.senderLabel === undefined ? {} : { senderLabel: message.senderLabel };
      return { role: 'user', content: [{ type: 'text', text }], timestamp: at, ...senderLabel };
    }
    case 'assistant':
      return assistant(protocol, message, entry, cut);
    case 'toolResult': {
      const { toolCallId, toolName, isError, text } = message;
      return { role: 'toolResult', toolCallId, toolName, content: [{ type: 'text', text: cut(text) }], isError, timestamp: at };
    }
  }
}

function assistant(protocol: Protocol, message: Assistant, entry: TranscriptEntry, cut: (text: string) => string): JsonObject {
  const { at: timestamp, runId } = entry;
  const content = message.content.map((part) => partOf(part, cut));
  if (message.stopReason === 'aborted') {
    // What was said until somebody stopped it: clients know it by `openclawAbort`, and show it like an answer.
    return {
      role: 'assistant',
      content,
      timestamp,
      stopReason: 'stop',
      usage: usageOf(protocol, ZERO),
      api: 'openai-responses',
      provider: 'openclaw',
      model: 'gateway-injected',
      ...(runId === undefined ? {} : { idempotencyKey: `${runId}:assistant`, openclawAbort: { aborted: true, origin: 'rpc', runId } }),
    };
  }
  const { api, provider, model } = message;
  const failed = message.stopReason === 'error' || message.stopReason === 'interrupted';
  const base = {
    api,
    provider,
    model,
    usage: usageOf(protocol, message.usage),
    stopReason: failed ? 'error' : message.stopReason,
    timestamp,
  };
  if (!failed) return { role: 'assistant', content, ...base };
  const errorMessage = message.errorMessage ?? (message.stopReason === 'interrupted' ? 'The run was interrupted.' : 'The run failed.');
  if (protocol === 3) return { role: 'assistant', content, ...base, errorMessage };
  // Clients of 4 read the error as the message's own text; what had been said stays before it.
  return {
    role: 'assistant',
    content: [...content, { type: 'text', text: cut(errorMessage) }],
    ...base,
    ...(runId === undefined ? {} : { idempotencyKey: `${runId}:terminal-error` }),
  };
}

function partOf(part: AssistantPart, cut: (text: string) => string): Json {
  switch (part.type) {
    case 'text':
      return { type: 'text', text: cut(part.text) };
    case 'thinking':
      return { type: 'thinking', thinking: cut(part.thinking) };
    case 'toolCall':
      return { type: 'toolCall', id: part.id, name: part.name, arguments: part.arguments };
  }
}

const ZERO: Usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };

/** Costs are not counted: the keys are there because clients add them up. */
function usageOf(protocol: Protocol, usage: Usage): JsonObject {
  const { input, output, cacheRead, cacheWrite, total } = usage;
  const cost = protocol === 3 ? { total: 0 } : { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
  return { input, output, totalTokens: total, cacheRead, cacheWrite, cost };
}

function meta(entry: TranscriptEntry, sessionId: string, reason: 'display-cap' | 'oversized' | undefined): JsonObject {
  const isUser = entry.message.role === 'user';
  return {
    ...(isUser ? { senderIsOwner: true } : {}),
    ...(!isUser && entry.runId !== undefined ? { runId: entry.runId } : {}),
    id: entry.id,
    ...(isUser && entry.runId !== undefined ? { idempotencyKey: `${entry.runId}:user` } : {}),
    recordTimestampMs: entry.at,
    transcriptPosition: { source: Buffer.from(sessionId).toString('base64url'), rawSeq: entry.seq },
    seq: entry.seq,
    ...(reason === undefined ? {} : { truncated: true, reason }),
  };
}
