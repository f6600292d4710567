// `lib` compiles with neither Node nor DOM types.
const host = globalThis as unknown as { setImmediate(task: () => void): unknown; performance: { now(): number } };

/** What goes on in one turn of the event loop, ms: pieces are begun as long as this is not used up. */
const TURN_MS = 3;
/** Pieces that may go on in one turn. */
const MAX_PIECES = 64;

const waiting: (() => void)[] = [];
let isArmed = false;

/** One turn: as many callbacks as there may be pieces, which the loop runs one after the other, with all that each causes at once in between. */
function arm(): void {
  isArmed = true;
  let left = Math.min(waiting.length, MAX_PIECES);
  let began: number | undefined;
  const piece = (): void => {
    const now = host.performance.now();
    began ??= now;
    const resume = now - began < TURN_MS ? waiting.shift() : undefined;
    if (--left === 0) {
      isArmed = false;
      if (waiting.length > 0) arm();
    }
    resume?.();
  };
  for (let i = left; i > 0; i--) host.setImmediate(piece);
}

/**
 * Gives the event loop back in the middle of long work. What waits here goes on in order of asking, each piece once per turn of the loop,
 * and as many pieces as fit into a few milliseconds: however many calls are sliced at a time, the loop is late by one slice more than that,
 * and small pieces do not wait for a turn each, which a slow disk can make long.
 */
export function turn(): Promise<void> {
  return new Promise((resume) => {
    waiting.push(resume);
    if (!isArmed) arm();
  });
}
