import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { silentLog } from '../lib/log.ts';
import { Lifecycle } from './lifecycle.ts';
import { Signals } from './signals.ts';

function setUp() {
  const process = new EventEmitter();
  const signals = new Signals(process, 'linux');
  const taken: string[] = [];
  const taker = { stop: (why: string) => void taken.push(why), restartIfItMay: () => void taken.push('restart') };
  return { process, signals, taken, taker };
}

test('WS-75 what comes between two lives is for the next one: a restart until it begins, a stop for good', () => {
  const { process, signals, taken, taker } = setUp();
  process.emit('SIGUSR1');
  signals.begin();
  signals.deliverTo(taker)();
  expect([taken, signals.isStopWished]).toEqual([[], false]);
  process.emit('SIGUSR1');
  process.emit('SIGTERM');
  expect(signals.isStopWished).toBe(true);
  signals.begin();
  process.emit('SIGUSR1');
  const end = signals.deliverTo(taker);
  process.emit('SIGINT');
  process.emit('SIGUSR1');
  end();
  process.emit('SIGHUP');
  expect(taken).toEqual(['SIGTERM', 'restart', 'SIGINT', 'restart']);
  expect(process.listenerCount('SIGTERM')).toBe(1);
});

test('WS-75 a restart that is wished before all is up waits until it is, and asks then whether it may', async () => {
  const asked: string[] = [];
  const lifecycle = new Lifecycle({
    clock: manualClock(),
    log: silentLog,
    restartProblem: async () => void asked.push('asked'),
  });
  lifecycle.restartIfItMay('SIGUSR1');
  await Promise.resolve();
  expect([asked, lifecycle.isEnding]).toEqual([[], false]);
  lifecycle.up();
  expect((await lifecycle.ended).outcome).toEqual({ kind: 'restart' });
  expect(asked).toEqual(['asked']);
});
