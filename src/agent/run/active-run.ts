import type { RunEventBody, TurnOrigin } from '../api.ts';

/** Why a run was stopped from outside. */
export type StopCause =
  | { readonly kind: 'abort'; readonly reason: 'rpc' | 'stop' | 'disconnect' | 'timeout' }
  | { readonly kind: 'interrupt' };

/** A run in memory, from acceptance to its durable end: ids and sizes. What was asked is loaded when its turn comes. */
export interface ActiveRun {
  readonly runId: string;
  readonly sessionKey: string;
  readonly sessionId: string;
  readonly agentId: string;
  readonly acceptedAt: number;
  readonly origin: TurnOrigin;
  /** The model that the request names. */
  readonly wanted: string | undefined;
  /** Of the request and its attachments. */
  readonly bytes: number;
  /** Where its attachments lie. */
  readonly file: string | undefined;
  /** It ran when the last process ended: what is left to do is to close it. */
  readonly wasCut: boolean;
  readonly controller: AbortController;
  status: 'queued' | 'running';
  /** Starts in which the process died over it. */
  deaths: number;
  /** Set aside at this time, ms since 1970: not taken up until somebody says so. */
  heldAt: number | undefined;
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
