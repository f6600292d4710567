import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../lib/clock.ts';
import { jsonDepth, MAX_JSON_DEPTH } from '../../lib/json.ts';
import { SCAN_FAULTS } from '../../lib/json-scan.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import { illFormedAt } from '../../protocol/frames.ts';
import { PIECE_BYTES } from '../held-bytes.ts';
import { parseLargeJson, SMALL_JSON } from '../intake/large-json.ts';
import { Pile } from '../pile.ts';
import { type Fault, invalid } from './fault.ts';
import type { HttpConnection } from './http-connection.ts';

export interface BodyLimits {
  readonly maxBytes: number;
  readonly ms: number;
}

/** The client is gone; there is nobody to answer. */
export const GONE: Fault = { status: 499, message: 'the client closed the connection', type: 'client_closed' };

export const tooLarge = (maxBytes: number): Fault => ({
  status: 413,
  message: `Payload too large: at most ${maxBytes} bytes`,
  type: 'invalid_request_error',
  code: 'payload_too_large',
});

/** What the head alone says about the size: refused here, not one byte is read. `Content-Length` is checked by Node's parser to be one number. */
export function declaredTooLarge(request: IncomingMessage, maxBytes: number): boolean {
  const { 'content-length': length } = request.headers;
  if (maxBytes === 0) return request.headers['transfer-encoding'] !== undefined || (length !== undefined && Number(length) > 0);
  return length !== undefined && Number(length) > maxBytes;
}

/** A body below this stays in the pieces in which it came. */
const SMALL_BYTES = 32 * 1024;

const CROWDED: Fault = {
  status: 503,
  message: 'Too much is being sent to this gateway at once. Try again in a moment.',
  type: 'overloaded',
  code: 'overloaded',
  headers: { 'Retry-After': '5' },
};

/** Reads a body, not a byte beyond the limit, not a moment beyond the deadline, and only as long as all bodies together leave room for it. */
export function readBody(
  request: IncomingMessage,
  { maxBytes, ms }: BodyLimits,
  clock: Clock,
  connection: HttpConnection,
): Promise<Result<Buffer, Fault>> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const pile = new Pile();
    const declared = Number(request.headers['content-length'] ?? 0);
    let size = 0;
    const settle = (result: Result<Buffer, Fault>): void => {
      cancel();
      connection.onBodyGivenUp = undefined;
      connection.body(0);
      request.off('data', onData).off('end', onEnd).off('close', onGone).off('error', onGone);
      if (!result.ok) pile.drop();
      resolve(result);
    };
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= maxBytes) {
        if (size < SMALL_BYTES) chunks.push(chunk);
        else pile.add(chunk, chunks);
        connection.body(size + chunks.length * PIECE_BYTES, declared - size);
        return;
      }
      request.pause();
      settle(err(tooLarge(maxBytes)));
    };
    const onEnd = (): void => settle(ok(Buffer.concat(chunks, size)));
    const onGone = (): void => settle(err(GONE));
    const cancel = clock.after(ms, () => {
      request.pause();
      settle(
        err({
          status: 408,
          message: `the body took longer than ${Math.round(ms / 1000)} s`,
          type: 'invalid_request_error',
          code: 'timeout',
        }),
      );
    });
    connection.onBodyGivenUp = () => {
      request.pause();
      settle(err(CROWDED));
    };
    request.on('data', onData).on('end', onEnd).on('close', onGone).on('error', onGone);
  });
}

/**
 * A JSON body. Refused: anything but UTF-8, deep nesting, more values than `MAX_JSON_NODES`, and text that is no Unicode. A
 * large one is parsed in slices (`parseLargeJson`); the caller sees to it that few are at once.
 */
export async function parseBody(bytes: Buffer): Promise<Result<unknown, Fault>> {
  if (!isUtf8(bytes)) return err(invalid('The body is not valid UTF-8.'));
  const parsed = bytes.length > SMALL_JSON ? await parseLarge(bytes) : parseSmall(bytes.toString('utf8'));
  if (parsed.ok && illFormedAt(parsed.value, '') !== undefined) {
    return err(invalid('The body holds a lone surrogate, which is not valid Unicode.'));
  }
  return parsed;
}

function parseSmall(text: string): Result<unknown, Fault> {
  if (jsonDepth(text) > MAX_JSON_DEPTH) return err(invalid(`The body nests deeper than ${MAX_JSON_DEPTH}.`));
  try {
    return ok(JSON.parse(text));
  } catch (thrown) {
    return err(invalid(`The body is not JSON: ${thrown instanceof Error ? thrown.message.slice(0, 200) : 'unreadable'}`));
  }
}

async function parseLarge(bytes: Buffer): Promise<Result<unknown, Fault>> {
  const parsed = await parseLargeJson(bytes, [], () => undefined);
  if (parsed.ok) return parsed;
  return err(invalid(`The body is not taken: ${'fault' in parsed.error ? SCAN_FAULTS[parsed.error.fault] : 'refused'}.`));
}
