import type { FileHandle } from 'node:fs/promises';
import { err, ok, type Result } from '../../lib/result.ts';

/** Largest file that is read whole (to be edited or searched), bytes. */
export const MAX_FILE_BYTES = 2 * 1024 * 1024;

/**
 * The text of an open file, at most `max` bytes of it. A file that grows while it is read does not grow the answer.
 * Refused when it is not UTF-8 text.
 */
export async function textOf(file: FileHandle, max: number): Promise<Result<{ readonly text: string; readonly cut: boolean }, string>> {
  const buffer = Buffer.allocUnsafe(Math.min(max, 64 * 1024));
  const chunks: Buffer[] = [];
  let size = 0;
  let cut = false;
  for (;;) {
    const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) break;
    const room = max - size;
    chunks.push(Buffer.from(buffer.subarray(0, Math.min(bytesRead, room))));
    size += Math.min(bytesRead, room);
    if (bytesRead > room) {
      cut = true;
      break;
    }
  }
  const text = textOfBytes(Buffer.concat(chunks), cut);
  return text.ok ? ok({ text: text.value, cut }) : text;
}

/** `cut`: the bytes may end in the middle of a character. */
export function textOfBytes(bytes: Buffer, cut = false): Result<string, string> {
  if (bytes.includes(0)) return err('That is a binary file, not text.');
  const text = decode(bytes, cut);
  return text === undefined ? err('That file is not UTF-8 text.') : ok(text);
}

function decode(bytes: Buffer, cut: boolean): string | undefined {
  // A cut may go through a character; up to three bytes of it are left off.
  for (let drop = 0; drop <= (cut ? 3 : 0); drop++) {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, bytes.length - drop));
    } catch {
      // Shorter, or no text.
    }
  }
  return undefined;
}
