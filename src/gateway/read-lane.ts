import { turn } from '../lib/turn.ts';

/** Reads of one principal that are in work at a time: each may hold an answer of several MiB. */
const AT_A_TIME = 2;

/**
 * Where reads that may be long go through. Of one principal, over all its connections, a few are in work; the others wait in
 * order, having read nothing yet. What runs here gives the loop back between its slices (`turn`).
 */
export class ReadLane {
  readonly #busy = new Map<string, { running: number; readonly waiting: (() => void)[] }>();

  async run<T>(principalId: string, task: () => T | Promise<T>): Promise<T> {
    let lane = this.#busy.get(principalId);
    if (lane === undefined) {
      lane = { running: 0, waiting: [] };
      this.#busy.set(principalId, lane);
    }
    const { waiting } = lane;
    if (lane.running < AT_A_TIME) lane.running++;
    // Whoever ends hands its place on.
    else await new Promise<void>((resume) => waiting.push(resume));
    try {
      await turn();
      return await task();
    } finally {
      const next = waiting.shift();
      if (next !== undefined) next();
      else if (--lane.running === 0) this.#busy.delete(principalId);
    }
  }
}
