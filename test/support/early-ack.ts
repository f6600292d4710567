import type { Clock } from '../../src/lib/clock.ts';
import type { Database, Tx } from '../../src/store/sqlite/database.ts';

/**
 * A database that is broken on purpose: it answers `earlyMs` before it commits. The crash checkers must catch it;
 * a checker that passes this proves nothing about the real one.
 */
export function acknowledgeEarly(db: Database, earlyMs: number, clock: Clock): Database {
  return {
    ...db,
    prepare: (sql) => db.prepare(sql),
    close: () => db.close(),
    async write<T>(work: (tx: Tx) => T): Promise<T> {
      // What the write would return, tried and undone; the real one comes later.
      const tried: { value: T }[] = [];
      const undo = new Error('undone');
      await db
        .write((tx) => {
          tried.push({ value: work(tx) });
          throw undo;
        })
        .catch((thrown: unknown) => {
          if (thrown !== undo) throw thrown;
        });
      clock.after(earlyMs, () => void db.write(work).catch(() => {}));
      const [first] = tried;
      if (first === undefined) throw new Error('the write was never tried');
      return first.value;
    },
  };
}
