import type { WireError } from '../protocol/errors.ts';

/** How far an attempt came before its deadline passed. */
export type Stage = 'open' | 'challenge' | 'hello' | 'answer';

/**
 * Why there is no answer. An expected outcome of every call, hence a value: nobody who asks over a network may forget that it can fail.
 *
 * - `refused`: the gateway answered, and the answer is no
 * - `unreachable`: no connection came about; `errno` as the system named it, `httpStatus` when an HTTP server answered instead of upgrading
 * - `closed`: the connection ended before the answer
 * - `timeout`: nothing came within `ms`
 * - `aborted`: the caller's own signal
 * - `garbled`: the other side does not speak this protocol
 * - `offline`: there was no connection to ask over
 */
export type Fault =
  | { readonly kind: 'refused'; readonly error: WireError; readonly payload?: unknown }
  | { readonly kind: 'unreachable'; readonly message: string; readonly errno?: string; readonly httpStatus?: number }
  | { readonly kind: 'closed'; readonly code: number; readonly reason: string }
  | { readonly kind: 'timeout'; readonly ms: number; readonly stage: Stage }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'garbled'; readonly message: string }
  | { readonly kind: 'offline' };

/** `details.code` of a refusal, e.g. `AUTH_TOKEN_MISMATCH`; else its wire code. Undefined for all that was no refusal. */
export function refusalCode(fault: Fault): string | undefined {
  if (fault.kind !== 'refused') return undefined;
  const code = fault.error.details?.['code'];
  return typeof code === 'string' ? code : fault.error.code;
}

/** One line for a log or a status row; no secret ever stands in a fault. */
export function faultText(fault: Fault): string {
  switch (fault.kind) {
    case 'refused':
      return fault.error.message;
    case 'unreachable':
      return fault.message;
    case 'closed':
      return `gateway closed (${fault.code}${closeHint(fault.code)}): ${fault.reason || 'no close reason'}`;
    case 'timeout':
      return `gateway timeout after ${fault.ms}ms${STAGE_TEXT[fault.stage]}`;
    case 'aborted':
      return 'aborted';
    case 'garbled':
      return `not an OpenClaw gateway: ${fault.message}`;
    case 'offline':
      return 'not connected';
  }
}

const STAGE_TEXT: Readonly<Record<Stage, string>> = {
  open: ' (no connection)',
  challenge: ' (connected, but no connect.challenge came)',
  hello: ' (no answer to connect)',
  answer: '',
};

function closeHint(code: number): string {
  if (code === 1006) return ' abnormal closure (no close frame)';
  if (code === 1000) return ' normal closure';
  return '';
}
