import type { Cancel, Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { AgentStore, SessionRecord } from '../ports.ts';

/** How often it looks for sessions whose time is over, ms. */
const LOOK_MS = 60_000;
/** Between two steps of one sweep, ms: each is a commit, and whoever talks meanwhile shall not notice. */
const STEP_MS = 250;

export interface ExpiryPorts {
  readonly sweep: AgentStore['sweepUnnamed'];
  readonly clock: Clock;
  readonly log: Log;
  /** How long a session is kept after its answer, ms; asked anew at every look. */
  readonly keepMs: () => number;
  readonly onGone: (session: SessionRecord) => void;
}

/** Deletes sessions that nobody was given the name of, a few at a time, when their time is over. */
export function createExpiry({ sweep, clock, log, keepMs, onGone }: ExpiryPorts) {
  let stopped = false;
  let next: Cancel = () => {};
  let isSweeping = false;
  /** An answer ended while a step was on. */
  let again = false;

  function plan(ms: number): void {
    next();
    if (!stopped) next = clock.after(ms, () => void step());
  }
  async function step(): Promise<void> {
    isSweeping = true;
    again = false;
    let more = false;
    try {
      const swept = await sweep(clock.now() - keepMs());
      for (const session of swept.gone) onGone(session);
      more = swept.more;
    } catch (thrown) {
      log.warn('sessions whose time is over could not be deleted', { error: messageOf(thrown) });
    }
    isSweeping = false;
    plan(more || again ? STEP_MS : LOOK_MS);
  }
  plan(LOOK_MS);

  return {
    /** The answer of such a session has ended. */
    ended(): void {
      if (keepMs() > 0) return;
      if (isSweeping) again = true;
      else plan(STEP_MS);
    },
    stop(): void {
      stopped = true;
      next();
    },
  };
}
