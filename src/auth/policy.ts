import type { Scope } from '../protocol/scopes.ts';
import type { CredentialClass, Principal } from './principal.ts';
import type { RateLimitSettings } from './rate-limit.ts';
import { type SharedSecret, sharedSecret } from './secret.ts';

export type AuthMode = 'none' | 'token' | 'password' | 'trusted-proxy';

/** The slice of the config that the door needs, credentials resolved. */
export interface AuthSettings {
  readonly mode: AuthMode;
  /** The secret that `mode` checks; undefined for none, and when it is not configured. */
  readonly secret: { readonly kind: 'token' | 'password'; readonly value: string } | undefined;
  readonly allowTailscale: boolean;
  readonly tailscaleOwners: readonly string[];
  readonly trustedProxy: { readonly allowUsers: readonly string[]; readonly scopes: readonly Scope[] } | undefined;
  /** `controlUi.allowInsecureAuth` or `controlUi.dangerouslyDisableDeviceAuth`. */
  readonly deviceAuthOptOut: boolean;
  readonly rateLimit: RateLimitSettings;
}

/** One immutable snapshot. */
export interface AuthPolicy extends Omit<AuthSettings, 'secret'> {
  readonly secret: SharedSecret | undefined;
}

/**
 * The policy in force. Each class of credential has a generation that grows when what it rests on changes; every principal admitted
 * under an older one has to leave. Device tokens and the admin socket rest on nothing here.
 */
export class PolicyHolder {
  #policy: AuthPolicy;
  readonly #prints: Map<CredentialClass, string>;
  readonly #generations = new Map<CredentialClass, number>();
  readonly #listeners = new Set<(changed: readonly CredentialClass[]) => void>();

  constructor(settings: AuthSettings) {
    this.#policy = policyOf(settings);
    this.#prints = prints(this.#policy);
  }

  current(): AuthPolicy {
    return this.#policy;
  }

  generation(credential: CredentialClass): number {
    return this.#generations.get(credential) ?? 0;
  }

  /** Whether what admitted this principal still stands, as far as the config goes. */
  stands(credential: Principal['credential']): boolean {
    return credential.generation === this.generation(credential.class);
  }

  /** Takes new settings; the classes whose principals have to leave (told to listeners too). */
  replace(settings: AuthSettings): readonly CredentialClass[] {
    this.#policy = policyOf(settings);
    const changed: CredentialClass[] = [];
    for (const [credential, print] of prints(this.#policy)) {
      if (this.#prints.get(credential) === print) continue;
      this.#prints.set(credential, print);
      this.#generations.set(credential, this.generation(credential) + 1);
      changed.push(credential);
    }
    if (changed.length > 0) for (const listener of this.#listeners) listener(changed);
    return changed;
  }

  onChange(listener: (changed: readonly CredentialClass[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const policyOf = (settings: AuthSettings): AuthPolicy => ({
  ...settings,
  secret: settings.secret === undefined ? undefined : sharedSecret(settings.secret.kind, settings.secret.value),
});

/** What each class of credential rests on, as text that differs when it does. */
const prints = (policy: AuthPolicy): Map<CredentialClass, string> =>
  new Map([
    ['none', policy.mode],
    ['shared-secret', JSON.stringify([policy.mode, policy.secret?.digest])],
    ['tailnet-identity', JSON.stringify([policy.mode, policy.allowTailscale, [...policy.tailscaleOwners].sort()])],
    ['proxy-identity', JSON.stringify([policy.mode, policy.trustedProxy])],
  ]);
