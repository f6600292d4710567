// `lib` compiles with neither Node nor DOM types.
const host = globalThis as unknown as { setImmediate(task: () => void): void };
const waiting: (() => void)[] = [];
let isScheduled = false;

/**
 * Resolves in a turn of the event loop of its own: of all that wait, over all runs, tools and broadcasts, one goes on per turn. Whoever works through
 * something long asks for it between two slices of a few milliseconds; however many do so at once, no turn holds more than one slice.
 */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (isScheduled) return;
    isScheduled = true;
    host.setImmediate(next);
  });
}

function next(): void {
  const resolve = waiting.shift();
  isScheduled = waiting.length > 0;
  if (isScheduled) host.setImmediate(next);
  resolve?.();
}
