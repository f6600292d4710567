// `lib` compiles with neither Node nor DOM types.
const host = globalThis as unknown as { setImmediate(task: () => void): unknown };

const waiting: (() => void)[] = [];
let scheduled = false;

function next(): void {
  scheduled = false;
  const resume = waiting.shift();
  if (waiting.length > 0) schedule();
  resume?.();
}
function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  host.setImmediate(next);
}

/**
 * Gives the event loop back in the middle of long work. Of everything that waits here one piece goes on per turn of the loop,
 * in order of asking: however many calls are sliced at a time, the loop is late by one slice and not by the sum of them.
 */
export function turn(): Promise<void> {
  return new Promise((resume) => {
    waiting.push(resume);
    schedule();
  });
}
