/** Stops something that was started; calling it twice is harmless. */
export type Cancel = () => void;

/** Time as a port, so that tests move it by hand instead of sleeping. */
export interface Clock {
  /** Wall clock, ms since 1970. May jump. */
  now(): number;
  /** Monotonic, ms. For durations and deadlines. */
  monotonic(): number;
  /** Runs `task` once, `ms` from now. Timers never keep the process alive. */
  after(ms: number, task: () => void): Cancel;
  /** Runs `task` every `ms`. */
  every(ms: number, task: () => void): Cancel;
}

// `lib` compiles with neither Node nor DOM types; these four exist in both.
interface Timers {
  setTimeout(task: () => void, ms: number): unknown;
  clearTimeout(handle: unknown): void;
  setInterval(task: () => void, ms: number): unknown;
  clearInterval(handle: unknown): void;
  performance: { now(): number };
}
const host = globalThis as unknown as Timers;
const unref = (handle: unknown): unknown => {
  (handle as { unref?: () => void }).unref?.();
  return handle;
};

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => host.performance.now(),
  after(ms, task) {
    const handle = unref(host.setTimeout(task, ms));
    return () => host.clearTimeout(handle);
  },
  every(ms, task) {
    const handle = unref(host.setInterval(task, ms));
    return () => host.clearInterval(handle);
  },
};
