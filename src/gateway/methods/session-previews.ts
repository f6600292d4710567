import type { Agent } from '../../agent/api.ts';
import { turn } from '../../lib/turn.ts';
import { isRefusal } from '../../protocol/errors.ts';
import type { Protocol } from '../../protocol/version.ts';
import { type PreviewLine, previewLines, previewOf } from '../events/session-shape.ts';
import { sessionOf } from './session-of.ts';

/** What one `sessions.preview` reads, over all its keys: messages, and bytes as stored. Each key has an equal share, and one message at least. */
export const PREVIEW_MESSAGES = 2_048;
export const PREVIEW_BYTES = 2 * 1024 * 1024;
/** Of a message above this (bytes as stored) the beginning is read: no preview shows more. */
const WHOLE_UP_TO = 16 * 1024;
/** Bytes as stored between two turns of the event loop. */
const SLICE_BYTES = 128 * 1024;

/** JSON texts, one per key in the order asked for. A key that is named twice is answered once. */
export async function sessionPreviews(
  agent: Agent,
  protocol: Protocol,
  keys: readonly string[],
  limit: number,
  maxChars: number,
): Promise<readonly string[]> {
  const distinct = new Set(keys);
  const share = {
    // Twice the limit: messages that show nothing in a preview (tool results) must not use it up.
    messages: Math.max(1, Math.min(limit * 2, Math.floor(PREVIEW_MESSAGES / distinct.size))),
    bytes: Math.floor(PREVIEW_BYTES / distinct.size),
  };
  const texts: string[] = [];
  for (const key of distinct) {
    const canonical = sessionOf(agent, key);
    const known = isRefusal(canonical) ? undefined : agent.session(canonical);
    const lines = known === undefined ? undefined : await newestLines(agent, protocol, known.key, share, limit, maxChars);
    texts.push(JSON.stringify(previewOf(key, lines)));
    await turn();
  }
  return texts;
}

/** The newest lines of a session, oldest first. */
async function newestLines(
  agent: Agent,
  protocol: Protocol,
  key: string,
  share: { readonly messages: number; readonly bytes: number },
  limit: number,
  maxChars: number,
): Promise<readonly PreviewLine[]> {
  let lines: readonly PreviewLine[] = [];
  let left = share;
  let from: { sessionId?: string; beforeSeq?: number } = {};
  for (;;) {
    const maxBytes = Math.min(SLICE_BYTES, left.bytes);
    const page = agent.transcript(key, { ...from, limit: left.messages, maxBytes, wholeUpTo: WHOLE_UP_TO });
    // The first one of a page is given whatever its size; of a session it is, of what follows it is not.
    if (from.beforeSeq !== undefined && page.bytes > left.bytes) break;
    lines = [...page.entries.flatMap(({ message }) => previewLines(protocol, message, maxChars)), ...lines];
    left = { messages: left.messages - page.entries.length, bytes: left.bytes - page.bytes };
    const first = page.entries[0];
    if (first === undefined || !page.hasMore || lines.length >= limit || left.messages <= 0 || left.bytes <= 0) break;
    from = { beforeSeq: first.seq, ...(page.sessionId !== undefined && { sessionId: page.sessionId }) };
    await turn();
  }
  return lines.slice(-limit);
}
