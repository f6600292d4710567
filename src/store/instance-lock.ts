import type { DatabaseSync } from 'node:sqlite';
import { lockHolders } from '../files/lock-holder.ts';
import { readPrivateFile, writeFileAtomic } from '../files/private-files.ts';
import { UserError } from '../lib/errors.ts';
import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { fs, path, sqlite } from './builtins.ts';

/** Who holds the lock, in their own words. For messages; never a proof (see `lockState`). */
export interface LockOwner {
  readonly pid: number;
  /** When the process started, ms since 1970. */
  readonly startedAt: number;
  readonly version: string;
  readonly port?: number;
  readonly socketPath?: string;
}

export interface InstanceLock {
  /** Says more about the owner as it becomes known, e.g. the port that was bound. */
  announce(owner: LockOwner): void;
  /** Gives the lock up. It also ends with the process, however that ends. */
  release(): void;
}

export interface LockState {
  readonly held: boolean;
  /** What the holder wrote about itself. */
  readonly owner?: LockOwner;
  /** The holder's pid as the kernel knows it (Linux): proof enough to send it a signal. */
  readonly holderPid?: number;
}

const LOCK_FILE = 'lock.sqlite';
const OWNER_FILE = 'owner.json';
/** Longer than a look by `status` takes, which holds a shared lock for a moment. */
const WAIT_MS = 300;
const SQLITE_BUSY = 5;

/**
 * Takes the exclusive lock of `gatewayDir`, or says who has it (`GATEWAY_RUNNING`). It is a lock of the operating system
 * (SQLite's, on `lock.sqlite`), so it is gone the moment its process is; there is no stale time and nothing to clean up.
 *
 * Never open `lock.sqlite` by other means in this process: closing that descriptor would drop the lock (POSIX).
 */
export function takeInstanceLock(gatewayDir: string, owner: LockOwner): Result<InstanceLock, UserError> {
  const file = path.join(gatewayDir, LOCK_FILE);
  const { O_CREAT, O_EXCL, O_RDWR, O_NOFOLLOW = 0 } = fs.constants;
  try {
    fs.closeSync(fs.openSync(file, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  }
  if (!fs.lstatSync(file).isFile()) {
    return err(new UserError('LOCK_INVALID', `${file} is not a regular file.`, { fix: `rm ${file}`, path: file }));
  }
  let db: DatabaseSync | undefined;
  try {
    db = new (sqlite().DatabaseSync)(file, { timeout: WAIT_MS });
    db.exec('BEGIN EXCLUSIVE');
  } catch (thrown) {
    db?.close();
    if (!isBusy(thrown)) throw thrown;
    return err(alreadyRunning(lockState(gatewayDir)));
  }
  const held = db;
  const ownerFile = path.join(gatewayDir, OWNER_FILE);
  /** False when the disk is full: that must not keep the gateway from starting, and the lock itself stands without the note. */
  const announce = (who: LockOwner): boolean => {
    try {
      writeFileAtomic(ownerFile, `${JSON.stringify(who)}\n`, { isNote: true });
      return true;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'ENOSPC') throw thrown;
      return false;
    }
  };
  try {
    // What is there then is the note of an earlier gateway.
    if (!announce(owner)) fs.rmSync(ownerFile, { force: true });
  } catch (thrown) {
    fs.rmSync(ownerFile, { force: true });
    held.close();
    throw thrown;
  }
  return ok({
    announce: (who) => void announce(who),
    release() {
      if (!held.isOpen) return;
      fs.rmSync(ownerFile, { force: true });
      held.close();
    },
  });
}

/** Whether a gateway runs on `gatewayDir`, and which. Writes nothing and creates nothing. */
export function lockState(gatewayDir: string): LockState {
  const file = path.join(gatewayDir, LOCK_FILE);
  if (!fs.existsSync(file) || !isHeld(file)) return { held: false };
  const owner = readOwner(path.join(gatewayDir, OWNER_FILE));
  const holderPid = lockHolders(file)?.[0];
  return { held: true, ...(owner && { owner }), ...(holderPid !== undefined && { holderPid }) };
}

function isHeld(file: string): boolean {
  let db: DatabaseSync | undefined;
  try {
    db = new (sqlite().DatabaseSync)(file, { readOnly: true });
    db.prepare('SELECT count(*) FROM sqlite_schema').get();
    return false;
  } catch (thrown) {
    if (isBusy(thrown)) return true;
    throw thrown;
  } finally {
    db?.close();
  }
}

function readOwner(file: string): LockOwner | undefined {
  try {
    const value: unknown = JSON.parse(readPrivateFile(file, { maxBytes: 4096 }) ?? '');
    if (!isRecord(value)) return undefined;
    const { pid, startedAt, version, port, socketPath } = value;
    if (typeof pid !== 'number' || typeof startedAt !== 'number' || typeof version !== 'string') return undefined;
    return { pid, startedAt, version, ...(typeof port === 'number' && { port }), ...(typeof socketPath === 'string' && { socketPath }) };
  } catch {
    return undefined;
  }
}

const isBusy = (thrown: unknown): boolean =>
  isRecord(thrown) && typeof thrown['errcode'] === 'number' && (thrown['errcode'] & 0xff) === SQLITE_BUSY;

function alreadyRunning({ owner, holderPid }: LockState): UserError {
  const pid = holderPid ?? owner?.pid;
  // A note by another pid than the kernel's is that of an earlier gateway.
  const known = owner !== undefined && owner.pid === pid ? owner : undefined;
  const facts = [
    pid !== undefined && `pid ${pid}`,
    known && `version ${known.version}`,
    known?.port !== undefined && `port ${known.port}`,
    known && `running since ${new Date(known.startedAt).toISOString()}`,
    known?.socketPath !== undefined && `socket ${known.socketPath}`,
  ].filter((fact) => typeof fact === 'string');
  const who = facts.length > 0 ? ` (${facts.join(', ')})` : '';
  return new UserError('GATEWAY_RUNNING', `A gateway already runs on this state directory${who}.`, {
    fix: 'Use it (openclaw status), or end it first: openclaw gateway stop',
  });
}
