import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { memoryEventLog } from '../../test/support/memory-event-log.ts';
import { until } from '../../test/support/until.ts';
import { silentLog } from '../lib/log.ts';
import { keepLogBounded } from './log-retention.ts';

test('EV-6 what is too old and what is too much goes, in steps; what fails is tried again', async () => {
  const clock = manualClock();
  const { log, write } = memoryEventLog();
  let fails = true;
  let steps = 0;
  const cancel = keepLogBounded({
    events: log,
    write: (work) => {
      steps++;
      return fails ? Promise.reject(new Error('full')) : write(work);
    },
    retention: () => ({ keepDays: 1, keepEvents: 700 }),
    clock,
    log: silentLog,
  });
  for (let i = 0; i < 2_000; i++) await write((unit) => log.append(unit, 't', 'k', '{}', clock.now()));
  await clock.advance(10 * 60_000);
  expect(log.head('t')).toMatchObject({ first: 1 });
  fails = false;
  await clock.advance(10 * 60_000);
  await until(() => log.head('t')?.first === 1_301);
  expect(steps).toBeGreaterThan(3);
  clock.jump(86_400_001);
  await clock.advance(10 * 60_000);
  await until(() => log.head('t')?.first === 2_001);
  cancel();
  expect(clock.pending).toBe(0);
});
