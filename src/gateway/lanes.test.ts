import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { FairLanes, RateLanes, STANDING_MS } from './lanes.ts';

test('WS-12 a burst passes, then as many as the rate; the wait that is told is long enough', async () => {
  const clock = manualClock();
  const lanes = new RateLanes(clock, { burst: 3, perSecond: 2 });
  expect([1, 2, 3].map(() => lanes.take('a'))).toEqual([0, 0, 0]);
  const wait = lanes.take('a');
  expect(wait).toBe(500);
  expect(lanes.take('b')).toBe(0);
  await clock.advance(wait);
  expect(lanes.take('a')).toBe(0);
  expect(lanes.take('a')).toBeGreaterThan(0);
});

test('WS-12 in any stretch of time no more pass than burst and rate allow, and the table is bounded', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 80 }), async (pauses) => {
      const clock = manualClock();
      const lanes = new RateLanes(clock, { burst: 5, perSecond: 4, maxKeys: 3 });
      let passed = 0;
      for (const pause of pauses) {
        await clock.advance(pause);
        if (lanes.take('a') === 0) passed++;
      }
      const seconds = pauses.reduce((sum, pause) => sum + pause, 0) / 1000;
      expect(passed).toBeLessThanOrEqual(5 + Math.ceil(seconds * 4));
    }),
    { numRuns: 60 },
  );
});

describe('AU-125: connections that share a lane', () => {
  const rates = { lane: { burst: 20, perSecond: 1 }, share: { burst: 5, perSecond: 1 }, spare: { burst: 12, perSecond: 2 } };
  const passed = (lanes: FairLanes, times: number, principal: string, key?: string, openedAt = -STANDING_MS): number =>
    Array.from({ length: times }, () => lanes.take(principal, key === undefined ? undefined : { key, openedAt })).filter(
      (wait) => wait === 0,
    ).length;

  test('a noisy one uses up the lane and its own share, not the share of another', async () => {
    const clock = manualClock();
    const lanes = new FairLanes(clock, rates);
    expect(passed(lanes, 100, 'secret:here', 'noisy')).toBe(25);
    expect(passed(lanes, 10, 'secret:here', 'owner')).toBe(5);
    expect(passed(lanes, 10, 'device:d', 'other')).toBe(10);
    await clock.advance(1_000);
    expect(passed(lanes, 100, 'secret:here', 'noisy')).toBe(2);
    expect(passed(lanes, 10, 'secret:here', 'owner')).toBe(1);
  });

  test('shares are bounded together: a thousand connections get no more than the lane and the spare', () => {
    const lanes = new FairLanes(manualClock(), rates);
    let all = 0;
    for (let i = 0; i < 1_000; i++) all += passed(lanes, 10, 'secret:here', `c${i}`);
    expect(all).toBe(20 + 12);
  });

  test('a program that opens a connection for each call takes nothing from who is in', () => {
    const lanes = new FairLanes(manualClock(), rates);
    let all = 0;
    for (let i = 0; i < 1_000; i++) all += passed(lanes, 1, 'secret:here', `c${i}`, 0);
    expect(all).toBe(20 + 12);
    expect(passed(lanes, 10, 'secret:here', 'owner')).toBe(5);
  });

  test('without a connection there is no share, and the wait that is told is long enough', async () => {
    const clock = manualClock();
    const lanes = new FairLanes(clock, rates);
    expect(passed(lanes, 100, 'secret:here')).toBe(20);
    const wait = lanes.take('secret:here');
    await clock.advance(wait);
    expect(lanes.take('secret:here')).toBe(0);
    expect(passed(lanes, 100, 'secret:here', 'c', 0)).toBe(5);
    const shared = lanes.take('secret:here', { key: 'c', openedAt: 0 });
    expect(shared).toBeGreaterThan(0);
    await clock.advance(shared);
    expect(lanes.take('secret:here', { key: 'c', openedAt: 0 })).toBe(0);
  });
});
