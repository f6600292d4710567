import { UserError } from '../lib/errors.ts';
import { fs } from './builtins.ts';

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
 * Makes `dir` with its parents, 0700, and tightens it when it was made laxer.
 * Throws `DIR_NOT_OURS` for a directory of another user or a symlink in its place: what lies in it could be swapped by them.
 */
export function ensurePrivateDir(dir: string): void {
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const stat = fs.lstatSync(dir);
  const uid = process.getuid?.();
  if (!stat.isDirectory())
    throw new UserError('DIR_NOT_OURS', `${dir} is not a real directory.`, {
      fix: `Remove it, or point OPENCLAW_STATE_DIR elsewhere: rm ${dir}`,
    });
  if (uid === undefined) return;
  if (stat.uid !== uid) {
    throw new UserError('DIR_NOT_OURS', `${dir} belongs to user ${stat.uid}, this process is user ${uid}.`, {
      fix: `sudo chown -R ${uid} ${dir}`,
    });
  }
  if ((stat.mode & 0o077) !== 0) fs.chmodSync(dir, 0o700);
}
