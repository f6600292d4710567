import type { RunError } from '../../agent/api.ts';
import type { JsonObject } from '../../lib/json.ts';

/** A failed run in one readable line: what happened, then what to do. */
export function runErrorText({ message, fix }: Pick<RunError, 'message' | 'fix'>): string {
  return fix === undefined || message.includes(fix) ? message : `${message} (${fix})`;
}

/** Reasons as existing clients know them (recorded: `format`/`schema` of a refused request, `server_error`/`timeout` of a broken provider). */
const OBSERVED: Readonly<Record<RunError['kind'], readonly [failoverReason: string, failureKind: string]>> = {
  auth: ['auth', 'auth'],
  'rate-limit': ['rate_limit', 'rate_limit'],
  billing: ['billing', 'billing'],
  'context-too-small': ['context_overflow', 'schema'],
  'bad-request': ['format', 'schema'],
  unreachable: ['timeout', 'timeout'],
  cut: ['timeout', 'timeout'],
  malformed: ['format', 'schema'],
  timeout: ['timeout', 'timeout'],
  provider: ['server_error', 'timeout'],
  interrupted: ['interrupted', 'interrupted'],
  internal: ['unknown', 'unknown'],
};

/** `errorObservation` of agent frames and `errorDetail` of chat frames, protocol 4. */
export function errorObservation(error: RunError, model: { provider: string; model: string } | undefined): JsonObject {
  const [failoverReason, providerRuntimeFailureKind] = OBSERVED[error.kind];
  const provider = error.provider ?? model?.provider;
  const name = error.model ?? model?.model;
  return {
    ...(provider === undefined ? {} : { provider }),
    ...(name === undefined ? {} : { model: name }),
    failoverReason,
    providerRuntimeFailureKind,
  };
}
