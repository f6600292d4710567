import type { DatabaseSync } from 'node:sqlite';
import { UserError } from '../../lib/errors.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import { crypto } from '../builtins.ts';

/** `OCGW`: tells our file from any other SQLite database (and `file(1)` can say so). */
export const APPLICATION_ID = 0x4f434757;

const BASE = `
  CREATE TABLE IF NOT EXISTS store_steps (step INTEGER PRIMARY KEY, digest TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS store_meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
`;

const digestOf = (sql: string): string => crypto().createHash('sha256').update(sql).digest('base64url').slice(0, 16);

const pragma = (db: DatabaseSync, name: 'application_id' | 'user_version'): number =>
  Number(Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0] ?? 0);

/**
 * The number of steps this file has been through (0: new), or why it is not for us. Reads only: a file that is refused
 * stays as it was, byte for byte.
 *
 * Errors: `STORE_FOREIGN` (not our file), `STORE_NEWER` (written by a later version), `STORE_STEPS_DIFFER` (a step was
 * edited after it had run here).
 */
export function schemaVersion(db: DatabaseSync, steps: readonly string[], file: string): Result<number, UserError> {
  const version = pragma(db, 'user_version');
  const application = pragma(db, 'application_id');
  if (application !== APPLICATION_ID) {
    const tables = Number(Object.values(db.prepare('SELECT count(*) FROM sqlite_schema').get() ?? {})[0]);
    if (application === 0 && version === 0 && tables === 0) return ok(0);
    return err(
      new UserError('STORE_FOREIGN', `${file} is a database of another program.`, { fix: `Move it away: mv ${file} ${file}.foreign` }),
    );
  }
  if (version > steps.length) {
    return err(
      new UserError(
        'STORE_NEWER',
        `${file} was written by a newer version of OpenClaw (schema ${version}; this one knows up to ${steps.length}). Nothing was changed.`,
        { fix: 'Run the newer version again, or restore a backup made before the upgrade.' },
      ),
    );
  }
  const digests = db.prepare('SELECT step, digest FROM store_steps ORDER BY step').all() as { step: number; digest: string }[];
  const odd = digests.find(({ step, digest }) => digest !== digestOf(steps[step - 1] ?? ''));
  if (odd === undefined) return ok(version);
  return err(
    new UserError('STORE_STEPS_DIFFER', `Schema step ${odd.step} of ${file} is not the one this version has. Nothing was changed.`, {
      fix: 'Run the version that made this file.',
    }),
  );
}

/**
 * Brings the file from `version` to the last of `steps`, in one transaction: all of it or nothing. `user_version` is the
 * number of steps a file has been through, so a step that was ever released is never edited, moved or removed; one appends.
 * Throws what SQLite says of a wrong step.
 */
export function migrate(db: DatabaseSync, steps: readonly string[], version: number, now: number): void {
  if (version === steps.length && version > 0) return;
  db.exec('BEGIN IMMEDIATE');
  try {
    db.exec(BASE);
    const applied = db.prepare('INSERT INTO store_steps (step, digest, at) VALUES (?, ?, ?)');
    for (const [index, sql] of steps.entries()) {
      if (index < version) continue;
      db.exec(sql);
      applied.run(index + 1, digestOf(sql), now);
    }
    db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${steps.length}`);
    db.exec('COMMIT');
  } catch (thrown) {
    if (db.isTransaction) db.exec('ROLLBACK');
    throw thrown;
  }
}
