import { resolveCredentials } from '../auth/credentials.ts';
import type { AuthMode, AuthSettings } from '../auth/policy.ts';
import { credentialInputs } from '../config/credential-inputs.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import { modeInForce } from '../lib/auth-mode.ts';
import { UserError } from '../lib/errors.ts';
import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { knownScopes } from '../protocol/scopes.ts';

export interface ExplicitSecrets {
  readonly token?: string | undefined;
  readonly password?: string | undefined;
}

export interface ServerAuth {
  readonly settings: AuthSettings;
  /** What was configured, for the start guards; never the generated token. */
  readonly configured: { readonly token: string | undefined; readonly password: string | undefined };
  /** No secret is configured and the mode asks for a token: the generated one guards, and has to be made when there is none. */
  readonly wantsGenerated: boolean;
  /** The secret that guards lies in a file (a SecretRef, the generated token), which may change by itself. */
  readonly isFromFile: boolean;
  readonly warnings: readonly string[];
}

/**
 * What guards the server, from a snapshot and the flags. Which secret counts is the resolver's answer; here it only
 * becomes the door's settings. Call it again after the generated token was made.
 */
export async function serverAuth(snapshot: ConfigSnapshot, explicit: ExplicitSecrets): Promise<Result<ServerAuth, UserError>> {
  const inputs = await credentialInputs(snapshot);
  const { auth, tailscale, controlUi } = snapshot.config.gateway;
  const question = { role: 'server', explicit, authMode: auth.mode } as const;
  const resolved = resolveCredentials({ ...question, sources: inputs });
  const configured = resolveCredentials({ ...question, sources: { ...inputs, generatedToken: { state: 'unset' } } });
  for (const answer of [resolved, configured]) {
    if (!answer.ok) {
      const { code, message, path, fix } = answer.error;
      return err(new UserError(code, message, { fix, ...(path !== undefined && { path }) }));
    }
  }
  if (!resolved.ok || !configured.ok) throw new Error('unreachable');
  const token = configured.value.token?.value;
  const password = configured.value.password?.value;
  const mode: AuthMode = modeInForce(auth.mode, password);
  const value = mode === 'token' ? resolved.value.token?.value : mode === 'password' ? resolved.value.password?.value : undefined;
  const optOut = controlUi.allowInsecureAuth === true || controlUi.dangerouslyDisableDeviceAuth === true;
  const warnings: string[] = [];
  if (optOut) {
    warnings.push(
      'gateway.controlUi.allowInsecureAuth and dangerouslyDisableDeviceAuth let a browser on this machine in without a device; remove them once the panel has paired',
    );
  }
  if (mode === 'none') warnings.push('gateway.auth.mode is "none": every program of this user reaches the agent over WebSocket');
  if (mode === 'trusted-proxy' && (auth.trustedProxy?.allowUsers ?? []).length === 0) {
    warnings.push('gateway.auth.trustedProxy.allowUsers is empty, so nobody gets in through the proxy; list the users it may vouch for');
  }
  return ok({
    settings: {
      mode,
      secret: value === undefined || (mode !== 'token' && mode !== 'password') ? undefined : { kind: mode, value },
      allowTailscale: auth.allowTailscale ?? (tailscale.mode === 'serve' && (mode === 'token' || mode === 'none')),
      tailscaleOwners: auth.tailscaleOwners,
      trustedProxy:
        auth.trustedProxy === undefined
          ? undefined
          : { allowUsers: auth.trustedProxy.allowUsers, scopes: knownScopes(auth.trustedProxy.scopes) },
      deviceAuthOptOut: optOut,
      rateLimit: auth.rateLimit,
    },
    configured: { token, password },
    wantsGenerated: mode === 'token' && token === undefined,
    isFromFile: (mode === 'token' && token === undefined) || isFileRef(mode === 'password' ? auth.password : auth.token),
    warnings,
  });
}

const isFileRef = (input: unknown): boolean => isRecord(input) && input['source'] === 'file';
