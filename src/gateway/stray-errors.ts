import type { EventEmitter } from 'node:events';
import type { Cancel } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';

export interface StrayErrorPorts {
  /** `process`, but for tests. */
  readonly process: Pick<EventEmitter, 'on' | 'off'>;
  readonly log: Log;
  /** Ends the gateway in order, with an exit code that a service manager takes as a failure. */
  readonly fail: (why: string) => void;
}

/**
 * What becomes of errors that nobody caught, which would end the process by Node's default. A promise that nobody watched
 * is one operation that is lost, and so is a socket whose error nobody listened to: both are logged and everybody else
 * stays connected. Any other throw may have left something half done: the gateway ends, in order.
 */
export function catchStrayErrors({ process, log, fail }: StrayErrorPorts): Cancel {
  const onRejection = (reason: unknown): void => log.error('a promise failed and nobody listened', { cause: describe(reason) });
  const onException = (thrown: unknown): void => {
    if (isOfSystem(thrown)) return log.error('an error of a socket or file had no listener', { cause: describe(thrown) });
    log.error('an error that nobody caught: the gateway ends', { cause: describe(thrown) });
    fail('an error that nobody caught');
  };
  process.on('unhandledRejection', onRejection);
  process.on('uncaughtException', onException);
  return () => {
    process.off('unhandledRejection', onRejection);
    process.off('uncaughtException', onException);
  };
}

/** An `error` event of a stream comes as the error of a system call. */
const isOfSystem = (thrown: unknown): boolean => thrown instanceof Error && 'syscall' in thrown && 'errno' in thrown;

const describe = (thrown: unknown): string => (thrown instanceof Error && thrown.stack) || messageOf(thrown);
