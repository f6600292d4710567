import { setTimeout as pause } from 'node:timers/promises';

/** Waits until something outside of this process has become true (a child has ended, a file is there); throws after `deadlineMs`. */
export async function until(isTrue: () => boolean | Promise<boolean>, deadlineMs = 10_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await isTrue())) {
    if (performance.now() > deadline) throw new Error(`did not come true within ${deadlineMs} ms: ${isTrue}`);
    await pause(5);
  }
}
