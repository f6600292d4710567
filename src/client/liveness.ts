import type { Cancel, Clock } from '../lib/clock.ts';
import { LIMITS } from '../protocol/limits.ts';

/** After a sleep the first question gets less patience: the link is most likely gone. */
export const WAKE_PING_MS = 5_000;

/**
 * Watches a link by asking, never by silence: a quiet gateway is not a dead one. Asks every 20 s; after two questions in a row without an
 * answer, or one after the clock jumped (the machine slept), `onDead` is called once and the watch ends.
 */
export function watchLink(clock: Clock, ping: (timeoutMs: number) => Promise<boolean>, onDead: () => void): Cancel {
  let missed = 0;
  let asking = false;
  let over = false;
  let last = clock.now();
  const stop = clock.every(LIMITS.pingIntervalMs, () => void ask());

  async function ask(): Promise<void> {
    const now = clock.now();
    const slept = now - last > LIMITS.pingIntervalMs * 2;
    last = now;
    if (asking || over) return;
    asking = true;
    const alive = await ping(slept ? WAKE_PING_MS : LIMITS.pingIntervalMs - 1_000);
    asking = false;
    if (over) return;
    missed = alive ? 0 : missed + 1;
    if (missed < (slept ? 1 : LIMITS.missedPings)) return;
    end();
    onDead();
  }
  function end(): void {
    over = true;
    stop();
  }
  return end;
}
