import { ensurePrivateDir } from '../files/private-files.ts';
import { path } from './builtins.ts';
import type { Paths } from './paths.ts';

const WAIT_MS = 10_000;
const SQLITE_BUSY = 5;

// Within a process callers wait for each other here, in order; only the first of them asks the other processes.
const queues = new Map<string, Promise<unknown>>();

/**
 * Runs `work` while nobody else of this state dir does. The lock is SQLite's, on a file of its own: it dies with the
 * process that holds it, so there is no stale lock to guess about. Editors take no lock: see `change` in `edit.ts`.
 *
 * @returns undefined when the lock was not to be had within 10 s
 */
export function withConfigLock<T>(
  paths: Pick<Paths, 'gatewayDir'>,
  work: () => Promise<T>,
  waitMs: number = WAIT_MS,
): Promise<T | undefined> {
  const file = path.join(paths.gatewayDir, 'config.lock');
  const turn = (queues.get(file) ?? Promise.resolve()).then(() => locked(paths.gatewayDir, file, work, waitMs));
  const settled = turn.catch(() => {});
  queues.set(file, settled);
  void settled.then(() => {
    if (queues.get(file) === settled) queues.delete(file);
  });
  return turn;
}

async function locked<T>(dir: string, file: string, work: () => Promise<T>, waitMs: number): Promise<T | undefined> {
  ensurePrivateDir(dir);
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  // Waiting is done here, not in SQLite, which would hold up the whole thread.
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    const deadline = performance.now() + waitMs;
    for (let pause = 2; !begin(database); pause = Math.min(pause * 2, 50)) {
      if (performance.now() > deadline) return undefined;
      // Not the `Clock` port: its timers let the process end, and a command that waits here has nothing else to keep it.
      await process.getBuiltinModule('node:timers/promises').setTimeout(pause);
    }
    return await work();
  } finally {
    database.close();
  }
}

function begin(database: { exec(sql: string): void }): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE');
    return true;
  } catch (thrown) {
    if ((thrown as { errcode?: number }).errcode === SQLITE_BUSY) return false;
    throw thrown;
  }
}
