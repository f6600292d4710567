import type { RunError, RunEvent } from '../../../agent/api.ts';
import { runErrorText } from '../../events/run-error-text.ts';
import type { Fault } from '../fault.ts';

type Column = readonly [status: number, type: string, code: string];

/**
 * A failed run as an HTTP answer. A provider's 401 is not the caller's: its own credential was right. `x-should-retry: false` (which OpenAI's clients
 * heed) where asking again would only fail again.
 */
const COLUMNS: Readonly<Record<RunError['kind'], Column>> = {
  auth: [502, 'api_error', 'provider_auth'],
  'rate-limit': [429, 'rate_limit_error', 'rate_limit_exceeded'],
  billing: [402, 'insufficient_quota', 'insufficient_quota'],
  'context-too-small': [400, 'invalid_request_error', 'context_length_exceeded'],
  'bad-request': [400, 'invalid_request_error', 'provider_rejected'],
  unreachable: [502, 'api_error', 'provider_unreachable'],
  cut: [502, 'api_error', 'provider_cut'],
  malformed: [502, 'api_error', 'provider_malformed'],
  timeout: [504, 'api_error', 'timeout'],
  provider: [502, 'api_error', 'provider_error'],
  interrupted: [503, 'api_error', 'run_interrupted'],
  internal: [500, 'api_error', 'internal_error'],
};
const HOPELESS: ReadonlySet<RunError['kind']> = new Set(['auth', 'billing', 'internal']);

type EndEvent = Extract<RunEvent, { type: 'end' }>;

/** Undefined for a run that ended well. */
export function runFault(end: EndEvent): Fault | undefined {
  switch (end.outcome) {
    case 'ok':
      return undefined;
    case 'aborted':
      return end.stopReason === 'timeout'
        ? { status: 504, type: 'api_error', code: 'timeout', message: 'The run took longer than it may and was stopped.' }
        : { status: 400, type: 'aborted', code: 'run_aborted', message: 'The run was stopped.', headers: { 'x-should-retry': 'false' } };
    case 'error':
    case 'interrupted': {
      const [status, type, code] = COLUMNS[end.error.kind];
      const headers = HOPELESS.has(end.error.kind) ? { headers: { 'x-should-retry': 'false' } } : {};
      return { status, type, code, message: runErrorText(end.error), ...headers };
    }
  }
}
