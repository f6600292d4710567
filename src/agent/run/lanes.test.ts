import { describe, expect, test } from 'vitest';
import { createLanes } from './lanes.ts';

/** A job that ends when told to. */
function jobs() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const job = (id: string) => (): Promise<void> => {
    begun.push(id);
    return new Promise((resolve) => ends.set(id, resolve));
  };
  const end = async (id: string): Promise<void> => {
    ends.get(id)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begun, job, end };
}

describe('lanes', () => {
  test('AG-6 one at a time per lane in order, so many over all, first come first served', async () => {
    const lanes = createLanes(() => 2);
    const { begun, job, end } = jobs();
    lanes.release();
    for (const [lane, id] of [
      ['a', 'a1'],
      ['a', 'a2'],
      ['b', 'b1'],
      ['c', 'c1'],
    ] as const)
      lanes.add(lane, id, job(id));
    expect(begun).toEqual(['a1', 'b1']);
    expect([lanes.waiting('a'), lanes.waiting('c'), lanes.waitingInAll()]).toEqual([1, 1, 2]);
    await end('b1');
    expect(begun).toEqual(['a1', 'b1', 'c1']);
    await end('a1');
    expect(begun).toEqual(['a1', 'b1', 'c1', 'a2']);
  });

  test('AG-7 a waiting one can be taken out, a begun one not', () => {
    const lanes = createLanes(() => 1);
    const { begun, job } = jobs();
    lanes.release();
    lanes.add('a', 'a1', job('a1'));
    lanes.add('a', 'a2', job('a2'));
    expect([lanes.remove('a', 'a1'), lanes.remove('b', 'a2'), lanes.remove('a', 'a2'), lanes.remove('a', 'a2')]).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect([begun, lanes.waiting('a'), lanes.waitingInAll()]).toEqual([['a1'], 0, 0]);
  });

  test('AG-31 nothing begins while they are held', async () => {
    const lanes = createLanes(() => 2);
    const { begun, job, end } = jobs();
    lanes.add('a', 'a1', job('a1'));
    lanes.add('b', 'b1', job('b1'));
    expect(begun).toEqual([]);
    lanes.release();
    lanes.add('a', 'a2', job('a2'));
    lanes.hold();
    await end('a1');
    expect(begun).toEqual(['a1', 'b1']);
    lanes.release();
    expect(begun).toEqual(['a1', 'b1', 'a2']);
  });
});
