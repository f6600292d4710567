/**
 * A credential field as the config or the environment holds it. Blank text and an unresolved `${VAR}` are `unset`; a SecretRef that
 * cannot be resolved is `unresolved` and never falls through to the next source in silence.
 */
export type SecretValue =
  | { readonly state: 'unset' }
  /** `source` is where it stands, for people: `env OPENCLAW_GATEWAY_TOKEN`, `gateway.auth.token`. Never the value. */
  | { readonly state: 'value'; readonly value: string; readonly source: string }
  | { readonly state: 'unresolved'; readonly path: string; readonly reason: string };

/** The `source` of the token that a state dir's gateway made for itself: the one that is never shown to another gateway. */
export const GENERATED_TOKEN = 'the generated token';
