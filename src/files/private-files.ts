import { UserError } from '../lib/errors.ts';
import { crypto, fs, path } from './builtins.ts';

/**
 * Small private files that are either the old or the new ones, never half: temp file in the same directory, fsync,
 * rename, fsync of the directory. Everything 0600 in directories 0700; symlinks in the last place are not followed.
 */

/** Makes the entries of a directory durable: a file that was created or renamed is only there for sure after this. */
export function syncDir(dir: string): void {
  // Windows cannot open a directory, and its file systems journal entries themselves.
  if (process.platform === 'win32') return;
  const fd = fs.openSync(dir, fs.constants.O_RDONLY);
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

/** A real directory (no symlink) of this user that nobody else may enter. Where uids do not exist: any directory. */
export function isPrivateDir(dir: string): boolean {
  try {
    const stat = fs.lstatSync(dir);
    const uid = process.getuid?.();
    return stat.isDirectory() && (uid === undefined || (stat.uid === uid && (stat.mode & 0o077) === 0));
  } catch {
    return false;
  }
}

/**
 * Makes `dir` 0700, durable in its parent (which must exist, or is made the same way), and tightens it when it is laxer.
 * Throws `DIR_NOT_OURS` when something else, a symlink too, is in its place or it belongs to another user.
 */
export function ensurePrivateDir(dir: string): void {
  const parent = path.dirname(dir);
  if (parent !== dir && !fs.existsSync(parent)) ensurePrivateDir(parent);
  try {
    fs.mkdirSync(dir, { mode: 0o700 });
    syncDir(parent);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  }
  const stat = fs.lstatSync(dir);
  if (!stat.isDirectory()) {
    throw new UserError('DIR_NOT_OURS', `${dir} is not a real directory.`, {
      fix: `Move it away: mv ${dir} ${dir}.odd`,
      path: dir,
    });
  }
  const uid = process.getuid?.();
  if (uid === undefined) return;
  if (stat.uid !== uid) {
    throw new UserError('DIR_NOT_OURS', `${dir} belongs to user ${stat.uid}, this process is user ${uid}.`, {
      fix: `sudo chown -R ${uid} ${dir}`,
      path: dir,
    });
  }
  if ((stat.mode & 0o077) !== 0) fs.chmodSync(dir, 0o700);
}

/**
 * Replaces `file` by `content` (0600), whole and durable, or leaves it as it was and throws what the disk said. Not durable
 * (`isNote`) is right for what means nothing after a crash: the file is whole as long as the machine runs.
 */
export function writeFileAtomic(file: string, content: string | Uint8Array, options: { readonly isNote?: boolean } = {}): void {
  const isNote = options.isNote === true;
  const temp = tempBeside(file, content, isNote);
  try {
    fs.renameSync(temp, file);
  } catch (thrown) {
    fs.rmSync(temp, { force: true });
    throw thrown;
  }
  if (!isNote) syncDir(path.dirname(file));
}

/**
 * Creates `file` (0600) whole and durable; false, and nothing changed, when there is one already. Of several processes
 * that try at once exactly one gets true.
 */
export function createFileAtomic(file: string, content: string | Uint8Array): boolean {
  // Most often it is there, and then nothing is written: a full disk must not keep a gateway from its own token.
  if (fs.lstatSync(file, { throwIfNoEntry: false }) !== undefined) return false;
  const temp = tempBeside(file, content);
  try {
    // Unlike rename, link fails where the name is taken.
    fs.linkSync(temp, file);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  } finally {
    fs.rmSync(temp, { force: true });
  }
  syncDir(path.dirname(file));
  return true;
}

function tempBeside(file: string, content: string | Uint8Array, isNote = false): string {
  const temp = path.join(path.dirname(file), `.${path.basename(file)}.${crypto().randomBytes(6).toString('hex')}.tmp`);
  const { O_CREAT, O_EXCL, O_WRONLY, O_NOFOLLOW = 0 } = fs.constants;
  const fd = fs.openSync(temp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW, 0o600);
  try {
    fs.writeFileSync(fd, content);
    if (!isNote) fs.fsyncSync(fd);
  } catch (thrown) {
    fs.rmSync(temp, { force: true });
    throw thrown;
  } finally {
    fs.closeSync(fd);
  }
  return temp;
}

export interface ReadPrivateOptions {
  /** Bytes; a larger file is refused before it is read. */
  readonly maxBytes: number;
}

/**
 * The text of a private file, or undefined when there is none. Checks what it opened, not what the name said before.
 *
 * Throws `FILE_NOT_PRIVATE` for a symlink, another user's file, or one that others may write or read; `FILE_TOO_LARGE`.
 */
export function readPrivateFile(file: string, options: ReadPrivateOptions): string | undefined {
  let fd: number;
  try {
    // O_NONBLOCK: a FIFO in its place must not hang us.
    fd = fs.openSync(file, fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW ?? 0) | (fs.constants.O_NONBLOCK ?? 0));
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') return undefined;
    if (code === 'ELOOP') throw notPrivate(file, 'is a symlink', `rm ${file}`);
    throw thrown;
  }
  try {
    const stat = fs.fstatSync(fd);
    const uid = process.getuid?.();
    if (!stat.isFile()) throw notPrivate(file, 'is not a regular file', `Move it away: mv ${file} ${file}.odd`);
    if (uid !== undefined && stat.uid !== uid) throw notPrivate(file, `belongs to user ${stat.uid}`, `sudo chown ${uid} ${file}`);
    if (uid !== undefined && (stat.mode & 0o077) !== 0) {
      throw notPrivate(file, `can be read or written by other users (mode ${(stat.mode & 0o777).toString(8)})`, `chmod 600 ${file}`);
    }
    if (stat.size > options.maxBytes) {
      throw new UserError('FILE_TOO_LARGE', `${file} has ${stat.size} bytes; at most ${options.maxBytes} are expected.`, { path: file });
    }
    return fs.readFileSync(fd, 'utf8');
  } finally {
    fs.closeSync(fd);
  }
}

const notPrivate = (file: string, what: string, fix: string): UserError =>
  new UserError('FILE_NOT_PRIVATE', `${file} ${what}.`, { fix, path: file });
