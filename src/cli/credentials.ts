import { type CredentialQuestion, resolveCredentials, secretKind } from '../auth/credentials.ts';
import type { Credentials } from '../client/credentials.ts';
import { credentialInputs } from '../config/credential-inputs.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import { UserError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';

/** How the URL was chosen: by flag, by environment, by `gateway.remote.url`, or made of this machine's bind and port. */
export type UrlKind = 'cli' | 'env' | 'remote' | 'local';

/** What was given by hand. */
export interface Explicit {
  readonly url?: string;
  readonly token?: string;
  readonly password?: string;
}

export interface Asked {
  readonly config: ConfigSnapshot;
  readonly explicit: Explicit;
  readonly kind: UrlKind;
}

/** The one question that every command asks the resolver. */
export async function credentialQuestion({ config, explicit, kind }: Asked): Promise<CredentialQuestion> {
  const sources = await credentialInputs(config);
  return {
    role: kind === 'local' ? 'client-local' : 'client-remote',
    sources,
    explicit: { token: explicit.token, password: explicit.password },
    urlOverride: kind === 'cli' || kind === 'env' ? kind : 'none',
    authMode: kind === 'local' ? sources.authMode : undefined,
  };
}

export interface Shown {
  readonly credentials: Credentials;
  /** Set where it is for this state dir's own gateway: see `own-gateway.ts`. */
  readonly secret?: 'generated' | 'configured';
}

/** What to show to that gateway. Throws the resolver's refusal, before any connection. */
export async function clientCredentials(asked: Asked): Promise<Shown> {
  const resolved = resolveCredentials(await credentialQuestion(asked));
  if (!resolved.ok) {
    const { code, message, fix, path } = resolved.error;
    throw new UserError(code, `${message}. (Config: ${asked.config.paths.configPath})`, {
      fix,
      ...(path === undefined ? {} : { path }),
      ...(code === 'URL_OVERRIDE_NEEDS_CREDENTIALS' ? { exitCode: EXIT.usage } : {}),
    });
  }
  const { token, password, isExplicit } = resolved.value;
  const secret = asked.kind === 'local' ? secretKind(resolved.value) : undefined;
  return {
    credentials: {
      ...(token === undefined ? {} : { token: token.value }),
      ...(password === undefined ? {} : { password: password.value }),
      ...(isExplicit ? { explicit: true } : {}),
    },
    ...(secret === undefined ? {} : { secret }),
  };
}
