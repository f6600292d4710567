import type { SecretValue } from '../lib/secret-value.ts';
import { readGeneratedToken } from './generated-token.ts';
import type { ConfigSnapshot } from './load.ts';
import { plainSecret, resolveSecret, type SecretContext } from './secrets.ts';

/** Every place a shared secret can come from, read and judged, in no order: the order is the resolver's business. */
export interface CredentialInputs {
  /** `OPENCLAW_GATEWAY_TOKEN`, `OPENCLAW_GATEWAY_PASSWORD`. */
  readonly env: { readonly token: SecretValue; readonly password: SecretValue };
  readonly config: {
    readonly authToken: SecretValue;
    readonly authPassword: SecretValue;
    readonly remoteToken: SecretValue;
    readonly remotePassword: SecretValue;
  };
  /** Only for this state dir's own gateway; never to be sent to a remote one. */
  readonly generatedToken: SecretValue;
  readonly mode: 'local' | 'remote' | undefined;
  /** As the config says; undefined: inferred from what is there. */
  readonly authMode: 'none' | 'token' | 'password' | 'trusted-proxy' | undefined;
}

/** What secret references of a snapshot are followed with. */
export const secretContext = (snapshot: ConfigSnapshot): SecretContext => ({
  env: snapshot.env,
  secrets: snapshot.config.secrets,
  home: snapshot.paths.home,
  configPath: snapshot.paths.configPath,
});

/** Gathers them. Files are read anew at each call, so that a client that reconnects sees a changed secret. */
export async function credentialInputs(snapshot: ConfigSnapshot): Promise<CredentialInputs> {
  const { auth, remote, mode } = snapshot.config.gateway;
  const context = secretContext(snapshot);
  const [authToken, authPassword, remoteToken, remotePassword, generatedToken] = await Promise.all([
    resolveSecret(auth.token, 'gateway.auth.token', context),
    resolveSecret(auth.password, 'gateway.auth.password', context),
    resolveSecret(remote.token, 'gateway.remote.token', context),
    resolveSecret(remote.password, 'gateway.remote.password', context),
    readGeneratedToken(snapshot.paths),
  ]);
  const fromEnv = (name: string): SecretValue => plainSecret(snapshot.env[name], `env ${name}`);
  return {
    env: { token: fromEnv('OPENCLAW_GATEWAY_TOKEN'), password: fromEnv('OPENCLAW_GATEWAY_PASSWORD') },
    config: { authToken, authPassword, remoteToken, remotePassword },
    generatedToken,
    mode,
    authMode: auth.mode,
  };
}
