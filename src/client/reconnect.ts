import { type Fault, refusalCode } from './fault.ts';

export const RECONNECT_FIRST_MS = 1_000;
export const RECONNECT_MAX_MS = 30_000;

/**
 * How long to wait before attempt `attempt` (from 1): 1 s, doubled to 30 s, of which the second half is drawn, so that a thousand
 * clients of one gateway do not come back in the same instant. What the gateway asked for (`retryAfterMs`) is the least.
 */
export function reconnectDelay(attempt: number, random: () => number, fault?: Fault): number {
  const whole = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** Math.min(attempt - 1, 10));
  const drawn = Math.round(whole / 2 + (whole / 2) * random());
  const asked = fault?.kind === 'refused' ? (fault.error.retryAfterMs ?? 0) : 0;
  return Math.max(drawn, asked);
}

/** Trying again changes nothing until a person did something: a credential, an approval, an address. */
const PAUSING: ReadonlySet<string> = new Set([
  'AUTH_TOKEN_MISSING',
  'AUTH_TOKEN_MISMATCH',
  'AUTH_TOKEN_NOT_CONFIGURED',
  'AUTH_BOOTSTRAP_TOKEN_INVALID',
  'AUTH_PASSWORD_MISSING',
  'AUTH_PASSWORD_MISMATCH',
  'AUTH_PASSWORD_NOT_CONFIGURED',
  'AUTH_DEVICE_TOKEN_MISMATCH',
  'AUTH_RATE_LIMITED',
  'AUTH_REQUIRED',
  'AUTH_UNAUTHORIZED',
  'PAIRING_REQUIRED',
  'CONTROL_UI_DEVICE_IDENTITY_REQUIRED',
  'CONTROL_UI_ORIGIN_NOT_ALLOWED',
  'DEVICE_IDENTITY_REQUIRED',
  'PROTOCOL_MISMATCH',
]);

/** Whether a client that lost its connection to `fault` goes on trying by itself. */
export function pausesReconnect(fault: Fault): boolean {
  const code = refusalCode(fault);
  if (code === undefined) return false;
  return PAUSING.has(code) || code.startsWith('DEVICE_AUTH_') || code.startsWith('AUTH_TAILSCALE_');
}
