import { secretContext } from '../config/credential-inputs.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import { resolveSecret } from '../config/secrets.ts';
import { UserError } from '../lib/errors.ts';
import type { BindWish } from '../net/bind.ts';
import { planBind } from '../net/bind.ts';
import { guardExposure } from '../net/exposure-guard.ts';
import { listInterfaces } from '../net/interfaces.ts';
import type { ServerAuth } from './server-auth.ts';

/** What the listeners are asked for; `port` 0 takes a free one. */
export function bindWish(snapshot: ConfigSnapshot, port: number | undefined): Omit<BindWish, 'interfaces'> {
  const { bind, customBindHost } = snapshot.config.gateway;
  return { mode: bind, customHost: customBindHost, port: port ?? snapshot.config.gateway.port };
}

/** Throws when this configuration may not start: every reason at once, the fix of the first. */
export async function guardStart(
  snapshot: ConfigSnapshot,
  auth: ServerAuth,
  port: number | undefined,
  generate: () => string,
): Promise<void> {
  const { gateway, hooks } = snapshot.config;
  if (gateway.mode === 'remote') {
    throw new UserError('GATEWAY_MODE_REMOTE', 'gateway.mode is "remote": this machine is a client of another gateway and starts none.', {
      path: 'gateway.mode',
      fix: 'openclaw config set gateway.mode local',
    });
  }
  if (gateway.tls.enabled) {
    // Serving plain text where the file asks for TLS would be the one wrong answer.
    throw new UserError('TLS_NOT_AVAILABLE', 'gateway.tls.enabled is set, and this version cannot serve TLS itself.', {
      path: 'gateway.tls.enabled',
      fix: 'openclaw config set gateway.tls.enabled false   (then: ssh -N -L 18789:127.0.0.1:18789 user@host)',
    });
  }
  const hooksToken = await resolveSecret(hooks.token, 'hooks.token', secretContext(snapshot));
  const refusals = guardExposure({
    plan: planBind({ ...bindWish(snapshot, port), interfaces: listInterfaces() }),
    authMode: gateway.auth.mode,
    token: auth.configured.token,
    password: auth.configured.password,
    hasGeneratedToken: auth.wantsGenerated,
    tailscaleMode: gateway.tailscale.mode,
    trustedProxies: gateway.trustedProxies,
    hasPublicUrl: gateway.publicUrl !== undefined,
    ...(hooks.enabled && hooksToken.state === 'value' && { hooksToken: hooksToken.value }),
    generate,
  });
  const [first] = refusals;
  if (first === undefined) return;
  const all = refusals.map(({ message }) => `${message}.`).join('\n  ');
  throw new UserError(first.code, `The gateway does not start like this:\n  ${all}`, { path: first.path, fix: first.fix });
}
