import { expect, test } from 'vitest';
import { turn } from './turn.ts';

/** Three workers with three pieces each, of so many ms; each piece with the turn of the loop in which it ran. */
async function worked(ms: number): Promise<{ order: string[]; turns: string[] }> {
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
      for (const end = performance.now() + ms; performance.now() < end; );
    }
  };
  await Promise.all([work('a'), work('b'), work('c')]);
  counting = false;
  return { order: log.map((line) => line.slice(0, 2)), turns: log.map((line) => line.slice(3)) };
}
const IN_ORDER = ['a0', 'b0', 'c0', 'a1', 'b1', 'c1', 'a2', 'b2', 'c2'];

test('EV-150 of all work that is sliced one long piece runs per turn of the loop, in order of asking', async () => {
  const { order, turns } = await worked(6);
  expect(order).toEqual(IN_ORDER);
  expect(new Set(turns).size).toBe(9);
});

test('EV-150 short pieces of several share a turn, each has one piece in it', async () => {
  const { order, turns } = await worked(0);
  expect(order).toEqual(IN_ORDER);
  expect(new Set(turns).size).toBeLessThan(9);
  for (const name of ['a', 'b', 'c']) expect(new Set(turns.filter((_, i) => order[i]?.startsWith(name))).size).toBe(3);
});
