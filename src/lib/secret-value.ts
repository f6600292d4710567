/**
 * A credential field as the config or the environment holds it. Blank text and an unresolved `${VAR}` are `unset`; a SecretRef that
 * cannot be resolved is `unresolved` and never falls through to the next source in silence.
 */
export type SecretValue =
  | { readonly state: 'unset' }
  | { readonly state: 'value'; readonly value: string; readonly source: string }
  | { readonly state: 'unresolved'; readonly path: string; readonly reason: string };

export const UNSET: SecretValue = { state: 'unset' };

const PLACEHOLDER = /\$\{[^}]*\}/;

/** `source` is where it stands, for people: `OPENCLAW_GATEWAY_TOKEN`, `gateway.auth.token`. Surrounding white space is not part of it. */
export function secretValue(text: string | undefined, source: string): SecretValue {
  const value = text?.trim() ?? '';
  return value === '' || PLACEHOLDER.test(value) ? UNSET : { state: 'value', value, source };
}
