import { expect, test } from 'vitest';
import { LIMITS } from '../../protocol/limits.ts';
import { PreauthPool, type Unadmitted } from './preauth.ts';

test('WS-4 a flood pushes out its own oldest, per address and in all', () => {
  const pool = new PreauthPool();
  const dropped: string[] = [];
  const add = (address: string, name: string): Unadmitted => {
    const socket = { address, drop: () => void dropped.push(name) };
    pool.add(socket);
    return socket;
  };
  const owner = add('owner', 'owner');
  for (let i = 0; i < LIMITS.preauthPerAddress + 3; i++) add('flood', `f${i}`);
  expect(dropped).toEqual(['f0', 'f1', 'f2']);
  for (let i = 0; pool.size < LIMITS.preauthTotal; i++) add(`a${i}`, `a${i}`);
  pool.remove(owner);
  const before = dropped.length;
  add('late', 'late');
  add('later', 'later');
  expect(dropped.slice(before)).toEqual(['f3']);
  expect(pool.size).toBe(LIMITS.preauthTotal);
});
