import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { syncDir } from '../../files/private-files.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { messageOf, UserError } from '../../lib/errors.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import { fs, path, sqlite } from '../builtins.ts';
import type { Database } from './database.ts';
import { GroupWriter, type StoreHealth } from './group-writer.ts';
import { migrate, schemaVersion } from './migrate.ts';
import { storeProblem } from './problem.ts';

/** The state dir's database: what the rooms need (`Database`) and what the gateway needs to speak of it truthfully. */
export interface Store extends Database {
  readonly file: string;
  /** What opening found: whether the last process ended without closing, and which schema steps were run. */
  readonly opened: { readonly unclean: boolean; readonly from: number; readonly to: number };
  health(): StoreHealth;
  /** Called at every change of `health`. */
  onHealth(listener: (health: StoreHealth) => void): () => void;
  /** Proves that a durable write works now; the ms it took. */
  probe(): Promise<Result<number, UserError>>;
  /** SQLite's own check of every page; an empty list is a sound file. Linear in its size: not for the I/O path. */
  integrityCheck(): readonly string[];
}

export interface OpenOptions {
  /** The schema steps, oldest first; see `migrate`. Append only. */
  readonly schemas: readonly string[];
  readonly clock?: Clock;
}

/** After an unclean end a file up to this size (bytes) is checked while opening: 3 ms. A larger one only when asked (`integrityCheck`). */
const CHECK_AT_OPEN_MAX = 8 * 1024 * 1024;
/** How long (ms) a statement waits for another process's lock. There is none of ours (instance lock); it blocks the loop. */
const BUSY_TIMEOUT_MS = 500;
/** Statements kept ready. Texts are constants of the code, a few dozen; a text that is built by value would grow this. */
const MAX_STATEMENTS = 500;

/**
 * Opens (or makes, 0600) the one database of the state dir: WAL with `synchronous=FULL`, foreign keys on, strict
 * quoting, defensive. Its directory must exist. Expects to be the only writer: take the instance lock first.
 *
 * Never open the file or its `-wal` by other means in this process: closing such a descriptor would drop SQLite's locks.
 *
 * Errors: those of `schemaVersion` and `storeProblem`, and `STORE_OPEN` for a path that is no private regular file of ours.
 */
export async function openDatabase(file: string, options: OpenOptions): Promise<Result<Store, UserError>> {
  const clock = options.clock ?? systemClock;
  let db: DatabaseSync | undefined;
  try {
    const unclean = prepareFile(file);
    db = new (sqlite().DatabaseSync)(file, {
      timeout: BUSY_TIMEOUT_MS,
      enableForeignKeyConstraints: true,
      enableDoubleQuotedStringLiterals: false,
      allowExtension: false,
    });
    db.enableDefensive(true);
    const version = schemaVersion(db, options.schemas, file);
    if (!version.ok) {
      db.close();
      return version;
    }
    db.exec(`
      PRAGMA synchronous = FULL;
      PRAGMA trusted_schema = OFF;
      -- Scratch tables stay in memory: nothing of a conversation is written into /tmp.
      PRAGMA temp_store = MEMORY;
      -- Every 4 MB of log: a checkpoint of more holds the loop for longer than others should wait (docs/adr/0003).
      PRAGMA wal_autocheckpoint = 1000;
      PRAGMA journal_size_limit = 33554432;
    `);
    const mode = Object.values(db.prepare('PRAGMA journal_mode = WAL').get() ?? {})[0];
    if (mode !== 'wal')
      throw new UserError('STORE_OPEN', `${file} cannot have a write-ahead log here (journal mode ${mode}): is it a network disk?`);
    if (unclean && fs.statSync(file).size <= CHECK_AT_OPEN_MAX) {
      const damage = check(db, 'quick_check(5)');
      if (damage.length > 0) {
        throw new UserError('STORE_CORRUPT', `${file} is damaged: ${damage[0]}.`, {
          fix: `Keep it, and start anew beside it: mv ${file} ${file}.damaged`,
        });
      }
    }
    migrate(db, options.schemas, version.value, clock.now());
    return ok(storeOver(db, file, clock, { unclean, from: version.value, to: options.schemas.length }));
  } catch (thrown) {
    try {
      db?.close();
    } catch {
      // The first error is the one to tell.
    }
    if (thrown instanceof UserError) return err(thrown);
    const problem = storeProblem(thrown, file);
    if (problem !== undefined) return err(problem);
    if (isErrno(thrown)) return err(new UserError('STORE_OPEN', `${file} cannot be opened: ${thrown.message}.`, { cause: thrown }));
    throw thrown;
  }
}

function storeOver(db: DatabaseSync, file: string, clock: Clock, opened: Store['opened']): Store {
  const statements = new Map<string, StatementSync>();
  const prepare = (sql: string): StatementSync => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = db.prepare(sql);
    if (statements.size >= MAX_STATEMENTS) statements.clear();
    statements.set(sql, statement);
    return statement;
  };
  const writer = new GroupWriter(db, prepare, clock, file);
  return {
    file,
    opened,
    prepare,
    write: (work) => writer.write(work),
    health: () => writer.health(),
    onHealth: (listener) => writer.onHealth(listener),
    async probe() {
      try {
        return ok(await writer.probe());
      } catch (thrown) {
        return err(thrown instanceof UserError ? thrown : new UserError('STORE_IO', messageOf(thrown), { cause: thrown }));
      }
    },
    integrityCheck: () => check(db, 'integrity_check(20)'),
    async close() {
      writer.close();
      if (db.isOpen) {
        statements.clear();
        // The last connection to close checkpoints and removes the log; a log left behind marks an unclean end.
        db.close();
      }
    },
  };
}

const check = (db: DatabaseSync, pragma: string): string[] =>
  db
    .prepare(`PRAGMA ${pragma}`)
    .all()
    .map((row) => String(Object.values(row)[0]))
    .filter((line) => line !== 'ok');

/**
 * Makes the file 0600 before SQLite sees it (which gives `-wal` and `-shm` the same mode), or tightens what is there.
 * True when a log with content lies beside it: the last process ended without closing.
 */
function prepareFile(file: string): boolean {
  const { O_CREAT, O_EXCL, O_RDWR, O_NOFOLLOW = 0 } = fs.constants;
  try {
    fs.closeSync(fs.openSync(file, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW, 0o600));
    syncDir(path.dirname(file));
  } catch (thrown) {
    if (!isErrno(thrown) || thrown.code !== 'EEXIST') throw thrown;
  }
  let unclean = false;
  for (const part of [file, `${file}-wal`, `${file}-shm`]) {
    const stat = fs.lstatSync(part, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    const uid = process.getuid?.();
    if (!stat.isFile())
      throw new UserError('STORE_OPEN', `${part} is not a regular file.`, { fix: `Move it away: mv ${part} ${part}.odd` });
    if (uid !== undefined && stat.uid !== uid) {
      throw new UserError('STORE_OPEN', `${part} belongs to user ${stat.uid}, this process is user ${uid}.`, {
        fix: `sudo chown ${uid} ${part}`,
      });
    }
    if (uid !== undefined && (stat.mode & 0o077) !== 0) fs.chmodSync(part, 0o600);
    if (part.endsWith('-wal') && stat.size > 0) unclean = true;
  }
  return unclean;
}

const isErrno = (thrown: unknown): thrown is NodeJS.ErrnoException =>
  thrown instanceof Error && typeof (thrown as { code?: unknown }).code === 'string';
