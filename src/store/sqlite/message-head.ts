import type { AssistantPart, TranscriptMessage } from '../../agent/api.ts';
import { isRecord } from '../../lib/json.ts';

const NO_USAGE = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
/** Stands where a message is of a size that nobody reads for a list of messages. */
export const UNREAD = '[message too large to show]';

/**
 * A message from the beginning and the end of its JSON text: what came first of its texts, and the facts that stand last.
 * The texts are as this store wrote them. Total: whatever comes in, a message comes out.
 */
export function messageOfEnds(head: string, tail: string): TranscriptMessage {
  const value = parseBeginning(head);
  const last = facts(tail);
  const role = value['role'];
  if (role === 'user') return { ...last, role, text: textOf(value['text']) } as TranscriptMessage;
  if (role === 'toolResult') {
    return {
      role,
      toolCallId: textOf(value['toolCallId']),
      toolName: textOf(value['toolName']),
      text: textOf(value['text']),
      isError: last['isError'] === true,
    };
  }
  const content = Array.isArray(value['content']) ? value['content'].flatMap(partOf) : [];
  return {
    provider: 'none',
    model: 'none',
    api: 'none',
    usage: NO_USAGE,
    stopReason: 'stop',
    ...last,
    role: 'assistant',
    content: content.length > 0 ? content : [{ type: 'text', text: UNREAD }],
  };
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function partOf(part: unknown): AssistantPart[] {
  if (!isRecord(part)) return [];
  if (part['type'] === 'text') return [{ type: 'text', text: textOf(part['text']) }];
  if (part['type'] === 'thinking') return [{ type: 'thinking', thinking: textOf(part['thinking']) }];
  // Arguments that were cut in the middle would be others than were called with.
  return part['type'] === 'toolCall' ? [{ type: 'toolCall', id: textOf(part['id']), name: textOf(part['name']), arguments: {} }] : [];
}

/** Keys that follow the long parts of a message: the last of them, and what comes after it, stands at the end of the text. */
const LAST_KEYS = [',"provider":', ',"senderLabel":', ',"attachments":', ',"isError":'];

function facts(tail: string): Record<string, unknown> {
  for (const key of LAST_KEYS) {
    // A quote inside a text is escaped, so that this is a key.
    const at = tail.lastIndexOf(key);
    if (at === -1) continue;
    try {
      const value: unknown = JSON.parse(`{${tail.slice(at + 1)}`);
      if (isRecord(value)) return value;
    } catch {
      // Of something inside the message.
    }
  }
  return {};
}

/** The object that a JSON text which was cut anywhere begins; `{}` of anything else. */
export function parseBeginning(text: string): Record<string, unknown> {
  /** What closes what is open, the innermost first. */
  let open = '';
  let inText = false;
  let isKey = false;
  /** Up to here the text can be closed, by `closing`: after a value, or inside a string that is one. */
  let safe = 0;
  let closing = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inText) {
      if (char === '\\') i += text[i + 1] === 'u' ? 5 : 1;
      else if (char === '"') inText = false;
      else if (isKey) continue;
      if (i >= text.length) break;
      if (!isKey) {
        safe = i + 1;
        closing = inText ? `"${open}` : open;
      }
      continue;
    }
    if (char === '"') {
      inText = true;
      isKey = open[0] === '}' && !/:\s*$/.test(text.slice(Math.max(0, i - 8), i));
    } else if (char === '{' || char === '[') open = (char === '{' ? '}' : ']') + open;
    else if (char === '}' || char === ']') {
      open = open.slice(1);
      safe = i + 1;
      closing = open;
    } else if (char === ',') {
      safe = i;
      closing = open;
    }
  }
  try {
    const value: unknown = JSON.parse(text.slice(0, safe) + closing);
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}
