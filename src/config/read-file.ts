import { err, ok, type Result } from '../lib/result.ts';
import { fs } from './builtins.ts';

export interface TextFile {
  readonly text: string;
  /** Permission bits, e.g. 0o600. */
  readonly mode: number;
  readonly uid: number;
}

export interface ReadFlaw {
  readonly kind: 'absent' | 'not-a-file' | 'too-large' | 'not-text' | 'unreadable';
  /** Reads on after the file's name: "is larger than …". */
  readonly message: string;
}

/**
 * Reads a text file of at most `maxBytes`. Everything is asked of the open file, so that nothing can be swapped between
 * question and answer; a named pipe or device is refused instead of waited for.
 *
 * @param options.nofollow refuse a symlink in the last part of the path
 */
export function readTextFile(file: string, maxBytes: number, options: { readonly nofollow?: boolean } = {}): Result<TextFile, ReadFlaw> {
  const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = fs.constants;
  let fd: number;
  try {
    // Both flags are undefined on Windows, where `|` makes them 0.
    fd = fs.openSync(file, O_RDONLY | O_NONBLOCK | (options.nofollow ? O_NOFOLLOW : 0));
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return err({ kind: 'absent', message: 'does not exist' });
    if (code === 'ELOOP') return err({ kind: 'unreadable', message: 'is a symbolic link, or a circle of them' });
    if (code === 'EACCES' || code === 'EPERM') return err({ kind: 'unreadable', message: 'may not be read by this user' });
    if (code === 'EISDIR') return err({ kind: 'not-a-file', message: 'is a directory' });
    return err({ kind: 'unreadable', message: `cannot be read (${code ?? 'unknown error'})` });
  }
  try {
    const stat = fs.fstatSync(fd);
    if (stat.isDirectory()) return err({ kind: 'not-a-file', message: 'is a directory' });
    if (!stat.isFile()) return err({ kind: 'not-a-file', message: 'is not a regular file' });
    if (stat.size > maxBytes) return err({ kind: 'too-large', message: `is ${stat.size} bytes; at most ${maxBytes} are read` });
    // It may grow while it is read: stop one byte past the limit.
    const buffer = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(stat.size, 64 * 1024)) + 1);
    let length = 0;
    for (let n = 1; n > 0 && length < buffer.length; length += n) n = fs.readSync(fd, buffer, length, buffer.length - length, null);
    if (length === buffer.length) return err({ kind: 'too-large', message: `is larger than ${maxBytes} bytes, or grew while it was read` });
    const bytes = buffer.subarray(0, length);
    if (length >= 2 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff))) {
      return err({ kind: 'not-text', message: 'is UTF-16; save it as UTF-8' });
    }
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return ok({ text, mode: stat.mode & 0o777, uid: stat.uid });
  } catch (thrown) {
    if (thrown instanceof TypeError) return err({ kind: 'not-text', message: 'is not UTF-8 text' });
    return err({ kind: 'unreadable', message: `cannot be read (${(thrown as NodeJS.ErrnoException).code ?? 'unknown error'})` });
  } finally {
    fs.closeSync(fd);
  }
}
