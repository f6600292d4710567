import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { IDEMPOTENCY_STEP, idempotency } from './idempotency.ts';
import { openDatabase } from './open.ts';

test('ST-20 a result is found by principal, method and key, for its time, across a restart; the table is bounded', async () => {
  using dir = tempDir();
  let now = 1_000_000;
  const clock: Clock = { ...systemClock, now: () => now };
  const open = async () => {
    const result = await openDatabase(path.join(dir.path, 'i.sqlite'), { schemas: [IDEMPOTENCY_STEP] });
    if (!result.ok) throw result.error;
    return { store: result.value, results: idempotency(result.value, clock, { keepMs: 300_000, keys: 3 }) };
  };
  let { store, results } = await open();
  await store.write((tx) => results.remember(tx, 'owner', 'send', 'k', '{"a":1}'));
  await store.write((tx) => results.remember(tx, 'owner', 'send', 'k', '{"a":2}'));
  expect(results.find('owner', 'send', 'k')).toBe('{"a":1}');
  expect(results.find('other', 'send', 'k')).toBeUndefined();
  expect(results.find('owner', 'poll', 'k')).toBeUndefined();
  expect(results.find('owner', 'send', 'K')).toBeUndefined();

  await store.close();
  ({ store, results } = await open());
  expect(results.find('owner', 'send', 'k')).toBe('{"a":1}');

  for (const key of ['l', 'm', 'n']) {
    now++;
    await store.write((tx) => results.remember(tx, 'owner', 'send', key, '1'));
  }
  const keys = () =>
    store
      .prepare('SELECT key FROM idempotency ORDER BY at')
      .all()
      .map((row) => row['key']);
  expect(keys()).toEqual(['l', 'm', 'n']);

  now += 299_999;
  expect(results.find('owner', 'send', 'n')).toBe('1');
  now += 1;
  expect(results.find('owner', 'send', 'n')).toBeUndefined();
  await store.write((tx) => results.remember(tx, 'owner', 'send', 'o', '1'));
  expect(keys()).toEqual(['o']);

  now -= 10_000_000; // the clock was set back
  await store.write((tx) => results.remember(tx, 'owner', 'send', 'p', '1'));
  expect(keys()).toEqual(['p']);
  await store.close();
});
