import type { Cancel, Clock } from '../../lib/clock.ts';
import { LIMITS } from '../../protocol/limits.ts';

/** A link whose liveness can be asked for. */
export interface Pingable {
  /** Pings that have not been answered since the last sign of life. */
  missed: number;
  ping(): void;
  dead(): void;
}

/**
 * Pings every open WebSocket and drops those that missed two in a row. Middleboxes forget silent connections within a
 * minute or so, and a laptop that went to sleep sends no FIN: only an unanswered ping tells either side.
 */
export function startHeartbeat(clock: Clock, links: () => Iterable<Pingable>): Cancel {
  return clock.every(LIMITS.pingIntervalMs, () => {
    for (const link of links()) {
      if (link.missed >= LIMITS.missedPings) link.dead();
      else {
        link.missed++;
        link.ping();
      }
    }
  });
}
