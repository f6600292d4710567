import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { EVENT_LOG_STEP, eventLog, type LogPosition } from './event-log.ts';
import { openDatabase, type Store } from './open.ts';

async function opened(dir: string): Promise<Store> {
  const result = await openDatabase(path.join(dir, 'log.sqlite'), { schemas: [EVENT_LOG_STEP] });
  if (!result.ok) throw result.error;
  return result.value;
}

test('EV-1 seq is dense per topic from 1, row ids rise over all; payloads come back byte for byte', async () => {
  using dir = tempDir();
  const store = await opened(dir.path);
  const log = eventLog(store);
  expect(log.head('gateway')).toBeUndefined();
  const positions = await Promise.all(
    ['gateway', 'agent:main:main', 'gateway'].map((topic, i) =>
      store.write((tx) => log.append(tx, topic, 'chat', `{"n": ${i}, "t":"é𝄞"}`, 1000 + i)),
    ),
  );
  expect(positions.map(({ rowId, seq }) => [rowId, seq])).toEqual([
    [1, 1],
    [2, 1],
    [3, 2],
  ]);
  expect(log.read('gateway', 0, 10)).toEqual([
    { rowId: 1, seq: 1, kind: 'chat', at: 1000, payload: '{"n": 0, "t":"é𝄞"}' },
    { rowId: 3, seq: 2, kind: 'chat', at: 1002, payload: '{"n": 2, "t":"é𝄞"}' },
  ]);
  expect(log.read('gateway', 1, 10).map(({ seq }) => seq)).toEqual([2]);
  expect(log.read('gateway', 0, 1).map(({ seq }) => seq)).toEqual([1]);
  expect(log.read('nobody', 0, 10)).toEqual([]);
  expect(log.head('gateway')).toEqual({ epoch: positions[0]?.epoch, seq: 2 });
  expect(positions[1]?.epoch).not.toBe(positions[0]?.epoch);
  await store.close();
});

test('EV-2 interleaved appends, some undone, some after a reopen: dense per topic, never reused, one epoch', async () => {
  const topic = fc.constantFrom('a', 'b', 'c');
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ do: fc.constant('append' as const), topic }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('undone' as const), topic }) },
    { weight: 1, arbitrary: fc.constant({ do: 'turn' as const }) },
    { weight: 1, arbitrary: fc.constant({ do: 'reopen' as const }) },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      using dir = tempDir();
      let store = await opened(dir.path);
      const acknowledged: { topic: string; at: LogPosition }[] = [];
      let pending: Promise<unknown>[] = [];
      for (const step of steps) {
        if (step.do === 'append' || step.do === 'undone') {
          pending.push(
            store
              .write((tx) => {
                const at = eventLog(store).append(tx, step.topic, 'k', '{}', 0);
                if (step.do === 'undone') throw new Error('undone');
                return at;
              })
              .then(
                (at) => acknowledged.push({ topic: step.topic, at }),
                () => undefined,
              ),
          );
        } else {
          await Promise.all(pending);
          pending = [];
          if (step.do === 'reopen') {
            await store.close();
            store = await opened(dir.path);
          }
        }
      }
      await Promise.all(pending);
      const log = eventLog(store);
      for (const topic of ['a', 'b', 'c']) {
        const mine = acknowledged.filter((one) => one.topic === topic);
        expect(mine.map(({ at }) => at.seq)).toEqual(mine.map((_, i) => i + 1));
        expect(log.read(topic, 0, 1000).map(({ seq, rowId }) => [seq, rowId])).toEqual(mine.map(({ at }) => [at.seq, at.rowId]));
        expect(new Set(mine.map(({ at }) => at.epoch)).size).toBeLessThanOrEqual(1);
        expect(log.head(topic)?.seq).toBe(mine.length > 0 ? mine.length : undefined);
      }
      expect(new Set(acknowledged.map(({ at }) => at.rowId)).size).toBe(acknowledged.length);
      await store.close();
    }),
    { numRuns: 40 },
  );
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
