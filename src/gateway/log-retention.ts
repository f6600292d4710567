import type { Cancel, Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { turn } from '../lib/turn.ts';
import type { EventLog } from '../store/event-log.ts';

/** How often what has become too old is looked for, ms. */
const LOOK_MS = 10 * 60_000;
/** Events that go in one write: about a millisecond. */
const STEP = 500;

export interface Retention {
  readonly keepDays: number;
  readonly keepEvents: number;
}

/** Forgets events that are too old or too many, in small steps beside everything else. */
export function keepLogBounded<Unit>(ports: {
  readonly events: Pick<EventLog<Unit>, 'trim'>;
  readonly write: <T>(work: (unit: Unit) => T) => Promise<T>;
  readonly retention: () => Retention;
  readonly clock: Clock;
  readonly log: Log;
}): Cancel {
  const { events, clock } = ports;
  let isStopped = false;
  let isBusy = false;
  async function forget(): Promise<void> {
    const { keepDays, keepEvents } = ports.retention();
    const what = { before: clock.now() - keepDays * 86_400_000, keep: keepEvents, limit: STEP };
    for (let gone = STEP; gone === STEP && !isStopped; ) {
      gone = await ports.write((unit) => events.trim(unit, what));
      await turn();
    }
  }
  const cancel = clock.every(LOOK_MS, () => {
    if (isBusy) return;
    isBusy = true;
    forget()
      // The disk takes nothing now: the next look may find it better.
      .catch((thrown: unknown) => ports.log.debug('old events could not be forgotten', { cause: messageOf(thrown) }))
      .finally(() => {
        isBusy = false;
      });
  });
  return () => {
    isStopped = true;
    cancel();
  };
}
