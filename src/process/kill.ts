import type { ChildProcess } from 'node:child_process';
import type { Clock } from '../lib/clock.ts';

/**
 * Signals a child and all that it started. A child of `run` and `supervise` leads a process group of its own, so this reaches grandchildren and never us.
 * False when nobody was left. Windows has no groups: there the child alone is ended.
 */
export function signalGroup(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): boolean {
  if (child.pid === undefined) return false;
  if (process.platform === 'win32') return child.exitCode === null && child.signalCode === null && child.kill(signal);
  try {
    return process.kill(-child.pid, signal);
  } catch {
    return false;
  }
}

export const hasEnded = (child: ChildProcess): boolean => child.pid === undefined || child.exitCode !== null || child.signalCode !== null;

/** How long a grandchild outside of the group may keep our pipes open after the child has ended. */
export const PIPE_GRACE_MS = 250;
/** A process that outlives SIGKILL this long hangs in the kernel; nobody waits for it. */
const KILL_MS = 2_000;

/** SIGTERM, and SIGKILL when the child still stands after `graceMs`. Resolves once it has ended; what is left of its group goes with it. */
export async function endGroup(child: ChildProcess, clock: Clock, graceMs: number): Promise<void> {
  if (!hasEnded(child)) {
    await new Promise<void>((settle) => {
      const cancels = [clock.after(graceMs, () => signalGroup(child, 'SIGKILL')), clock.after(graceMs + KILL_MS, () => done())];
      const done = (): void => {
        for (const cancel of cancels) cancel();
        settle();
      };
      child.once('exit', done);
      signalGroup(child, 'SIGTERM');
    });
  }
  signalGroup(child, 'SIGKILL');
}
