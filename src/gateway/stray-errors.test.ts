import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import type { Log } from '../lib/log.ts';
import { silentLog } from '../lib/log.ts';
import { catchStrayErrors } from './stray-errors.ts';

function setUp() {
  const process = new EventEmitter();
  const logged: string[] = [];
  const failed: string[] = [];
  const log: Log = {
    ...silentLog,
    error: (message, fields) => void logged.push(`${message}: ${String(fields?.['cause']).split('\n')[0]}`),
  };
  const cancel = catchStrayErrors({ process, log, fail: (why) => failed.push(why) });
  return { process, logged, failed, cancel };
}

test('WS-30 a promise that nobody watched and a socket that nobody listened to are logged, and the gateway goes on', () => {
  const { process, logged, failed } = setUp();
  process.emit('unhandledRejection', new Error('lost'));
  process.emit('uncaughtException', Object.assign(new Error('read ECONNRESET'), { syscall: 'read', errno: -104, code: 'ECONNRESET' }));
  expect(logged).toEqual([
    'a promise failed and nobody listened: Error: lost',
    'an error of a socket or file had no listener: Error: read ECONNRESET',
  ]);
  expect(failed).toEqual([]);
});

test('WS-30 any other throw ends it in order', () => {
  const { process, logged, failed } = setUp();
  process.emit('uncaughtException', new TypeError('x is undefined'));
  process.emit('uncaughtException', 'thrown text');
  expect(logged).toEqual([
    'an error that nobody caught: the gateway ends: TypeError: x is undefined',
    'an error that nobody caught: the gateway ends: thrown text',
  ]);
  expect(failed).toHaveLength(2);
});

test('WS-30 nothing is left on the process', () => {
  const { process, cancel } = setUp();
  cancel();
  expect([process.listenerCount('unhandledRejection'), process.listenerCount('uncaughtException')]).toEqual([0, 0]);
});
