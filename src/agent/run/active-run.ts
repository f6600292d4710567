import type { RunEventBody, TurnRequest } from '../api.ts';

/** Why a run was stopped from outside. */
export type StopCause =
  | { readonly kind: 'abort'; readonly reason: 'rpc' | 'stop' | 'disconnect' | 'timeout' }
  | { readonly kind: 'interrupt' };

/** A run in memory, from acceptance to its durable end. */
export interface ActiveRun {
  readonly runId: string;
  readonly sessionKey: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly acceptedAt: number;
  readonly request: TurnRequest;
  readonly controller: AbortController;
  status: 'queued' | 'running';
  stop: StopCause | undefined;
  startedAt: number | undefined;
  provider: string | undefined;
  model: string | undefined;
  /** The visible answer so far, over all steps. */
  text: string;
  /** Event number. */
  seq: number;
}

export type Emit = (run: ActiveRun, body: RunEventBody) => void;

/** Stops a run; the first cause stays. */
export function stopRun(run: ActiveRun, cause: StopCause): void {
  run.stop ??= cause;
  run.controller.abort();
}
