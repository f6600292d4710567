import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { FAILED_CHECK_MS, Readiness, SELF_CHECK_MS } from './readiness.ts';

function checked() {
  const clock = manualClock();
  let checks = 0;
  let broken: Error | undefined;
  const readiness = new Readiness(clock, async () => {
    checks++;
    if (broken !== undefined) throw broken;
  });
  const breakIt = (error: Error | undefined): void => {
    broken = error;
  };
  return { clock, readiness, checks: () => checks, breakIt };
}

test('WS-18 it is not ready before it runs, nor while it stops, and asks nothing to say so', async () => {
  const { readiness, checks } = checked();
  expect(await readiness.view()).toMatchObject({ ready: false, failing: ['starting'] });
  readiness.setState('draining');
  expect(await readiness.view()).toMatchObject({ ready: false, failing: ['draining'] });
  expect(checks()).toBe(0);
});

test('WS-18 a thousand questions are one check; a good answer is checked again after ten seconds', async () => {
  const { clock, readiness, checks } = checked();
  readiness.setState('running');
  const answers = await Promise.all(Array.from({ length: 1_000 }, () => readiness.view()));
  expect(answers.every(({ ready }) => ready)).toBe(true);
  expect(checks()).toBe(1);
  await clock.advance(SELF_CHECK_MS - 1);
  await readiness.view();
  expect(checks()).toBe(1);
  await clock.advance(1);
  await readiness.view();
  expect(checks()).toBe(2);
});

test('WS-18 a failed check says why, and does not outlive its cause', async () => {
  const { clock, readiness, breakIt } = checked();
  readiness.setState('running');
  breakIt(new Error('no space left on device'));
  const failed = await readiness.view();
  expect(failed.ready).toBe(false);
  expect(failed.failing.join()).toContain('no space left on device');
  breakIt(undefined);
  await clock.advance(FAILED_CHECK_MS);
  expect(await readiness.view()).toMatchObject({ ready: true, failing: [] });
});
