import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { eventLogContract } from '../../../test/support/event-log-contract.ts';
import { memoryEventLog } from '../../../test/support/memory-event-log.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { EVENT_LOG_STEP, eventLog } from './event-log.ts';
import { openDatabase, type Store } from './open.ts';

async function opened(dir: string): Promise<Store> {
  const result = await openDatabase(path.join(dir, 'log.sqlite'), { schemas: [EVENT_LOG_STEP] });
  if (!result.ok) throw result.error;
  return result.value;
}

describe('EV-1 EV-2 EV-3 EV-5 EV-6 what every log keeps', () => {
  eventLogContract('in memory', async () => ({ ...memoryEventLog(), [Symbol.asyncDispose]: async () => {} }));

  eventLogContract('on SQLite', async () => {
    const dir = tempDir();
    let store = await opened(dir.path);
    let log = eventLog(store);
    return {
      get log() {
        return log;
      },
      write: (work) => store.write(work),
      async reopen() {
        await store.close();
        store = await opened(dir.path);
        log = eventLog(store);
      },
      async [Symbol.asyncDispose]() {
        await store.close();
        dir[Symbol.dispose]();
      },
    };
  });
});

test('EV-3 after a restore every topic has a new epoch and goes on counting', async () => {
  using dir = tempDir();
  let store = await opened(dir.path);
  const first = await store.write((tx) => eventLog(store).append(tx, 'gateway', 'k', '1', 0));
  await store.close();
  const backup = fs.readFileSync(path.join(dir.path, 'log.sqlite'));
  store = await opened(dir.path);
  await store.write((tx) => eventLog(store).append(tx, 'gateway', 'k', '"lost with the restore"', 0));
  await store.close();

  fs.writeFileSync(path.join(dir.path, 'log.sqlite'), backup);
  store = await opened(dir.path);
  const log = eventLog(store);
  await store.write((tx) => log.renewEpochs(tx));
  const next = await store.write((tx) => log.append(tx, 'gateway', 'k', '2', 0));
  expect(next.seq).toBe(2);
  expect(next.epoch).not.toBe(first.epoch);
  await store.close();
});

test('EV-4 reading a page costs the page: it searches the index and scans nothing', async () => {
  using dir = tempDir();
  const store = await opened(dir.path);
  const plan = store
    .prepare(
      `EXPLAIN QUERY PLAN SELECT row_id AS rowId, seq, kind, at, payload FROM events
           WHERE topic_id = (SELECT id FROM topics WHERE topic = ?) AND seq > ? ORDER BY seq LIMIT ?`,
    )
    .all('gateway', 0, 10)
    .map((row) => String(row['detail']));
  expect(plan.join('\n')).toMatch(/SEARCH events USING INDEX/);
  expect(plan.join('\n')).not.toMatch(/SCAN|TEMP B-TREE/);
  await store.close();
});
