import { messageOf, UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';

/** Primary result codes of SQLite (sqlite.org/rescode.html) that speak of the disk or the file, not of the statement. */
const BUSY = 5;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const NOTADB = 26;
/** `SQLITE_IOERR_SHMSIZE`: no room to grow the WAL index. A full disk by another name. */
const IOERR_SHMSIZE = 4874;

const extended = (thrown: unknown): number | undefined =>
  isRecord(thrown) && typeof thrown['errcode'] === 'number' ? thrown['errcode'] : undefined;

/**
 * What a person should read when the database itself fails; undefined when the error is about the statement
 * (a constraint, a syntax error, a bug) and the disk is fine.
 *
 * Codes: `STORE_FULL`, `STORE_IO`, `STORE_READ_ONLY`, `STORE_CORRUPT`, `STORE_BUSY`.
 */
export function storeProblem(thrown: unknown, file: string): UserError | undefined {
  const code = extended(thrown);
  if (code === undefined) return undefined;
  const detail = `${messageOf(thrown)} (SQLite ${code})`;
  const problem = (name: string, what: string, fix: string): UserError =>
    new UserError(name, `${what}: ${detail}.`, { fix, cause: thrown });
  switch (code === IOERR_SHMSIZE ? FULL : code & 0xff) {
    case FULL:
      return problem('STORE_FULL', `No space left to write ${file}`, `Free space on its disk: df -h ${file}`);
    case IOERR:
      return problem('STORE_IO', `The disk failed while writing ${file}`, 'Look for disk errors: dmesg | tail');
    case READONLY:
      return problem('STORE_READ_ONLY', `${file} cannot be written`, `Check the owner and the mount: ls -l ${file}; findmnt -T ${file}`);
    case CANTOPEN:
      return problem('STORE_READ_ONLY', `${file} or a file beside it cannot be opened`, `Check the owner and the mount: ls -l ${file}*`);
    case CORRUPT:
      return problem('STORE_CORRUPT', `${file} is damaged`, `Keep it, and start anew beside it: mv ${file} ${file}.damaged`);
    case NOTADB:
      return problem('STORE_CORRUPT', `${file} is no database`, `Move it away: mv ${file} ${file}.damaged`);
    case BUSY:
      return problem('STORE_BUSY', `Another program holds ${file} locked`, `Find it and let it finish: fuser -v ${file}`);
    default:
      return undefined;
  }
}
