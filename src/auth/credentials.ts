import { err, ok, type Result } from '../lib/result.ts';
import { GENERATED_TOKEN, type SecretValue } from '../lib/secret-value.ts';

/**
 * THE resolver: which shared secret a side uses. Every client and the server ask here and nowhere else, so no two commands disagree.
 * Pure; values come in as data, and leave only in `token` and `password`.
 */

/** Who asks. `probe-*` is `gateway probe` alone, which borrows nothing that was not meant for its target. */
export type CredentialRole = 'client-local' | 'client-remote' | 'server' | 'probe-local' | 'probe-remote';

/** Every place a secret can come from. */
export interface CredentialSources {
  readonly env: { readonly token: SecretValue; readonly password: SecretValue };
  readonly config: {
    readonly authToken: SecretValue;
    readonly authPassword: SecretValue;
    readonly remoteToken: SecretValue;
    readonly remotePassword: SecretValue;
  };
  /** Made by this state dir's own gateway for itself; never sent to another one. */
  readonly generatedToken: SecretValue;
}

export interface CredentialQuestion {
  readonly role: CredentialRole;
  readonly sources: CredentialSources;
  /** `--token`, `--password`: what was given by hand is used alone. */
  readonly explicit?: { readonly token?: string | undefined; readonly password?: string | undefined };
  /** The URL came from `--url` (`cli`) or `OPENCLAW_GATEWAY_URL` (`env`) instead of the config. */
  readonly urlOverride?: 'none' | 'cli' | 'env';
  /** `gateway.auth.mode`, when it is this state dir's own gateway that is meant: the other field is then of no account. */
  readonly authMode?: 'none' | 'token' | 'password' | 'trusted-proxy' | undefined;
}

export interface SourcedSecret {
  readonly value: string;
  /** For people: `--token`, `env OPENCLAW_GATEWAY_TOKEN`, `gateway.remote.token`. */
  readonly source: string;
}

export interface ResolvedCredentials {
  readonly token?: SourcedSecret;
  readonly password?: SourcedSecret;
  /** Given by hand: then it also beats a stored device token. */
  readonly isExplicit: boolean;
}

/**
 * Whose the secret is that would be shown. `generated`: this state dir's own gateway alone may see it. `configured`: the owner said it is for
 * the port of this machine. Undefined: there is none, or it was given by hand, for whatever it is pointed at.
 */
export function secretKind({ token, password, isExplicit }: ResolvedCredentials): 'generated' | 'configured' | undefined {
  if (isExplicit || (token === undefined && password === undefined)) return undefined;
  return token?.source === GENERATED_TOKEN ? 'generated' : 'configured';
}

export interface CredentialRefusal {
  readonly code: 'GATEWAY_SECRET_REF_UNAVAILABLE' | 'URL_OVERRIDE_NEEDS_CREDENTIALS';
  readonly message: string;
  readonly path?: string;
  readonly fix: string;
}

type Field = 'token' | 'password';
interface Slot {
  readonly name: string;
  readonly of: (sources: CredentialSources) => SecretValue;
}

const ENV = {
  token: { name: 'env OPENCLAW_GATEWAY_TOKEN', of: (s) => s.env.token },
  password: { name: 'env OPENCLAW_GATEWAY_PASSWORD', of: (s) => s.env.password },
} as const satisfies Record<Field, Slot>;
const AUTH = {
  token: { name: 'gateway.auth.token', of: (s) => s.config.authToken },
  password: { name: 'gateway.auth.password', of: (s) => s.config.authPassword },
} as const satisfies Record<Field, Slot>;
const REMOTE = {
  token: { name: 'gateway.remote.token', of: (s) => s.config.remoteToken },
  password: { name: 'gateway.remote.password', of: (s) => s.config.remotePassword },
} as const satisfies Record<Field, Slot>;
const GENERATED: Slot = { name: GENERATED_TOKEN, of: (s) => s.generatedToken };

/** The orders. That a remote password is looked for in the environment first, and a remote token in the config, is deliberate. */
const ORDER: Readonly<Record<CredentialRole, Readonly<Record<Field, readonly Slot[]>>>> = {
  server: { token: [ENV.token, AUTH.token], password: [ENV.password, AUTH.password] },
  'client-local': { token: [ENV.token, AUTH.token, REMOTE.token], password: [ENV.password, AUTH.password, REMOTE.password] },
  'client-remote': { token: [REMOTE.token, ENV.token, AUTH.token], password: [ENV.password, REMOTE.password, AUTH.password] },
  'probe-local': { token: [AUTH.token, ENV.token], password: [AUTH.password, ENV.password] },
  'probe-remote': { token: [REMOTE.token], password: [REMOTE.password] },
};
/** Whose own gateway may have made itself a token. */
const USES_GENERATED: ReadonlySet<CredentialRole> = new Set(['server', 'client-local', 'probe-local']);

/**
 * Resolves both fields. A client sends what it finds, the server checks the one of its mode.
 *
 * Errors: `URL_OVERRIDE_NEEDS_CREDENTIALS` (another URL never borrows what was configured for this one) and
 * `GATEWAY_SECRET_REF_UNAVAILABLE` with the path of the reference that could not be resolved.
 */
export function resolveCredentials(question: CredentialQuestion): Result<ResolvedCredentials, CredentialRefusal> {
  const { role, sources } = question;
  const given = explicitly(question.explicit);
  if (given !== undefined) return ok(given);
  const override = question.urlOverride ?? 'none';
  if (override === 'cli') return err(NEEDS_CREDENTIALS);

  const foundToken = firstOf(question, 'token', override);
  const foundPassword = firstOf(question, 'password', override);
  const unresolved = blocking(question, foundToken, foundPassword);
  if (unresolved !== undefined) return err(unavailable(unresolved));
  const [token, password] = [foundToken.value, foundPassword.value];
  // A probe of the remote one shows its password only where there is no token.
  const found = {
    ...sourced('token', token),
    ...(role === 'probe-remote' && token.state === 'value' ? {} : sourced('password', password)),
  };
  if (override === 'none' && wantsGenerated(question, foundToken, foundPassword)) {
    if (sources.generatedToken.state === 'unresolved') return err(unavailable(sources.generatedToken));
    return ok({ ...found, ...sourced('token', sources.generatedToken), isExplicit: false });
  }
  if (override === 'env' && found.token === undefined && found.password === undefined) return err(NEEDS_CREDENTIALS);
  return ok({ ...found, isExplicit: false });
}

/** Only where this state dir's own gateway is meant, and only where it has nothing else that its mode could check. */
const wantsGenerated = ({ role, authMode }: CredentialQuestion, token: Found, password: Found): boolean =>
  USES_GENERATED.has(role) &&
  token.value.state === 'unset' &&
  (authMode === 'token' || (authMode === undefined && (password.value.state === 'unset' || password.isFallback)));

/** Where one field of one side comes from; for `openclaw auth explain`. Holds no value. */
export interface ExplainedField {
  readonly field: Field;
  /** In the order in which they are asked. */
  readonly tried: readonly {
    readonly source: string;
    readonly state: 'used' | 'shadowed' | 'unset' | 'unresolved';
    readonly reason?: string;
  }[];
}

export interface CredentialExplanation {
  readonly client: readonly ExplainedField[];
  readonly server: readonly ExplainedField[];
  /**
   * What this client would send against what this state dir's gateway expects. `unknown`: it goes to another gateway, or one side
   * cannot be resolved. `no-secret`: the gateway has none yet, or its mode asks for none.
   */
  readonly agreement: 'same' | 'differs' | 'nothing-to-send' | 'no-secret' | 'unknown';
}

/** Which source wins on each side and whether they agree. Never a value, nor anything made of one. */
export function explainCredentials(question: CredentialQuestion): CredentialExplanation {
  return {
    client: explainSide(question),
    server: explainSide({ ...question, role: 'server', explicit: {}, urlOverride: 'none' }),
    agreement: agreementOf(question),
  };
}

function agreementOf(question: CredentialQuestion): CredentialExplanation['agreement'] {
  if (question.role === 'client-remote' || question.role === 'probe-remote' || (question.urlOverride ?? 'none') !== 'none')
    return 'unknown';
  const client = resolveCredentials(question);
  const server = resolveCredentials({ role: 'server', sources: question.sources, authMode: question.authMode });
  if (!client.ok || !server.ok) return 'unknown';
  const expected =
    question.authMode === 'password' ? server.value.password : isTokenMode(question.authMode) ? server.value.token : undefined;
  const alternative = question.authMode === undefined && expected === undefined ? server.value.password : expected;
  if (alternative === undefined) return 'no-secret';
  // The server takes its secret in either field.
  const sent = [client.value.token, client.value.password].filter((one) => one !== undefined);
  if (sent.length === 0) return 'nothing-to-send';
  return sent.some(({ value }) => value === alternative.value) ? 'same' : 'differs';
}

function explainSide(question: CredentialQuestion): readonly ExplainedField[] {
  const resolved = resolveCredentials(question);
  const winners = resolved.ok ? resolved.value : undefined;
  return (['token', 'password'] as const).map((field) => {
    const tried: ExplainedField['tried'][number][] = [];
    if (question.explicit?.[field]?.trim()) tried.push({ source: `--${field}`, state: 'used' });
    const asked = slots(question.role, field, question.urlOverride ?? 'none');
    const all =
      field === 'token' && USES_GENERATED.has(question.role) && (question.urlOverride ?? 'none') === 'none' ? [...asked, GENERATED] : asked;
    let isWon = tried.length > 0;
    for (const slot of all) {
      const value = slot.of(question.sources);
      if (value.state === 'unset') tried.push({ source: slot.name, state: 'unset' });
      else if (value.state === 'unresolved') tried.push({ source: slot.name, state: 'unresolved', reason: value.reason });
      else {
        const isUsed = !isWon && winners?.[field]?.source === value.source;
        tried.push({ source: slot.name, state: isUsed ? 'used' : 'shadowed' });
        isWon ||= isUsed;
      }
    }
    return { field, tried };
  });
}

const slots = (role: CredentialRole, field: Field, override: 'none' | 'cli' | 'env'): readonly Slot[] =>
  override === 'none' ? ORDER[role][field] : override === 'env' ? [ENV[field]] : [];

interface Found {
  readonly value: SecretValue;
  /** Meant for a remote gateway, and a local client's last resort: it neither stands in for a broken local field nor stands in its way. */
  readonly isFallback: boolean;
}

/** The first that is set; an unresolvable one ends the search as well. */
function firstOf({ role, sources }: CredentialQuestion, field: Field, override: 'none' | 'cli' | 'env'): Found {
  for (const slot of slots(role, field, override)) {
    const value = slot.of(sources);
    if (value.state !== 'unset') return { value, isFallback: role === 'client-local' && slot === REMOTE[field] };
  }
  return { value: { state: 'unset' }, isFallback: false };
}

/** The reference that stands in the way: of the field that would be used, not of one that is of no account. */
function blocking(
  { role, authMode }: CredentialQuestion,
  token: Found,
  password: Found,
): (SecretValue & { state: 'unresolved' }) | undefined {
  const mode = role === 'client-remote' || role === 'probe-remote' ? undefined : authMode;
  if (token.value.state === 'unresolved') {
    const isExcused = token.isFallback && password.value.state === 'value';
    if (mode === 'token' || (mode === undefined && !isExcused)) return token.value;
  }
  if (password.value.state === 'unresolved') {
    const isExcused = token.value.state === 'value' && (password.isFallback || !token.isFallback);
    if (mode === 'password' || (mode === undefined && !isExcused)) return password.value;
  }
  return undefined;
}

const isTokenMode = (mode: CredentialQuestion['authMode']): boolean => mode === undefined || mode === 'token';

const sourced = <F extends Field>(field: F, value: SecretValue): Partial<Record<F, SourcedSecret>> =>
  value.state === 'value' ? ({ [field]: { value: value.value.trim(), source: value.source } } as Record<F, SourcedSecret>) : {};

function explicitly(explicit: CredentialQuestion['explicit']): ResolvedCredentials | undefined {
  const [token, password] = [explicit?.token?.trim() ?? '', explicit?.password?.trim() ?? ''];
  if (token === '' && password === '') return undefined;
  return {
    ...(token === '' ? {} : { token: { value: token, source: '--token' } }),
    ...(password === '' ? {} : { password: { value: password, source: '--password' } }),
    isExplicit: true,
  };
}

const NEEDS_CREDENTIALS: CredentialRefusal = {
  code: 'URL_OVERRIDE_NEEDS_CREDENTIALS',
  message: 'gateway url override requires explicit credentials: what is configured is not sent to another gateway',
  fix: 'add --token <token> or --password <password>',
};

const unavailable = ({ path, reason }: SecretValue & { state: 'unresolved' }): CredentialRefusal => ({
  code: 'GATEWAY_SECRET_REF_UNAVAILABLE',
  message: `${path} cannot be resolved: ${reason}`,
  path,
  fix: `make ${path} resolvable, or pass --token or --password`,
});
