/** What a shared secret is good for. Only `ok` may guard something that another machine can reach. */
export type SecretStrength = 'ok' | 'placeholder' | 'short' | 'blank';

/** Fewer characters than this guard nothing that another machine can reach. */
export const MIN_SECRET_CHARS = { token: 24, password: 15 } as const;

// Compared without case, quotes, brackets and separators: `<Your-Token>` is `yourtoken`. As prefixes, because sample
// files say "change-me-to-a-long-random-string": longer than 24 characters and still known to everybody.
const PLACEHOLDER_PREFIX =
  /^(changeme|changethis|replaceme|replacethis|replacewith|yourtoken|yourpassword|yoursecret|yourgateway|insertyour|pasteyour)/;
const PLACEHOLDERS: ReadonlySet<string> = new Set(['password', 'token', 'secret', 'undefined', 'null', 'example', 'openclaw']);
const VARIABLE = /\$\{[^{}]*\}/;

/**
 * Judges a shared secret by its text alone.
 *
 * - `blank`: nothing but white space
 * - `placeholder`: sample text (`changeme`, `your-token`, …), an unresolved `${VAR}`, one character repeated
 * - `short`: a token under 24 or a password under 15 characters
 *
 * A client may *send* whatever its config says; this is for what *guards*.
 */
export function secretStrength(kind: 'token' | 'password', value: string): SecretStrength {
  const text = value.trim();
  if (text === '') return 'blank';
  if (VARIABLE.test(text)) return 'placeholder';
  const plain = text.toLowerCase().replace(/[\s_.'"<>[\](){}-]/g, '');
  if (plain === '' || PLACEHOLDERS.has(plain) || PLACEHOLDER_PREFIX.test(plain)) return 'placeholder';
  const chars = [...text];
  if (new Set(chars).size === 1) return 'placeholder';
  return chars.length < MIN_SECRET_CHARS[kind] ? 'short' : 'ok';
}
