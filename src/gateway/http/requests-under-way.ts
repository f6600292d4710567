import type { Principal } from '../../auth/admit.ts';

/**
 * Requests that were let in and are not over: an answer may stream for minutes, a body may come slowly. What is revoked meanwhile ends
 * them, as it ends WebSockets.
 */
export class RequestsUnderWay {
  readonly #requests = new Set<{ readonly principal: Principal; readonly cut: () => void }>();

  get size(): number {
    return this.#requests.size;
  }

  /** `cut` ends the request at once. Returns how to take it off the list. */
  add(principal: Principal, cut: () => void): () => void {
    const request = { principal, cut };
    this.#requests.add(request);
    return () => void this.#requests.delete(request);
  }

  /** Cuts every request that `match` names. */
  cutWhere(match: (principal: Principal) => boolean): void {
    for (const request of [...this.#requests]) if (match(request.principal)) request.cut();
  }
}
