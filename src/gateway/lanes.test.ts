import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { RateLanes } from './lanes.ts';

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
