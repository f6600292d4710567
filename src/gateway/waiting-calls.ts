import { type Refusal, refuse } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';

/**
 * Calls that wait for a run, by principal. Such a call costs memory for as long as it waits, which may be a day and outlives the connection
 * that asked; so their number is bounded, and not per connection.
 */
export class WaitingCalls {
  readonly #counts = new Map<string, number>();

  /** Counts `work` while it goes on; the refusal, and no work begun, when too many wait already. */
  async during<T>(principalId: string, work: () => Promise<T>): Promise<T | Refusal> {
    const waiting = this.#counts.get(principalId) ?? 0;
    if (waiting >= LIMITS.waitingCalls) {
      return refuse('UNAVAILABLE', `${waiting} calls of this client wait for a run to end; let some of them end first`, {
        retryable: true,
        retryAfterMs: 1_000,
        details: { code: 'TOO_MANY_WAITING' },
      });
    }
    this.#counts.set(principalId, waiting + 1);
    try {
      return await work();
    } finally {
      const left = (this.#counts.get(principalId) ?? 1) - 1;
      if (left > 0) this.#counts.set(principalId, left);
      else this.#counts.delete(principalId);
    }
  }
}
