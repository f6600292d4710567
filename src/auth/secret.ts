import { type SecretStrength, secretStrength } from '../lib/secret-strength.ts';

// Without `import`: the module object exists already, a facade for it costs start-up time.
const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');

/** The shared secret as the door holds it: never its text. */
export interface SharedSecret {
  readonly kind: 'token' | 'password';
  readonly digest: string;
  /** Only `ok` guards what another machine can reach. */
  readonly strength: SecretStrength;
}

/** Surrounding white space is not part of a secret (files end in a newline, people paste a blank). Undefined for blanks. */
export function sharedSecret(kind: 'token' | 'password', text: string | undefined): SharedSecret | undefined {
  const value = text?.trim() ?? '';
  return value === '' ? undefined : { kind, digest: digestOf(value), strength: secretStrength(kind, value) };
}

/** base64url SHA-256: how tokens and codes are stored and looked up. They are random, so a plain hash hides them. */
export const digestOf = (text: string): string => crypto().createHash('sha256').update(text, 'utf8').digest('base64url');

/** In constant time; both sides are digests, so neither length nor prefix of a secret shows in the time it takes. */
export function sameDigest(a: string, b: string): boolean {
  const left = Buffer.from(a, 'utf8');
  const right = Buffer.from(b, 'utf8');
  return left.length === right.length && crypto().timingSafeEqual(left, right);
}

export const secretMatches = (secret: SharedSecret, presented: string): boolean => sameDigest(secret.digest, digestOf(presented.trim()));

const random = (prefix: string): string => prefix + crypto().randomBytes(32).toString('base64url');
/** 256 bits. The prefix lets secret scanners find a leaked one; clients take it as opaque text. */
export const newDeviceToken = (): string => random('ocd_');
/** What a pairing link carries. */
export const newLinkCode = (): string => random('ocp_');

/** Crockford's base 32 without the letters people misread; 10 characters are 50 bits. */
const SHORT_ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const SHORT_CHARS = 10;

/** A code to read out and type, e.g. `7Q2ZK-9VX4M`. */
export function newShortCode(): string {
  const bytes = crypto().randomBytes(SHORT_CHARS);
  const text = Array.from(bytes, (byte) => SHORT_ALPHABET.charAt(byte & 31)).join('');
  return `${text.slice(0, 5)}-${text.slice(5)}`;
}

/**
 * The form a code is hashed in: short ones without case, separators and misreadings (O is 0, I and L are 1), links as they are.
 */
export function canonicalCode(text: string): string {
  const trimmed = text.trim();
  const plain = trimmed.replace(/[\s-]/g, '').toUpperCase().replaceAll('O', '0').replace(/[IL]/g, '1');
  return plain.length === SHORT_CHARS && /^[0-9A-HJKMNP-TV-Z]+$/.test(plain) ? plain : trimmed;
}

export const newId = (): string => crypto().randomUUID();
