import { UserError } from '../lib/errors.ts';
import { crypto } from './builtins.ts';
import { createFileAtomic, readPrivateFile } from './files.ts';

/** Makes the token known to secret scanners, and to a person who meets it in a file. */
export const TOKEN_PREFIX = 'ocg_';
const TOKEN = /^ocg_[A-Za-z0-9_-]{43}$/;

/** A new 256-bit secret: `ocg_` and 43 base64url characters. */
export const newToken = (): string => TOKEN_PREFIX + crypto().randomBytes(32).toString('base64url');

/**
 * This state dir's own token, or undefined when none was generated.
 * Throws `TOKEN_FILE_INVALID` for a file that holds something else, and what `readPrivateFile` throws for one that others can read.
 */
export function readGeneratedToken(tokenPath: string): string | undefined {
  const text = readPrivateFile(tokenPath, { maxBytes: 1024 })?.trim();
  if (text === undefined || TOKEN.test(text)) return text;
  throw new UserError('TOKEN_FILE_INVALID', `${tokenPath} does not hold a generated token.`, {
    fix: `Remove it, the next start makes a new one: rm ${tokenPath}`,
    path: tokenPath,
  });
}

/** The token, made when there is none. Of two processes that come at once both get the same. */
export function ensureGeneratedToken(tokenPath: string): { readonly token: string; readonly created: boolean } {
  const known = readGeneratedToken(tokenPath);
  if (known !== undefined) return { token: known, created: false };
  const token = newToken();
  if (createFileAtomic(tokenPath, `${token}\n`)) return { token, created: true };
  return { token: readGeneratedToken(tokenPath) ?? token, created: false };
}
