/**
 * A process that does nothing but append to a store and say, on descriptor 3, what was acknowledged: one line an id,
 * or `! CODE` for a refused write. It is there to be killed.
 *
 * Arguments: database file, run name (prefix of its ids), `honest` | `early` | `unsynced`, how many acknowledgements until it ends.
 */
import fs from 'node:fs';
import { systemClock } from '../../src/lib/clock.ts';
import type { Database } from '../../src/store/sqlite/database.ts';
import { EVENT_LOG_STEP, eventLog } from '../../src/store/sqlite/event-log.ts';
import { openDatabase } from '../../src/store/sqlite/open.ts';
import { acknowledgeEarly } from './early-ack.ts';

const ACKS = 3;
const [file = '', run = '', mode = 'honest', limit = 'Infinity'] = process.argv.slice(2);

const opened = await openDatabase(file, { schemas: [EVENT_LOG_STEP] });
if (!opened.ok) {
  fs.writeSync(ACKS, `! ${opened.error.code}\n`);
  throw opened.error;
}
const store = opened.value;
if (mode === 'unsynced') store.prepare('PRAGMA synchronous = OFF').run();
const db: Database = mode === 'early' ? acknowledgeEarly(store, 50, systemClock) : store;
const log = eventLog(db);

let next = 0;
let acknowledged = 0;
const append = async (topic: string): Promise<void> => {
  const id = `${run}.${next++}`;
  try {
    await db.write((tx) => log.append(tx, topic, 'note', JSON.stringify({ id, text: 'x'.repeat((next * 37) % 700) }), Date.now()));
    fs.writeSync(ACKS, `${id}\n`);
    acknowledged++;
  } catch (thrown) {
    fs.writeSync(ACKS, `! ${(thrown as { code?: string }).code ?? thrown}\n`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
/** One at a time, and bursts: both kinds of batch. */
const writer = async (topic: string, burst: number): Promise<void> => {
  while (acknowledged < Number(limit)) await Promise.all(Array.from({ length: burst }, () => append(topic)));
};

fs.writeSync(1, 'ready\n');
await Promise.all([writer('gateway', 1), writer('agent:main:main', 3), writer('agent:main:main', 1), writer('agent:main:other', 7)]);
await store.close();
