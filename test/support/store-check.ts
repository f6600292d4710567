import { DatabaseSync } from 'node:sqlite';

/** What an acknowledged-writes checker found; all empty is a pass. */
export interface StoreFindings {
  /** Acknowledged, and not there. */
  readonly lost: readonly string[];
  /** There more than once. */
  readonly twice: readonly string[];
  /** Topics whose numbers are not 1, 2, 3, …, or whose head is not their last. */
  readonly holes: readonly string[];
  /** SQLite's own findings. */
  readonly damage: readonly string[];
}

/** Reads the log as a stranger would, with SQLite alone, and compares it with what clients were told. */
export function checkStore(file: string, acknowledged: Iterable<string>): StoreFindings {
  const db = new DatabaseSync(file);
  try {
    const count = new Map<string, number>();
    const holes: string[] = [];
    // Nothing at all is a database that was lost before its first table.
    const empty = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'events'").get() === undefined;
    if (!empty) {
      for (const row of db.prepare("SELECT payload ->> 'id' AS id FROM events").iterate()) {
        const id = String(row['id']);
        count.set(id, (count.get(id) ?? 0) + 1);
      }
      holes.push(...logHoles(db));
    }
    return {
      lost: [...acknowledged].filter((id) => !count.has(id)),
      twice: [...count].filter(([, n]) => n > 1).map(([id]) => id),
      holes,
      damage: damageOf(db),
    };
  } finally {
    db.close();
  }
}

/** Topics whose numbers are not 1, 2, 3, …, or whose head is not their last. */
export function logHoles(db: DatabaseSync): string[] {
  return db
    .prepare(
      `SELECT topic, head, count(seq) AS n, min(seq) AS low, max(seq) AS high
       FROM topics LEFT JOIN events ON topic_id = topics.id GROUP BY topics.id`,
    )
    .all()
    .filter(({ head, n, low, high }) => low !== 1 || high !== n || head !== n)
    .map(({ topic, head, n, low, high }) => `${topic}: ${n} events, ${low}–${high}, head ${head}`);
}

/** What SQLite itself finds wrong with the file; empty is sound. */
export function damageOf(db: DatabaseSync): string[] {
  return db
    .prepare('PRAGMA integrity_check')
    .all()
    .map((row) => String(Object.values(row)[0]))
    .filter((line) => line !== 'ok');
}

export const SOUND: StoreFindings = { lost: [], twice: [], holes: [], damage: [] };
