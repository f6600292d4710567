import { isRecord, jsonDepth, MAX_JSON_DEPTH } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { WireError } from './errors.ts';

export interface RequestFrame {
  readonly type: 'req';
  readonly id: string;
  readonly method: string;
  readonly params?: unknown;
}
export interface ResponseFrame {
  readonly type: 'res';
  readonly id: string;
  readonly ok: boolean;
  readonly payload?: unknown;
  readonly error?: WireError;
}
export interface StateVersion {
  readonly presence: number;
  readonly health: number;
}
export interface EventFrame {
  readonly type: 'event';
  readonly event: string;
  readonly payload?: unknown;
  readonly seq?: number;
  readonly stateVersion?: StateVersion;
}
export type ServerFrame = ResponseFrame | EventFrame;

/** Why a text is no request. `id` is set when an answer can name the frame it refuses. */
export interface FrameFault {
  readonly kind: 'json' | 'not-object' | 'not-request' | 'invalid';
  readonly id: string;
  readonly message: string;
}

const REQUEST_KEYS = new Set(['type', 'id', 'method', 'params']);
const MAX_ID = 256;
const MAX_METHOD = 128;

/** A `\ud8xx` escape: only then can a string from a valid UTF-8 text be ill-formed. */
const MAYBE_LONE_SURROGATE = /\\u[dD][89a-fA-F]/;

/**
 * Parses one text as a request frame. Total: any text gives a frame or a fault, never a throw. Refused: JSON deeper
 * than `MAX_JSON_DEPTH`, unknown frame keys, empty or oversized `id`/`method`, lone surrogates anywhere.
 */
export function parseRequest(text: string): Result<RequestFrame, FrameFault> {
  if (jsonDepth(text) > MAX_JSON_DEPTH) return fault('invalid', 'invalid', `JSON nests deeper than ${MAX_JSON_DEPTH}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return fault('json', 'invalid', 'not JSON');
  }
  return requestFrame(value, MAYBE_LONE_SURROGATE.test(text));
}

/**
 * A parsed JSON value as a request frame, by the rules of `parseRequest`; its depth has been seen to. `mayBeIllFormed`: the
 * text had escapes that may stand for a lone surrogate; without any its strings are not looked at.
 */
export function requestFrame(value: unknown, mayBeIllFormed: boolean): Result<RequestFrame, FrameFault> {
  if (!isRecord(value)) return fault('not-object', 'invalid', 'expected a JSON object');
  const id = typeof value['id'] === 'string' ? value['id'] : 'invalid';
  if (value['type'] !== 'req') return fault('not-request', id, 'at /type: must be "req"');
  for (const key of Object.keys(value)) {
    if (!REQUEST_KEYS.has(key)) return fault('invalid', id, `at root: unexpected property '${key.slice(0, 64)}'`);
  }
  if (typeof value['id'] !== 'string' || id === '') return fault('invalid', id, 'at /id: must be a non-empty string');
  if (id.length > MAX_ID) return fault('invalid', 'invalid', `at /id: must be at most ${MAX_ID} characters`);
  const method = value['method'];
  if (typeof method !== 'string' || method === '') return fault('invalid', id, 'at /method: must be a non-empty string');
  if (method.length > MAX_METHOD) return fault('invalid', id, `at /method: must be at most ${MAX_METHOD} characters`);
  if (mayBeIllFormed) {
    const where = illFormedAt(value, '');
    if (where !== undefined)
      return fault('invalid', id.isWellFormed() ? id : 'invalid', `at ${where || '/'}: text holds a lone surrogate (not valid Unicode)`);
  }
  return ok(Object.hasOwn(value, 'params') ? { type: 'req', id, method, params: value['params'] } : { type: 'req', id, method });
}

const fault = (kind: FrameFault['kind'], id: string, message: string): Result<never, FrameFault> => err({ kind, id, message });

/** JSON pointer of the first ill-formed string of a parsed value, keys included; its depth is bounded by whoever parsed it. */
export function illFormedAt(value: unknown, path: string): string | undefined {
  if (typeof value === 'string') return value.isWellFormed() ? undefined : path;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) {
      const found = illFormedAt(value[i], `${path}/${i}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  for (const key of Object.keys(value)) {
    if (!key.isWellFormed()) return path;
    const found = illFormedAt(value[key], `${path}/${key}`);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Builds the text of a refusal. */
export const errorText = (id: string, error: WireError, payload?: unknown): string =>
  JSON.stringify(payload === undefined ? { type: 'res', id, ok: false, error } : { type: 'res', id, ok: false, payload, error });

/**
 * The body of an event without its connection's `seq`: built once for all receivers, and finished per connection by
 * `withSeq`, which costs one concatenation.
 */
export function eventBody(event: string, payload: unknown, stateVersion?: StateVersion): string {
  const text = JSON.stringify(
    stateVersion === undefined ? { type: 'event', event, payload } : { type: 'event', event, payload, stateVersion },
  );
  return text.slice(0, -1);
}
/** The same from a payload that is JSON text already. */
export function eventBodyOfJson(event: string, payloadJson: string, stateVersion?: StateVersion): string {
  const versions = stateVersion === undefined ? '' : `,"stateVersion":${JSON.stringify(stateVersion)}`;
  return `{"type":"event","event":${JSON.stringify(event)},"payload":${payloadJson}${versions}`;
}
export const withSeq = (body: string, seq: number): string => `${body},"seq":${seq}}`;
export const withoutSeq = (body: string): string => `${body}}`;
