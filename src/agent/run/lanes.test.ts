import { describe, expect, test } from 'vitest';
import { createLanes, type LaneLimits } from './lanes.ts';

/** A job that ends when told to. */
function jobs() {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const job = (lane: string, id: string, more: { principal?: string; provider?: string; bytes?: number } = {}) => ({
    lane,
    id,
    principal: more.principal ?? 'owner',
    provider: more.provider ?? 'p',
    bytes: more.bytes ?? 0,
    work: (): Promise<void> => {
      begun.push(id);
      return new Promise((resolve) => ends.set(id, resolve));
    },
  });
  const end = async (id: string): Promise<void> => {
    ends.get(id)?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { begun, job, end };
}

const limits =
  (perProvider: number, more: Partial<LaneLimits> = {}) =>
  (): LaneLimits => ({
    perProvider,
    inAll: perProvider * 4,
    bytesPerPrincipal: 10,
    bytesInAll: 20,
    ...more,
  });

describe('lanes', () => {
  test('AG-6 one at a time per lane in order, so many per provider, first come first served', async () => {
    const lanes = createLanes(limits(2));
    const { begun, job, end } = jobs();
    lanes.release();
    for (const [lane, id] of [
      ['a', 'a1'],
      ['a', 'a2'],
      ['b', 'b1'],
      ['c', 'c1'],
    ] as const)
      lanes.add(job(lane, id));
    expect(begun).toEqual(['a1', 'b1']);
    expect(lanes.waitingInAll()).toBe(2);
    await end('b1');
    expect(begun).toEqual(['a1', 'b1', 'c1']);
    await end('a1');
    expect(begun).toEqual(['a1', 'b1', 'c1', 'a2']);
  });

  test('AG-7 a waiting one can be taken out, a begun one not', () => {
    const lanes = createLanes(limits(1));
    const { begun, job } = jobs();
    lanes.release();
    lanes.add(job('a', 'a1'));
    lanes.add(job('a', 'a2'));
    expect([lanes.remove('a', 'a1'), lanes.remove('b', 'a2'), lanes.remove('a', 'a2'), lanes.remove('a', 'a2')]).toEqual([
      false,
      false,
      true,
      false,
    ]);
    expect([begun, lanes.waitingInAll()]).toEqual([['a1'], 0]);
  });

  test('AG-31 nothing begins while they are held', async () => {
    const lanes = createLanes(limits(2));
    const { begun, job, end } = jobs();
    lanes.add(job('a', 'a1'));
    lanes.add(job('b', 'b1'));
    expect(begun).toEqual([]);
    lanes.release();
    lanes.add(job('a', 'a2'));
    lanes.hold();
    await end('a1');
    expect(begun).toEqual(['a1', 'b1']);
    lanes.release();
    expect(begun).toEqual(['a1', 'b1', 'a2']);
  });

  test('AG-6 calls that hang with one provider do not hold those to another; over all there is a bound too', async () => {
    const lanes = createLanes(limits(2, { inAll: 3 }));
    const { begun, job, end } = jobs();
    lanes.release();
    for (const id of ['h1', 'h2', 'h3']) lanes.add(job(id, id, { provider: 'hangs' }));
    lanes.add(job('a', 'a1', { provider: 'works' }));
    lanes.add(job('b', 'b1', { provider: 'works' }));
    expect(begun).toEqual(['h1', 'h2', 'a1']);
    await end('a1');
    expect(begun).toEqual(['h1', 'h2', 'a1', 'b1']);
  });

  test('AG-97 who has hundreds waiting takes turns with who has one, and cannot hold the last place', async () => {
    const lanes = createLanes(limits(2));
    const { begun, job, end } = jobs();
    lanes.release();
    for (let i = 1; i <= 300; i++) lanes.add(job(`n${i}`, `n${i}`, { principal: 'noisy' }));
    // All places of this provider are taken, and may hang: one more is kept for somebody who has none.
    lanes.add(job('o1', 'o1'));
    lanes.add(job('o2', 'o2'));
    expect(begun).toEqual(['n1', 'n2', 'o1']);
    await end('n1');
    await end('n2');
    await end('o1');
    expect(begun).toEqual(['n1', 'n2', 'o1', 'n3', 'o2']);
  });

  test('AG-97 the order within a session stands whoever sent', async () => {
    const lanes = createLanes(limits(1));
    const { begun, job, end } = jobs();
    lanes.release();
    lanes.add(job('s', 's1', { principal: 'noisy' }));
    lanes.add(job('s', 's2', { principal: 'noisy' }));
    lanes.add(job('s', 's3'));
    await end('s1');
    await end('s2');
    expect(begun).toEqual(['s1', 's2', 's3']);
  });

  test('AG-94 what runs holds so many bytes at most, per principal and in all; what is small goes on', async () => {
    const lanes = createLanes(limits(10));
    const { begun, job, end } = jobs();
    lanes.release();
    lanes.add(job('a', 'a1', { bytes: 9 }));
    lanes.add(job('b', 'b1', { bytes: 9 }));
    lanes.add(job('c', 'c1', { bytes: 1 }));
    lanes.add(job('d', 'd1', { bytes: 12, principal: 'other' }));
    expect(begun).toEqual(['a1', 'c1']);
    await end('a1');
    expect(begun).toEqual(['a1', 'c1', 'b1']);
    await end('b1');
    // A single one may be larger than what its principal may hold.
    expect(begun).toEqual(['a1', 'c1', 'b1', 'd1']);
  });

  test('AG-6 a session whose model changes while it waits waits for the other provider', () => {
    const lanes = createLanes(limits(1));
    const { begun, job } = jobs();
    lanes.release();
    lanes.add(job('a', 'a1', { provider: 'hangs' }));
    lanes.add(job('b', 'b1', { provider: 'hangs' }));
    expect(begun).toEqual(['a1']);
    lanes.refresh('b', () => 'works');
    expect(begun).toEqual(['a1', 'b1']);
  });
});
