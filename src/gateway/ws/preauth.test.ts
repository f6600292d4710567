import { expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { PREAUTH_GRACE_MS, PreauthPool, type Unadmitted } from './preauth.ts';

function pool() {
  const clock = manualClock();
  const made = new PreauthPool(clock);
  const dropped: string[] = [];
  const add = (address: string, name: string): Unadmitted => {
    const socket = { address, drop: () => void dropped.push(name) };
    made.add(socket);
    return socket;
  };
  return { clock, pool: made, dropped, add };
}

test('WS-4 sockets of one address that stay silent push out their oldest, after a grace', async () => {
  const { clock, pool: made, dropped, add } = pool();
  add('owner', 'owner');
  for (let i = 0; i < LIMITS.preauthPerAddress + 3; i++) add('flood', `f${i}`);
  expect(dropped).toEqual([]);
  await clock.advance(PREAUTH_GRACE_MS - 1);
  expect(dropped).toEqual([]);
  await clock.advance(1);
  expect(dropped).toEqual(['f0', 'f1', 'f2']);
  expect(made.size).toBe(LIMITS.preauthPerAddress + 1);
});

test('WS-4 many that connect at once from one address all get through', async () => {
  const { clock, pool: made, dropped, add } = pool();
  const crowd = Array.from({ length: 200 }, (_, i) => add('tunnel', `c${i}`));
  await clock.advance(PREAUTH_GRACE_MS / 2);
  for (const socket of crowd) made.remove(socket);
  await clock.advance(PREAUTH_GRACE_MS * 2);
  expect(dropped).toEqual([]);
  expect(made.size).toBe(0);
});

test('WS-4 in all there is a limit at once, and a flood pushes out itself', async () => {
  const { pool: made, dropped, add } = pool();
  const owner = add('owner', 'owner');
  for (let i = 0; i < LIMITS.preauthTotal + 50; i++) add('flood', `f${i}`);
  expect(made.size).toBe(LIMITS.preauthTotal);
  expect(dropped).toEqual(Array.from({ length: 51 }, (_, i) => `f${i}`));
  made.remove(owner);
  made.remove(owner);
  expect(made.size).toBe(LIMITS.preauthTotal - 1);
});

test('WS-4 of addresses with equally many the oldest socket goes', () => {
  const { dropped, add } = pool();
  for (let i = 0; i < LIMITS.preauthTotal + 3; i++) add(`a${i % 16}`, `s${i}`);
  expect(dropped).toEqual(['s0', 's1', 's2']);
});
