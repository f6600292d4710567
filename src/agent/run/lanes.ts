/**
 * Runs jobs: one at a time per lane (a session), in order; so many per provider, and so many over all. Who comes next goes
 * by turns between principals, so that hundreds of jobs of one do not stand before the one of another. They are held when
 * made: jobs wait until `release`.
 */
export interface Lanes {
  waitingInAll(): number;
  /** `work` must not reject. */
  add(job: Job): void;
  /** Takes a waiting job out; false when it has begun or is unknown. */
  remove(lane: string, id: string): boolean;
  /** Says anew which provider the waiting jobs of a lane are for. */
  refresh(lane: string, providerOf: (id: string) => string): void;
  /** No further job begins until `release`. */
  hold(): void;
  release(): void;
}

export interface Job {
  readonly id: string;
  readonly lane: string;
  readonly principal: string;
  readonly provider: string;
  /** What it holds in memory while it runs. */
  readonly bytes: number;
  readonly work: () => Promise<void>;
}

export interface LaneLimits {
  readonly perProvider: number;
  readonly inAll: number;
  /** Of the jobs that run, bytes: of one principal, and of all. A single job may be larger. */
  readonly bytesPerPrincipal: number;
  readonly bytesInAll: number;
}

interface Waiting {
  readonly job: Job;
  provider: string;
}

/** What runs, counted by somebody. */
class Tally {
  jobs = 0;
  bytes = 0;
  readonly principals = new Map<string, { jobs: number; bytes: number }>();

  of(principal: string): { readonly jobs: number; readonly bytes: number } {
    return this.principals.get(principal) ?? NOTHING;
  }
  add(principal: string, jobs: number, bytes: number): void {
    this.jobs += jobs;
    this.bytes += bytes;
    const own = this.of(principal);
    const next = { jobs: own.jobs + jobs, bytes: own.bytes + bytes };
    if (next.jobs === 0) this.principals.delete(principal);
    else this.principals.set(principal, next);
  }
  /** Below `limit`; one place more is kept for a principal that has nothing here yet: others may hang in all of these. */
  hasPlace(principal: string, limit: number): boolean {
    return this.jobs < limit || (this.jobs === limit && this.of(principal).jobs === 0);
  }
}
const NOTHING = { jobs: 0, bytes: 0 };
const fits = (used: number, more: number, limit: number): boolean => used === 0 || used + more <= limit;

export function createLanes(limits: () => LaneLimits): Lanes {
  /** Waiting jobs by principal, each in order; the principal whose turn is next stands first. */
  const queues = new Map<string, Waiting[]>();
  /** Waiting jobs by lane, in order. */
  const lanes = new Map<string, Waiting[]>();
  const busy = new Set<string>();
  const all = new Tally();
  const providers = new Map<string, Tally>();
  let waiting = 0;
  let held = true;

  const tallyOf = (provider: string): Tally => {
    const tally = providers.get(provider) ?? new Tally();
    providers.set(provider, tally);
    return tally;
  };

  function hasRoom({ lane, principal, bytes }: Job, provider: string): boolean {
    if (busy.has(lane)) return false;
    const { perProvider, inAll, bytesPerPrincipal, bytesInAll } = limits();
    return (
      all.hasPlace(principal, Math.max(1, inAll)) &&
      (providers.get(provider)?.hasPlace(principal, Math.max(1, perProvider)) ?? true) &&
      fits(all.bytes, bytes, bytesInAll) &&
      fits(all.of(principal).bytes, bytes, bytesPerPrincipal)
    );
  }
  const mayBegin = (each: Waiting): boolean => lanes.get(each.job.lane)?.[0] === each && hasRoom(each.job, each.provider);

  function drop<K>(map: Map<K, Waiting[]>, key: K, each: Waiting): void {
    const list = map.get(key) ?? [];
    const index = list.indexOf(each);
    if (index !== -1) list.splice(index, 1);
    if (list.length === 0) map.delete(key);
  }
  function take(each: Waiting): void {
    drop(queues, each.job.principal, each);
    drop(lanes, each.job.lane, each);
    waiting--;
  }

  function begin(each: Waiting): void {
    const { job, provider } = each;
    take(each);
    // To the end of the round.
    const rest = queues.get(job.principal);
    if (rest !== undefined) {
      queues.delete(job.principal);
      queues.set(job.principal, rest);
    }
    busy.add(job.lane);
    const tally = tallyOf(provider);
    all.add(job.principal, 1, job.bytes);
    tally.add(job.principal, 1, job.bytes);
    void job.work().finally(() => {
      busy.delete(job.lane);
      all.add(job.principal, -1, -job.bytes);
      tally.add(job.principal, -1, -job.bytes);
      if (tally.jobs === 0) providers.delete(provider);
      pump();
    });
  }

  function pump(): void {
    for (let begun = true; begun && !held; ) {
      begun = false;
      for (const principal of [...queues.keys()]) {
        const next = queues.get(principal)?.find(mayBegin);
        if (next === undefined) continue;
        begin(next);
        begun = true;
      }
    }
  }

  return {
    waitingInAll: () => waiting,
    add(job) {
      const each: Waiting = { job, provider: job.provider };
      for (const [map, key] of [
        [queues, job.principal],
        [lanes, job.lane],
      ] as const) {
        const list = map.get(key);
        if (list === undefined) map.set(key, [each]);
        else list.push(each);
      }
      waiting++;
      pump();
    },
    remove(lane, id) {
      const each = lanes.get(lane)?.find(({ job }) => job.id === id);
      if (each === undefined) return false;
      take(each);
      // What stood behind it may be for another provider.
      pump();
      return true;
    },
    refresh(lane, providerOf) {
      for (const each of lanes.get(lane) ?? []) each.provider = providerOf(each.job.id);
      pump();
    },
    hold() {
      held = true;
    },
    release() {
      held = false;
      pump();
    },
  };
}
