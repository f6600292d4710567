/**
 * Runs jobs: one at a time per lane, in order, and at most so many over all. Between lanes: first come, first served.
 * They are held when made: jobs wait until `release`.
 */
export interface Lanes {
  /** Jobs of a lane that have not begun. */
  waiting(lane: string): number;
  waitingInAll(): number;
  /** `work` must not reject. */
  add(lane: string, id: string, work: () => Promise<void>): void;
  /** Takes a waiting job out; false when it has begun or is unknown. */
  remove(lane: string, id: string): boolean;
  running(): number;
  /** No further job begins until `release`. */
  hold(): void;
  release(): void;
}

interface Job {
  readonly id: string;
  readonly lane: string;
  readonly work: () => Promise<void>;
}

export function createLanes(maxConcurrent: () => number): Lanes {
  const queue: Job[] = [];
  const busy = new Set<string>();
  const perLane = new Map<string, number>();
  let held = true;

  const count = (lane: string, by: number): void => {
    const next = (perLane.get(lane) ?? 0) + by;
    if (next === 0) perLane.delete(lane);
    else perLane.set(lane, next);
  };

  const pump = (): void => {
    if (held) return;
    for (let i = 0; i < queue.length && busy.size < Math.max(1, maxConcurrent()); ) {
      const job = queue[i];
      if (job === undefined || busy.has(job.lane)) {
        i++;
        continue;
      }
      queue.splice(i, 1);
      count(job.lane, -1);
      busy.add(job.lane);
      void job.work().finally(() => {
        busy.delete(job.lane);
        pump();
      });
    }
  };

  return {
    waiting: (lane) => perLane.get(lane) ?? 0,
    waitingInAll: () => queue.length,
    add(lane, id, work) {
      queue.push({ id, lane, work });
      count(lane, 1);
      pump();
    },
    remove(lane, id) {
      const index = queue.findIndex((job) => job.id === id && job.lane === lane);
      if (index === -1) return false;
      queue.splice(index, 1);
      count(lane, -1);
      return true;
    },
    running: () => busy.size,
    hold() {
      held = true;
    },
    release() {
      held = false;
      pump();
    },
  };
}
