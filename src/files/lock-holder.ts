import { fs } from './builtins.ts';

/**
 * Who holds SQLite's exclusive lock on `file`, as the kernel knows it (Linux): proof enough to send that process a signal, or a secret. More
 * than one only where a file of another file system has the same number. Undefined: this system does not tell.
 *
 * Reads `/proc/locks` (proc_locks(5)): `1: POSIX  ADVISORY  WRITE 4711 fe:00:1234 1073741825 1073742335` is type, mode, pid, device:inode,
 * range. SQLite locks bytes from 2^30 on. The device is not compared: overlays and btrfs show another one to `stat`.
 */
export function lockHolders(file: string): readonly number[] | undefined {
  let locks: string;
  let inode: number | undefined;
  try {
    inode = fs.lstatSync(file, { throwIfNoEntry: false })?.ino;
    locks = fs.readFileSync('/proc/locks', 'utf8');
  } catch {
    return undefined;
  }
  return locks.split('\n').flatMap((line) => {
    const [, pid, at] = / WRITE +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) 107374\d{4} /.exec(line) ?? [];
    return at === String(inode) && Number(pid) > 0 ? [Number(pid)] : [];
  });
}
