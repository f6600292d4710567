import { createFileAtomic, ensurePrivateDir } from '../files/private-files.ts';
import { GENERATED_TOKEN, type SecretValue } from '../lib/secret-value.ts';
import { crypto, fs } from './builtins.ts';
import type { Paths } from './paths.ts';
import { readSecretFile, UNSET } from './secrets.ts';

const MAX_TOKEN_BYTES = 1024;
/** The prefix makes it known to secret scanners, and to a person who meets it in a file. */
const TOKEN = /^ocg_[A-Za-z0-9_-]{43}$/;

/** A new 256-bit secret: `ocg_` and 43 base64url characters. */
export const newToken = (): string => `ocg_${crypto().randomBytes(32).toString('base64url')}`;

/**
 * The token that the gateway of this state dir made for itself. A file that others could have read or written, or that
 * holds anything else, is `unresolved`, with what mends it.
 */
export async function readGeneratedToken(paths: Pick<Paths, 'tokenPath'>): Promise<SecretValue> {
  // Asked first: on most machines of clients there is none.
  if (!fs.existsSync(paths.tokenPath)) return UNSET;
  const unresolved = (reason: string): SecretValue => ({ state: 'unresolved', path: GENERATED_TOKEN, reason });
  const text = await readSecretFile(paths.tokenPath, MAX_TOKEN_BYTES);
  if (!text.ok) return unresolved(text.error);
  const value = text.value.trim();
  if (!TOKEN.test(value)) return unresolved(`${paths.tokenPath} does not hold one: remove it, and the next start makes a new one`);
  return { state: 'value', value, source: GENERATED_TOKEN };
}

/**
 * Makes this state dir's token, unless there is a file in its place: of two first starts the first wins. 0600 in a 0700
 * directory, complete or not there at all. Throws what the file system throws.
 *
 * @returns whether it was made
 */
export function makeGeneratedToken(paths: Pick<Paths, 'tokenPath' | 'gatewayDir'>): boolean {
  ensurePrivateDir(paths.gatewayDir);
  return createFileAtomic(paths.tokenPath, `${newToken()}\n`);
}
