import { CLOSE, closeReason } from '../protocol/close.ts';
import type { ConnectParams } from '../protocol/connect.ts';
import type { WireError } from '../protocol/errors.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Role, Scope } from '../protocol/scopes.ts';
import type { Protocol } from '../protocol/version.ts';
import { DEVICE_LIMITS } from './device-limits.ts';
import { PROOF_FAULTS, type ProofFault } from './device-proof.ts';
import type { ApprovedRole, PairingReason } from './ports.ts';

type Step =
  | 'update_auth_configuration'
  | 'update_auth_credentials'
  | 'retry_with_device_token'
  | 'wait_then_retry'
  | 'review_auth_configuration';

interface Row {
  /** `details.code`: what clients branch on. */
  readonly code: string;
  /** What failed, and what to do; `<where>` becomes the place where this kind of client keeps the credential. */
  readonly message: string;
  readonly step?: Step;
  readonly kind: 'auth' | 'device' | 'origin';
}

const auth = (code: string, step: Step, message: string): Row => ({ code, step, message: `unauthorized: ${message}`, kind: 'auth' });

/**
 * Why somebody was refused: one row each, with the codes, the words and the next step that existing clients know.
 * `unauthorized` in a message makes clients stop asking with the same credential, so it stands in every row of kind `auth`.
 */
export const REASONS = {
  token_missing: auth('AUTH_TOKEN_MISSING', 'update_auth_configuration', 'gateway token missing (<give>)'),
  token_mismatch: auth('AUTH_TOKEN_MISMATCH', 'update_auth_credentials', 'gateway token mismatch (<give>)'),
  token_missing_config: auth(
    'AUTH_TOKEN_NOT_CONFIGURED',
    'update_auth_configuration',
    'gateway token not configured on the gateway (set gateway.auth.token to 24 characters or more)',
  ),
  password_missing: auth('AUTH_PASSWORD_MISSING', 'update_auth_configuration', 'gateway password missing (<give>)'),
  password_mismatch: auth('AUTH_PASSWORD_MISMATCH', 'update_auth_credentials', 'gateway password mismatch (<give>)'),
  password_missing_config: auth(
    'AUTH_PASSWORD_NOT_CONFIGURED',
    'update_auth_configuration',
    'gateway password not configured on the gateway (set OPENCLAW_GATEWAY_PASSWORD or gateway.auth.password, 15 characters or more)',
  ),
  bootstrap_token_invalid: auth(
    'AUTH_BOOTSTRAP_TOKEN_INVALID',
    'review_auth_configuration',
    'setup code invalid, expired, revoked, or already used (get a new one on the gateway host)',
  ),
  device_token_mismatch: auth(
    'AUTH_DEVICE_TOKEN_MISMATCH',
    'update_auth_credentials',
    'device token mismatch (rotate/reissue device token)',
  ),
  rate_limited: auth('AUTH_RATE_LIMITED', 'wait_then_retry', 'too many failed authentication attempts (retry later)'),
  tailscale_whois_failed: auth(
    'AUTH_TAILSCALE_WHOIS_FAILED',
    'review_auth_configuration',
    'tailscale could not confirm who you are (use the gateway token, or pair with a code)',
  ),
  tailscale_user_mismatch: auth(
    'AUTH_TAILSCALE_IDENTITY_MISMATCH',
    'review_auth_configuration',
    'tailscale identity check failed (use the gateway token, or pair with a code)',
  ),
  trusted_proxy_user_missing: auth(
    'AUTH_UNAUTHORIZED',
    'review_auth_configuration',
    'the proxy named no user (check gateway.auth.trustedProxy.userHeader)',
  ),
  trusted_proxy_user_not_allowed: auth(
    'AUTH_UNAUTHORIZED',
    'review_auth_configuration',
    'this user is not in gateway.auth.trustedProxy.allowUsers',
  ),
  trusted_proxy_untrusted_source: auth(
    'AUTH_UNAUTHORIZED',
    'review_auth_configuration',
    'this gateway is reached through its proxy (gateway.trustedProxies)',
  ),
  none: auth('AUTH_REQUIRED', 'review_auth_configuration', 'authentication required'),
  mode_none: auth(
    'AUTH_REQUIRED',
    'review_auth_configuration',
    'gateway.auth.mode is none, which lets in WebSocket clients of this machine only (set gateway.auth.mode to token)',
  ),
  unauthorized: auth('AUTH_UNAUTHORIZED', 'review_auth_configuration', 'access denied'),
  busy: auth('AUTH_UNAUTHORIZED', 'wait_then_retry', 'this device is being changed right now (try again)'),
  too_many_devices: auth(
    'DEVICE_LIMIT',
    'review_auth_configuration',
    `too many paired devices: at most ${DEVICE_LIMITS.perLetIn} by one kind of credential from one address, ${DEVICE_LIMITS.total} in all (on the gateway host: openclaw devices list, openclaw devices remove <id>)`,
  ),
  panel_device_required: {
    code: 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED',
    message: 'control ui requires device identity (use HTTPS, http://127.0.0.1, or the panel this gateway serves)',
    kind: 'device',
  },
  device_required: { code: 'DEVICE_IDENTITY_REQUIRED', message: 'device identity required', kind: 'device' },
  origin_foreign: {
    code: 'CONTROL_UI_ORIGIN_NOT_ALLOWED',
    message: 'origin not allowed (open the Control UI from the gateway itself or add the origin to gateway.controlUi.allowedOrigins)',
    kind: 'origin',
  },
  origin_invalid: {
    code: 'CONTROL_UI_ORIGIN_NOT_ALLOWED',
    message: 'origin not allowed (open the Control UI from the gateway itself or add the origin to gateway.controlUi.allowedOrigins)',
    kind: 'origin',
  },
} as const satisfies Record<string, Row>;
export type Reason = keyof typeof REASONS;

/** What the words of a refusal depend on. */
export interface Asker {
  readonly protocol: Protocol;
  readonly connect: ConnectParams;
}

export interface WireRefusal {
  readonly error: WireError;
  readonly close: { readonly code: typeof CLOSE.policy; readonly reason: string };
}

const wire = (error: WireError, reason = error.message): WireRefusal => ({
  error,
  close: { code: CLOSE.policy, reason: closeReason(reason, LIMITS.closeReasonBytes) },
});

/** A refusal as its client expects it. */
export function refusalOf(why: Reason, asker: Asker | undefined, retryAfterMs?: number): WireRefusal {
  const row: Row = REASONS[why];
  const wait = retryAfterMs === undefined ? {} : { retryable: true, retryAfterMs: Math.ceil(retryAfterMs) };
  if (row.kind === 'origin') {
    const reason = why === 'origin_foreign' ? 'origin not allowed' : 'origin missing or invalid';
    return wire({ code: 'INVALID_REQUEST', message: row.message, details: { code: row.code, reason } });
  }
  if (row.kind === 'device') {
    const code = why === 'device_required' ? 'NOT_PAIRED' : 'INVALID_REQUEST';
    return wire({ code, message: row.message, details: { code: row.code } });
  }
  const canRetry = why === 'token_mismatch' && canRetryWithDeviceToken(asker?.connect);
  const details = {
    code: row.code,
    authReason: why,
    canRetryWithDeviceToken: canRetry,
    recommendedNextStep: canRetry ? 'retry_with_device_token' : row.step,
  };
  return wire({ code: 'INVALID_REQUEST', message: row.message.replace('<give>', howToGive(why, asker?.connect)), details, ...wait });
}

const canRetryWithDeviceToken = (connect: ConnectParams | undefined): boolean =>
  Boolean(connect?.auth?.token && connect.device !== undefined && !connect.auth.deviceToken);

/** Where this kind of client keeps the credential. The claimed id chooses words, never rights. */
function howToGive(why: Reason, connect: ConnectParams | undefined): string {
  const what = why.startsWith('password') ? 'password' : 'token';
  const { id, mode } = connect?.client ?? { id: '', mode: '' };
  if (id === 'openclaw-control-ui' || mode === 'webchat') return `paste in Control UI settings: gateway ${what}`;
  if (id === 'cli') return `set gateway.remote.${what} to match gateway.auth.${what}, or pass --${what}`;
  return what === 'password' ? 'provide gateway password' : 'provide gateway auth token';
}

export function proofRefusal(fault: ProofFault): WireRefusal {
  const { code, message } = PROOF_FAULTS[fault];
  return wire({ code: 'INVALID_REQUEST', message, details: { code, reason: fault } });
}

/** What a pending approval looks like from outside. */
export interface PendingView {
  readonly requestId: string;
  readonly reason: PairingReason;
  readonly deviceId: string;
  readonly role: Role;
  readonly scopes: readonly Scope[];
  /** What the device holds already. */
  readonly approved?: readonly ApprovedRole[] | undefined;
  /** How its request before this one ended. */
  readonly previous?: 'rejected' | 'expired' | undefined;
}

const WAITING: Readonly<Record<PairingReason, string>> = {
  'not-paired': 'device is not approved yet',
  'role-upgrade': 'device is asking for another role',
  'scope-upgrade': 'device is asking for more scopes than it has',
  'metadata-upgrade': 'device details changed since it was approved',
};

/** `PAIRING_REQUIRED`. Protocol 3 knows three fields, protocol 4 says more and lets panel and nodes wait in line. */
export function pendingRefusal(pending: PendingView, asker: Asker): WireRefusal {
  const { requestId, reason } = pending;
  if (asker.protocol === 3) {
    return wire({ code: 'NOT_PAIRED', message: 'pairing required', details: { code: 'PAIRING_REQUIRED', requestId, reason } });
  }
  const waits = asker.connect.client.id === 'openclaw-control-ui' || pending.role === 'node';
  const message = `pairing required: ${WAITING[reason]}`;
  const details = {
    code: 'PAIRING_REQUIRED',
    reason,
    requestId,
    remediationHint: `Approve this device on the gateway host: openclaw devices approve ${requestId}`,
    ...(waits ? { recommendedNextStep: 'wait_then_retry', retryable: true, pauseReconnect: false } : {}),
    deviceId: pending.deviceId,
    requestedRole: pending.role,
    requestedScopes: pending.scopes,
    ...(pending.previous === undefined ? {} : { previousRequest: pending.previous }),
    ...(pending.approved === undefined || pending.approved.length === 0
      ? {}
      : {
          approvedRoles: pending.approved.map(({ role }) => role),
          approvedScopes: pending.approved.find(({ role }) => role === pending.role)?.scopes ?? [],
        }),
  };
  return wire({ code: 'NOT_PAIRED', message, details }, `${message} (requestId: ${requestId})`);
}
