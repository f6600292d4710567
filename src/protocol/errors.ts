/**
 * Errors as they travel: one table, in which HTTP status, exit code and retryability are columns. Codes are those
 * that existing clients know; anything finer goes into `details.code`.
 */
export const WIRE_ERRORS = {
  INVALID_REQUEST: { http: 400, exit: 1, retryable: false },
  NOT_PAIRED: { http: 403, exit: 1, retryable: false },
  NOT_LINKED: { http: 409, exit: 1, retryable: false },
  FORBIDDEN: { http: 403, exit: 1, retryable: false },
  AGENT_TIMEOUT: { http: 504, exit: 1, retryable: true },
  APPROVAL_NOT_FOUND: { http: 404, exit: 1, retryable: false },
  UNAVAILABLE: { http: 503, exit: 1, retryable: true },
} as const;
export type WireErrorCode = keyof typeof WIRE_ERRORS;

export interface WireError {
  readonly code: WireErrorCode;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
}

/** What a handler returns instead of a result when the answer is no: an expected outcome, hence a value and not a throw. */
export class Refusal {
  readonly error: WireError;
  /** Some answers carry a payload beside the error (`agent` that failed). */
  readonly payload: unknown;
  constructor(error: WireError, payload?: unknown) {
    this.error = error;
    this.payload = payload;
  }
}

export function refuse(code: WireErrorCode, message: string, extra: Omit<WireError, 'code' | 'message'> = {}, payload?: unknown): Refusal {
  return new Refusal({ code, message, ...extra }, payload);
}
export const isRefusal = (value: unknown): value is Refusal => value instanceof Refusal;
