import { describe, expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { silentLog } from '../lib/log.ts';
import { DRAIN_MS, Lifecycle, RESTART_DRAIN_MS, within } from './lifecycle.ts';

function setUp() {
  const clock = manualClock();
  const lifecycle = new Lifecycle({ clock, log: silentLog, restartProblem: async () => undefined });
  let hurried = false;
  void lifecycle.hurried.then(() => {
    hurried = true;
  });
  const isHurried = async (): Promise<boolean> => {
    await clock.advance(0);
    return hurried;
  };
  return { clock, lifecycle, isHurried };
}

describe('how it ends', () => {
  test('WS-16 a stop drains; a second one does not wait', async () => {
    const { lifecycle, isHurried } = setUp();
    expect(lifecycle.isEnding).toBe(false);
    lifecycle.stop('SIGTERM');
    expect(await lifecycle.ended).toEqual({ outcome: { kind: 'stop', code: 0 }, reason: 'gateway stopping', drainMs: DRAIN_MS });
    expect([lifecycle.isEnding, await isHurried()]).toEqual([true, false]);
    lifecycle.stop('SIGTERM');
    expect(await isHurried()).toBe(true);
  });

  test('WS-16 a stop during a restart makes it a stop, and its drain no longer than one of a stop', async () => {
    const { clock, lifecycle, isHurried } = setUp();
    lifecycle.restart('the config changed');
    expect((await lifecycle.ended).drainMs).toBe(RESTART_DRAIN_MS);
    lifecycle.restart('again');
    expect(lifecycle.ending.outcome).toEqual({ kind: 'restart' });
    lifecycle.stop('SIGTERM');
    expect(lifecycle.ending.outcome).toEqual({ kind: 'stop', code: 0 });
    await clock.advance(DRAIN_MS - 1);
    expect(await isHurried()).toBe(false);
    await clock.advance(1);
    expect(await isHurried()).toBe(true);
  });

  test('WS-16 a restart after a stop changes nothing', async () => {
    const { lifecycle } = setUp();
    lifecycle.stop('SIGTERM');
    lifecycle.restart('late');
    expect(lifecycle.ending.outcome).toEqual({ kind: 'stop', code: 0 });
  });

  test('WS-30 a failure waits for nothing and is told by the exit code, also when it was ending already', async () => {
    const fresh = setUp();
    fresh.lifecycle.fail('a bug');
    expect(await fresh.lifecycle.ended).toMatchObject({ outcome: { kind: 'stop', code: 1 }, drainMs: 0 });
    const ending = setUp();
    ending.lifecycle.restart('the config changed');
    ending.lifecycle.fail('a bug');
    expect([ending.lifecycle.ending.outcome, await ending.isHurried()]).toEqual([{ kind: 'stop', code: 1 }, true]);
  });
});

test('WS-16 a wait ends with the work, the time or the hurry, whichever comes first, and leaves no timer', async () => {
  const clock = manualClock();
  const never = new Promise<void>(() => {});
  await within(clock, 1_000, never, Promise.resolve());
  await within(clock, 1_000, Promise.resolve(), never);
  const late = within(clock, 1_000, never, never);
  await clock.advance(1_000);
  await late;
  expect(clock.pending).toBe(0);
});
