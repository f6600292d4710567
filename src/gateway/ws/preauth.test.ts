import { expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { PREAUTH_GRACE_MS, PreauthPool, type Unadmitted } from './preauth.ts';

function pool() {
  const clock = manualClock();
  const made = new PreauthPool(clock, { perAddress: LIMITS.preauthPerAddress, total: LIMITS.preauthTotal, crowd: LIMITS.preauthCrowd });
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

test('WS-4 in all there is a limit after the grace, and a flood pushes out itself', async () => {
  const { clock, pool: made, dropped, add } = pool();
  const owner = add('owner', 'owner');
  for (let i = 0; i < LIMITS.preauthTotal + 48; i++) add(`flood-${i % 30}`, `f${i}`);
  await clock.advance(PREAUTH_GRACE_MS);
  expect(made.size).toBe(LIMITS.preauthTotal);
  expect(dropped).toHaveLength(49);
  expect(dropped).not.toContain('owner');
  made.remove(owner);
  made.remove(owner);
  expect(made.size).toBe(LIMITS.preauthTotal - 1);
});

test('WS-4 a crowd has a limit at once: the oldest of the address with most, of equals the oldest', () => {
  const { pool: made, dropped, add } = pool();
  for (let i = 0; i < LIMITS.preauthCrowd + 3; i++) add(`a${i % 16}`, `s${i}`);
  expect(made.size).toBe(LIMITS.preauthCrowd);
  expect(dropped).toEqual(['s0', 's1', 's2']);
});

test('WS-4 as long as somebody of an address gets in, nobody of it is silent for too long', async () => {
  const { clock, pool: made, dropped, add } = pool();
  const crowd = Array.from({ length: 300 }, (_, i) => add('tunnel', `c${i}`));
  for (let i = 0; i < 20; i++) {
    await clock.advance(PREAUTH_GRACE_MS / 3);
    made.remove(crowd[i] as Unadmitted);
    made.letIn('tunnel');
  }
  expect(dropped).toEqual([]);
  await clock.advance(PREAUTH_GRACE_MS * 2);
  expect(made.size).toBe(LIMITS.preauthPerAddress);
});
