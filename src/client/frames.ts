import { isRecord, jsonDepth, MAX_JSON_DEPTH } from '../lib/json.ts';
import type { WireError } from '../protocol/errors.ts';
import type { EventFrame, ServerFrame } from '../protocol/frames.ts';

/**
 * A text from the gateway as a frame; undefined for anything that is none. Total, and lenient where the wire grows: unknown keys and
 * error codes of other versions pass.
 */
export function parseServerFrame(text: string): ServerFrame | undefined {
  if (jsonDepth(text) > MAX_JSON_DEPTH) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  if (value['type'] === 'event') {
    return typeof value['event'] === 'string' && value['event'] !== '' ? (value as unknown as EventFrame) : undefined;
  }
  if (value['type'] !== 'res' || typeof value['id'] !== 'string') return undefined;
  if (value['ok'] === true) return { type: 'res', id: value['id'], ok: true, payload: value['payload'] };
  if (value['ok'] !== false) return undefined;
  return { type: 'res', id: value['id'], ok: false, payload: value['payload'], error: wireError(value['error']) };
}

function wireError(value: unknown): WireError {
  if (!isRecord(value)) return { code: 'UNAVAILABLE', message: 'the gateway refused without a reason' };
  return {
    // Codes of other versions travel as they are: they are shown and compared as text, never used as an index.
    code: (typeof value['code'] === 'string' ? value['code'] : 'UNAVAILABLE') as WireError['code'],
    message: typeof value['message'] === 'string' ? value['message'] : 'the gateway refused without a reason',
    ...(isRecord(value['details']) ? { details: value['details'] } : {}),
    ...(typeof value['retryable'] === 'boolean' ? { retryable: value['retryable'] } : {}),
    ...(typeof value['retryAfterMs'] === 'number' ? { retryAfterMs: value['retryAfterMs'] } : {}),
  };
}
