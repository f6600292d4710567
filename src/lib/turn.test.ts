import { expect, test } from 'vitest';
import { turn } from './turn.ts';

test('EV-150 of all work that is sliced one piece runs per turn of the loop, in order of asking', async () => {
  const log: string[] = [];
  let turns = 0;
  let counting = true;
  const count = (): void => {
    turns++;
    if (counting) setImmediate(count);
  };
  setImmediate(count);
  const work = async (name: string): Promise<void> => {
    for (let i = 0; i < 3; i++) {
      await turn();
      log.push(`${name}${i}@${turns}`);
    }
  };
  await Promise.all([work('a'), work('b'), work('c')]);
  counting = false;
  expect(log.map((line) => line.split('@')[0])).toEqual(['a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2', 'b2', 'c2']);
  expect(new Set(log.map((line) => line.split('@')[1])).size).toBe(log.length);
});
