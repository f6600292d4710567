import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SCHEMAS } from '../../../src/gateway/start.ts';
import { openDatabase } from '../../../src/store/sqlite/open.ts';

const USAGE = { input: 1, output: 1, cacheRead: 0, cacheWrite: 0, total: 2 };

export interface SeedOptions {
  /** Small sessions, `agent:main:openai:<uuid>`, with a title each. */
  readonly sessions: number;
  /** Sessions `agent:main:big-<n>`, and messages of each. */
  readonly big: readonly { readonly messages: number; readonly bytes: (n: number) => number }[];
}

/** Fills the database of a state dir, with the schema of the product, before a gateway runs on it. */
export async function seedSessions(stateDir: string, { sessions, big }: SeedOptions): Promise<void> {
  const file = join(stateDir, 'gateway', 'gateway.sqlite');
  const opened = await openDatabase(file, { schemas: SCHEMAS });
  if (!opened.ok) throw opened.error;
  await opened.value.close();
  // Past the product's own writer, which waits for the disk after every write.
  const db = new DatabaseSync(file);
  db.exec('PRAGMA synchronous = OFF; BEGIN');
  const session = db.prepare(
    'INSERT INTO sessions (key, session_id, agent_id, created_at, updated_at, title, preview) VALUES (?, ?, ?, ?, ?, ?, ?)',
  );
  const sessionId = db.prepare('INSERT INTO session_ids (session_id, key, created_at, last_seq) VALUES (?, ?, 1, ?)');
  const entry = db.prepare('INSERT INTO transcript (session_id, seq, id, at, run_id, message) VALUES (?, ?, ?, ?, ?, ?)');
  const make = (key: string, id: string, at: number, title: string, messages: number): void => {
    session.run(key, id, 'main', at, at, title, 'x');
    sessionId.run(id, key, messages);
  };
  for (let n = 0; n < sessions; n++) {
    const id = randomUUID();
    make(`agent:main:openai:${id}`, id, n, `hello this is title number ${n} of the things people say`, 0);
  }
  for (const [index, { messages, bytes }] of big.entries()) {
    const id = randomUUID();
    make(`agent:main:big-${index}`, id, 1_000_000 + index, `big ${index}`, messages);
    for (let seq = 1; seq <= messages; seq++) {
      const text = 'line "quoted" äöü\n'.repeat(Math.ceil(bytes(seq) / 23));
      const message =
        seq % 2 === 1
          ? { role: 'user', text }
          : { role: 'assistant', content: [{ type: 'text', text }], provider: 'p', model: 'm', api: 'a', usage: USAGE, stopReason: 'stop' };
      entry.run(id, seq, randomUUID(), seq, `seeded-${index}-${Math.ceil(seq / 2)}`, JSON.stringify(message));
    }
  }
  db.exec('COMMIT; PRAGMA wal_checkpoint(TRUNCATE)');
  db.close();
}
