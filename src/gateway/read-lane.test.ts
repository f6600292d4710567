import { expect, test } from 'vitest';
import { ReadLane } from './read-lane.ts';

test('EV-151 of one principal two long reads are in work, in order; another principal does not wait for them; a failure frees its place', async () => {
  const lane = new ReadLane();
  const ends = new Map<string, () => void>();
  const begun: string[] = [];
  const read = (who: string, name: string): Promise<string> =>
    lane.run(who, async () => {
      begun.push(name);
      await new Promise<void>((resolve) => ends.set(name, resolve));
      if (name === 'a2') throw new Error('broken');
      return name;
    });
  const until = async (count: number): Promise<void> => {
    while (begun.length < count) await new Promise((resolve) => setImmediate(resolve));
  };
  const all = [read('a', 'a1'), read('a', 'a2'), read('a', 'a3'), read('a', 'a4'), read('b', 'b1')];
  const settled = Promise.allSettled(all);
  await until(3);
  expect(begun).toEqual(['a1', 'a2', 'b1']);
  ends.get('a2')?.();
  await until(4);
  expect(begun).toEqual(['a1', 'a2', 'b1', 'a3']);
  for (const name of ['a1', 'a3', 'b1']) ends.get(name)?.();
  await until(5);
  ends.get('a4')?.();
  expect((await settled).map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled']);
});
