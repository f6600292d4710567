import type { Refused } from '../../auth/admit.ts';
import { WIRE_ERRORS, type WireError } from '../../protocol/errors.ts';

/** A request that gets no result, in the words of OpenAI's API, which clients of `/v1` read. Elsewhere it goes out as plain text. */
export interface Fault {
  readonly status: number;
  readonly message: string;
  readonly type: string;
  /** Which part of the request is meant, e.g. `messages.0.content`. */
  readonly param?: string;
  readonly code?: string;
  /** What to do about it. */
  readonly fix?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export const invalid = (message: string, more: Pick<Fault, 'param' | 'code' | 'fix'> & { readonly status?: number } = {}): Fault => ({
  status: 400,
  type: 'invalid_request_error',
  message,
  ...more,
});

export const INTERNAL: Fault = { status: 500, message: 'internal error', type: 'api_error' };

/** Why the door stayed shut. */
export function refusedFault(refused: Refused): Fault {
  const { status, retryAfterS } = refused.http;
  const { message } = refused.error;
  switch (status) {
    case 401:
      return {
        status,
        type: 'unauthorized',
        message: `Unauthorized: ${message}`,
        code: codeOf(refused.error),
        fix: 'send "Authorization: Bearer <token>"; on the gateway\'s machine, openclaw auth token --show prints it',
        headers: { 'WWW-Authenticate': 'Bearer realm="openclaw"' },
      };
    case 429:
      return { status, type: 'rate_limited', message, code: codeOf(refused.error), headers: { 'Retry-After': String(retryAfterS ?? 60) } };
    case 403:
    case 421:
      return { status, type: 'forbidden', message, code: codeOf(refused.error) };
  }
}

/** More was asked than the caller's lane of writes gives. */
export function tooManyFault(waitMs: number): Fault {
  const seconds = Math.ceil(waitMs / 1000);
  const headers = { 'Retry-After': String(seconds) };
  return { status: 429, type: 'rate_limited', code: 'RATE_LIMITED', message: `too many requests; try again in ${seconds} s`, headers };
}

const codeOf = ({ details, code }: WireError): string => (typeof details?.['code'] === 'string' ? details['code'] : code);

/** A typed refusal of the agent or of authorisation. */
export function wireFault(error: WireError): Fault {
  const { http: status } = WIRE_ERRORS[error.code];
  const type = status === 400 ? 'invalid_request_error' : status === 403 ? 'forbidden' : 'api_error';
  const retry = error.retryAfterMs === undefined ? {} : { headers: { 'Retry-After': String(Math.ceil(error.retryAfterMs / 1000)) } };
  return { status, type, message: error.message, code: codeOf(error), ...retry };
}

/** `{"error":{…}}`, also the last line of a stream that breaks. */
export function faultBody({ message, type, param, code, fix }: Fault): string {
  const readable = fix === undefined || message.includes(fix) ? message : `${message} (${fix})`;
  return JSON.stringify({
    error: { message: readable, type, ...(param === undefined ? {} : { param }), ...(code === undefined ? {} : { code }) },
  });
}

export const faultText = ({ message, fix }: Fault): string => (fix === undefined ? message : `${message}\n${fix}`);
