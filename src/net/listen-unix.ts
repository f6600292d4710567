import { chmod, lstat, mkdir, unlink } from 'node:fs/promises';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import { type Clock, systemClock } from '../lib/clock.ts';
import { err, ok, type Result } from '../lib/result.ts';

export interface UnixListenFailure {
  readonly code: 'SOCKET_PATH_TOO_LONG' | 'SOCKET_DIR_UNSAFE' | 'SOCKET_IN_USE' | 'SOCKET_NOT_OURS' | 'LISTEN_FAILED';
  readonly message: string;
}

/** `sun_path` holds 104 bytes on macOS and 108 on Linux, with the closing zero; longer paths are cut off silently by some systems. */
export const MAX_SOCKET_PATH_BYTES = 100;
/** How long a listener may take to answer before it counts as alive but busy. */
const PROBE_MS = 1_000;

/** Whether a path fits; a deep state dir needs a shorter place for its socket. */
export const fitsSocketPath = (path: string): boolean => Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES;

/**
 * Listens on a unix socket that only this user can reach: folder 0700, socket 0600. The folder is made when it is missing, and refused when
 * it is a link, somebody else's, or a shared one such as `/tmp`. A socket file left by a dead process is
 * removed, but only after a connect was refused: that proves that nobody listens. Callers hold the instance lock, so that two starters
 * do not remove each other's. A Windows pipe name (`\\.\pipe\…`) is only listened on.
 */
export async function listenUnix(server: Server, path: string, clock: Clock = systemClock): Promise<Result<void, UnixListenFailure>> {
  if (!path.startsWith('\\\\')) {
    if (!fitsSocketPath(path)) {
      const message = `the socket path has ${Buffer.byteLength(path)} bytes, more than the ${MAX_SOCKET_PATH_BYTES} that every system takes: ${path}`;
      return err({ code: 'SOCKET_PATH_TOO_LONG', message });
    }
    const ready = (await secureFolder(dirname(path))) ?? (await removeStale(path, clock));
    if (ready) return err(ready);
  }
  const failure = await new Promise<Error | undefined>((settle) => {
    server.once('error', settle);
    server.listen({ path, exclusive: true }, () => {
      server.off('error', settle);
      settle(undefined);
    });
  });
  if (failure) return err({ code: 'LISTEN_FAILED', message: `${path}: ${failure.message}` });
  // The 0700 folder guards the moment before this line.
  if (process.platform !== 'win32') await chmod(path, 0o600);
  return ok(undefined);
}

async function secureFolder(folder: string): Promise<UnixListenFailure | undefined> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const stat = await lstat(folder);
    const uid = process.getuid?.();
    if (!stat.isDirectory()) return { code: 'SOCKET_DIR_UNSAFE', message: `${folder} is not a folder of its own but a link or a file` };
    if (uid !== undefined && stat.uid !== uid) {
      return { code: 'SOCKET_DIR_UNSAFE', message: `${folder} belongs to uid ${stat.uid}, not to this user (${uid})` };
    }
    // Closing a folder to others is right for one of ours and a disaster for /tmp or /run.
    if ((stat.mode & 0o1000) !== 0 || dirname(dirname(folder)) === dirname(folder)) {
      return { code: 'SOCKET_DIR_UNSAFE', message: `${folder} is shared with others; the socket needs a folder of its own` };
    }
    if ((stat.mode & 0o077) !== 0) await chmod(folder, 0o700);
    return undefined;
  } catch (error) {
    return { code: 'SOCKET_DIR_UNSAFE', message: `${folder}: ${error instanceof Error ? error.message : 'cannot be used'}` };
  }
}

async function removeStale(path: string, clock: Clock): Promise<UnixListenFailure | undefined> {
  const stat = await lstat(path).catch(() => undefined);
  if (!stat) return undefined;
  if (!stat.isSocket()) return { code: 'SOCKET_NOT_OURS', message: `${path} is in the way: it is not a socket, so it is left alone` };
  const answer = await probe(path, clock);
  if (answer === 'ENOENT') return undefined;
  if (answer !== 'ECONNREFUSED') {
    const who = answer === 'connected' || answer === 'silent' ? 'a running process listens on it' : answer;
    return { code: 'SOCKET_IN_USE', message: `${path} is in use: ${who}` };
  }
  try {
    await unlink(path);
    return undefined;
  } catch (error) {
    return {
      code: 'SOCKET_NOT_OURS',
      message: `${path} is left from a dead process and cannot be removed: ${error instanceof Error ? error.message : ''}`,
    };
  }
}

function probe(path: string, clock: Clock): Promise<string> {
  return new Promise((settle) => {
    const socket = connect(path);
    const cancel = clock.after(PROBE_MS, () => done('silent'));
    const done = (answer: string): void => {
      cancel();
      socket.destroy();
      settle(answer);
    };
    socket.once('connect', () => done('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => done(error.code ?? error.message));
  });
}
