import { lockHolders } from '../files/lock-holder.ts';
import { readPrivateFile } from '../files/private-files.ts';
import { isRecord } from '../lib/json.ts';
import { fs, path } from './builtins.ts';
import type { Paths } from './paths.ts';

/** This state dir's own gateway, while it holds the instance lock. */
export interface RunningGateway {
  readonly pid: number;
  /** Where it says that it listens; undefined while it starts or waits for an address. */
  readonly port: number | undefined;
}

const SQLITE_BUSY = 5;

/**
 * The gateway that runs on this state dir, or undefined. The lock is the proof: the kernel names the process that holds it, and where it does
 * not (not Linux) the lock itself is tried. A note of one that was killed, whose process id somebody else has by now, is none.
 */
export function runningGateway(paths: Pick<Paths, 'gatewayDir'>): RunningGateway | undefined {
  const note = readNote(paths.gatewayDir);
  if (note === undefined) return undefined;
  const lock = path.join(paths.gatewayDir, 'lock.sqlite');
  const holders = lockHolders(lock);
  const isItsOwn = holders === undefined ? isAlive(note.pid) && isHeld(lock) : holders.includes(note.pid);
  return isItsOwn ? note : undefined;
}

function readNote(gatewayDir: string): RunningGateway | undefined {
  try {
    const owner: unknown = JSON.parse(readPrivateFile(path.join(gatewayDir, 'owner.json'), { maxBytes: 4096 }) ?? '');
    if (!isRecord(owner)) return undefined;
    const { pid, port } = owner;
    if (typeof pid !== 'number' || !Number.isSafeInteger(pid) || pid <= 0) return undefined;
    return { pid, port: Number.isInteger(port) ? (port as number) : undefined };
  } catch {
    return undefined;
  }
}

/** False for another user's process, too. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** A look, which takes a shared lock for a moment and writes nothing. */
function isHeld(file: string): boolean {
  if (!fs.existsSync(file)) return false;
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite');
  let database: InstanceType<typeof DatabaseSync> | undefined;
  try {
    database = new DatabaseSync(file, { readOnly: true });
    database.prepare('SELECT count(*) FROM sqlite_schema').get();
    return false;
  } catch (thrown) {
    return isRecord(thrown) && typeof thrown['errcode'] === 'number' && (thrown['errcode'] & 0xff) === SQLITE_BUSY;
  } finally {
    database?.close();
  }
}
