import { turn } from '../../lib/turn.ts';
import type { TranscriptEntry } from '../api.ts';
import type { AgentStore } from '../ports.ts';
import type { PromptMessage, PromptToolCall } from '../providers/model-stream.ts';
import { clip, visibleText } from '../text.ts';
import type { Fence } from './fence.ts';
import { estimateTokens, MESSAGE_OVERHEAD } from './tokens.ts';

const PAGE = 50;
/** Bytes as stored that are read between two turns of the event loop. */
const PAGE_BYTES = 128 * 1024;
/** Entries of a transcript that are looked at for one prompt. */
const MAX_ENTRIES = 2_000;
/** Bytes as stored that are looked at for one prompt; more where the budget has room for more. */
const MAX_BYTES = 4 * 1024 * 1024;
/** Up to this size (bytes as stored) an entry is read whole at once. It holds what is used of any tool result. */
const SMALL_BYTES = 16 * 1024;
/** A message with more stored bytes per token of the budget does not fit into it, however it is escaped. */
const BYTES_PER_TOKEN = 8;
/** Of a tool result of an earlier turn, UTF-16 units. */
const OLD_RESULT_CHARS = 2_000;

export interface HistoryQuery {
  readonly sessionId: string;
  /** The run that asks; its own entries are not history, and neither are messages that wait behind it. */
  readonly runId: string;
  readonly budget: number;
  /** Without tools on offer, earlier tool calls are left out: some APIs refuse calls of tools that are not there. */
  readonly withTools: boolean;
  readonly fence: Fence;
}

/**
 * The end of a conversation that fits into `budget` tokens: whole turns, newest last, read from the newest backwards so
 * that a long session costs no more than what is used of it, and a message that cannot fit is not even read. Gives the
 * event loop back between pages.
 */
export async function history(
  store: Pick<AgentStore, 'entries'>,
  query: HistoryQuery,
): Promise<{ readonly messages: readonly PromptMessage[]; readonly cut: boolean }> {
  const { sessionId, budget } = query;
  const entries: TranscriptEntry[] = [];
  let own: number | undefined;
  let tokens = 0;
  let bytes = 0;
  let more = false;
  let unread: string | undefined;
  for (let beforeSeq: number | undefined; !more; ) {
    if (beforeSeq !== undefined) await turn();
    const page = store.entries(sessionId, {
      limit: PAGE,
      maxBytes: PAGE_BYTES,
      wholeUpTo: SMALL_BYTES,
      ...(beforeSeq !== undefined && { beforeSeq }),
    });
    for (const read of page.entries.toReversed()) {
      if (read.runId === query.runId) {
        if (read.message.role === 'user') own = read.seq;
        continue;
      }
      // Behind the own message: it waits, and is no history however large it is.
      if (own === undefined && read.message.role === 'user') {
        entries.push(read);
        continue;
      }
      const entry = read.isCut && read.message.role !== 'toolResult' ? whole(store, query, read.seq, budget - tokens) : read;
      tokens += entry === undefined ? 0 : sizeOf(entry, query.withTools);
      more = entry === undefined || tokens > budget;
      if (entry === undefined) unread = read.runId ?? read.id;
      else entries.push(entry);
      if (more) break;
    }
    bytes += page.bytes;
    const first = page.entries[0];
    if (first === undefined || (first.seq === 1 && !more)) break;
    more ||= entries.length >= MAX_ENTRIES || bytes >= Math.max(MAX_BYTES, budget * BYTES_PER_TOKEN);
    beforeSeq = first.seq;
  }
  entries.reverse();

  // A message that was sent while another was answered stands before that answer. Turn by turn, it does not.
  const turns = new Map<string, TranscriptEntry[]>();
  for (const entry of entries) {
    const waiting = entry.message.role === 'user' && own !== undefined && entry.seq > own;
    if (waiting) continue;
    const key = entry.runId ?? entry.id;
    const turn = turns.get(key);
    if (turn === undefined) turns.set(key, [entry]);
    else turn.push(entry);
  }

  // A turn is there as a whole or not at all.
  if (unread !== undefined) turns.delete(unread);

  const kept: PromptMessage[][] = [];
  let left = query.budget;
  let cut = more;
  for (const turn of [...turns.values()].reverse()) {
    const messages = turnMessages(turn, query);
    const size = messages.reduce((sum, message) => sum + messageTokens(message), 0);
    if (size > left) {
      cut = true;
      break;
    }
    left -= size;
    kept.push(messages);
  }
  return { messages: kept.reverse().flat(), cut };
}

/** The whole of a larger message, unless it does not fit into `left` tokens. */
function whole(store: Pick<AgentStore, 'entries'>, { sessionId }: HistoryQuery, seq: number, left: number): TranscriptEntry | undefined {
  const wholeUpTo = Math.max(SMALL_BYTES, left * BYTES_PER_TOKEN);
  const entry = store.entries(sessionId, { limit: 1, beforeSeq: seq + 1, wholeUpTo }).entries[0];
  return entry?.isCut === true ? undefined : entry;
}

function sizeOf({ message }: TranscriptEntry, withTools: boolean): number {
  if (message.role === 'user') return estimateTokens(message.text) + MESSAGE_OVERHEAD;
  if (message.role === 'assistant') return estimateTokens(visibleText(message.content)) + MESSAGE_OVERHEAD;
  return withTools ? estimateTokens(message.text.slice(0, OLD_RESULT_CHARS)) + MESSAGE_OVERHEAD : 0;
}

export function messageTokens(message: PromptMessage): number {
  const calls = message.role === 'assistant' ? estimateTokens(JSON.stringify(message.toolCalls)) : 0;
  // What an image costs differs by model; this is what the common ones take.
  const images = message.role === 'user' ? message.images.length * 1_000 : 0;
  return estimateTokens(message.text) + MESSAGE_OVERHEAD + (calls > 1 ? calls : 0) + images;
}

/** One turn as messages. Every tool call gets its result, also one that a crash left without. */
export function turnMessages(
  turn: readonly TranscriptEntry[],
  { withTools, fence }: Pick<HistoryQuery, 'withTools' | 'fence'>,
): PromptMessage[] {
  const results = new Map<string, { text: string; isError: boolean }>();
  for (const { message } of turn) if (message.role === 'toolResult') results.set(message.toolCallId, message);
  const messages: PromptMessage[] = [];
  for (const { message } of turn) {
    if (message.role === 'user') {
      const attached = message.attachments?.map(({ fileName, mimeType }) => `\n[attached: ${fileName ?? mimeType}]`).join('') ?? '';
      messages.push({ role: 'user', text: message.text + attached, images: [] });
    } else if (message.role === 'assistant') {
      const text = visibleText(message.content);
      const toolCalls: PromptToolCall[] = withTools
        ? message.content.flatMap((part) => (part.type === 'toolCall' ? [{ id: part.id, name: part.name, arguments: part.arguments }] : []))
        : [];
      if (text === '' && toolCalls.length === 0) continue;
      messages.push({ role: 'assistant', text, toolCalls });
      for (const { id, name } of toolCalls) {
        const result = results.get(id) ?? { text: 'No result: the run was interrupted.', isError: true };
        const shown = fence.wrap(`result of ${name}`, clip(result.text, OLD_RESULT_CHARS));
        messages.push({ role: 'tool', toolCallId: id, toolName: name, text: shown, isError: result.isError });
      }
    }
  }
  return messages;
}

/** Many chat templates refuse two messages of one role in a row: such neighbours become one. */
export function alternating(messages: readonly PromptMessage[]): PromptMessage[] {
  const merged: PromptMessage[] = [];
  for (const message of messages) {
    const last = merged.at(-1);
    if (last?.role === 'user' && message.role === 'user') {
      merged[merged.length - 1] = { role: 'user', text: joined(last.text, message.text), images: [...last.images, ...message.images] };
    } else if (last?.role === 'assistant' && message.role === 'assistant' && last.toolCalls.length === 0) {
      merged[merged.length - 1] = { role: 'assistant', text: joined(last.text, message.text), toolCalls: message.toolCalls };
    } else merged.push(message);
  }
  // The same templates want a user first.
  while (merged[0] !== undefined && merged[0].role !== 'user') merged.shift();
  return merged;
}
const joined = (a: string, b: string): string => (a === '' ? b : b === '' ? a : `${a}\n\n${b}`);
