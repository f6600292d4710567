import type { Cancel, Clock } from '../../src/lib/clock.ts';

/** A clock that stands still until a test moves it. */
export interface ManualClock extends Clock {
  /** Runs everything that falls due within `ms`, in order, and lets promises settle after each. */
  advance(ms: number): Promise<void>;
  /** Moves the wall clock alone, as a sleep of the machine or an administrator does. */
  jump(ms: number): void;
  /** How many timers wait. */
  readonly pending: number;
}

interface Timer {
  due: number;
  readonly every: number | undefined;
  readonly task: () => void;
  readonly order: number;
}

export function manualClock(startMs = 1_700_000_000_000): ManualClock {
  let mono = 0;
  let offset = startMs;
  let order = 0;
  const timers = new Set<Timer>();
  const add = (ms: number, task: () => void, every: number | undefined): Cancel => {
    const timer: Timer = { due: mono + ms, every, task, order: order++ };
    timers.add(timer);
    return () => void timers.delete(timer);
  };
  return {
    now: () => offset + mono,
    monotonic: () => mono,
    after: (ms, task) => add(ms, task, undefined),
    every: (ms, task) => add(ms, task, ms),
    jump: (ms) => {
      offset += ms;
    },
    get pending() {
      return timers.size;
    },
    async advance(ms) {
      const end = mono + ms;
      await settled();
      for (;;) {
        const next = [...timers].filter((t) => t.due <= end).sort((a, b) => a.due - b.due || a.order - b.order)[0];
        if (next === undefined) break;
        mono = Math.max(mono, next.due);
        if (next.every === undefined) timers.delete(next);
        else next.due += next.every;
        next.task();
        await settled();
      }
      mono = end;
      await settled();
    },
  };
}

/** Lets every promise that can settle do so. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
