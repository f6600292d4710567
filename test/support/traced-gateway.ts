import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts';

export const HAS_STRACE = spawnSync('strace', ['-V']).status === 0;
export const NEEDS_STRACE = 'needs strace: sudo apt-get install strace';

export interface Traced {
  /** Undefined: it was dead before it listened. */
  readonly gateway: TestGateway | undefined;
  /** What `strace` wrote of the thread that does everything that matters here. */
  trace(): string;
  /** Resolves with the signal that ended it, or undefined. */
  readonly ended: Promise<NodeJS.Signals | undefined>;
  kill(): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Runs the gateway under `strace` with these arguments; the trace of each thread is a file of its own in `dir`. */
export async function startTraced(boot: TestGatewayOptions, dir: string, strace: readonly string[]): Promise<Traced> {
  const file = path.join(dir, 'trace');
  let tracer: ChildProcess | undefined;
  let ended: Promise<NodeJS.Signals | undefined> = Promise.resolve(undefined);
  let pid = 0;
  const gateway = await startTestGateway({
    ...boot,
    wrap: ['strace', '-ff', '-qq', '-o', file, ...strace],
    onSpawn(child) {
      tracer = child;
      // It ends as its tracee did.
      ended = once(child, 'exit').then(([, signal]) => (signal as NodeJS.Signals | null) ?? undefined);
    },
  }).catch(() => undefined);
  if (gateway !== undefined) pid = Number(/\(PID (\d+)\)/.exec(gateway.output())?.[1]);
  const isAlive = (): boolean => tracer?.exitCode === null && tracer.signalCode === null;
  const kill = (): void => {
    // Not the tracer: its end would set the gateway free.
    if (isAlive() && pid > 0) process.kill(pid, 'SIGKILL');
  };
  return {
    gateway,
    ended,
    trace: () => readFileSync(`${file}.${pid}`, 'latin1'),
    kill,
    async [Symbol.asyncDispose]() {
      kill();
      await ended;
    },
  };
}
