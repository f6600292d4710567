import type { SecretValue } from '../lib/secret-value.ts';
import { fs, path } from './builtins.ts';
import type { Paths } from './paths.ts';
import { ensurePrivateDir } from './private-dir.ts';
import { readSecretFile, UNSET } from './secrets.ts';

const MAX_TOKEN_BYTES = 4096;

/**
 * The token that the gateway of this state dir made for itself. A file that others could have read or written is
 * `unresolved`, with the command that mends it.
 */
export async function readGeneratedToken(paths: Pick<Paths, 'tokenPath'>): Promise<SecretValue> {
  // Asked first: on most machines of clients there is none.
  if (!fs.existsSync(paths.tokenPath)) return UNSET;
  const text = await readSecretFile(paths.tokenPath, MAX_TOKEN_BYTES);
  if (!text.ok) return { state: 'unresolved', path: 'the generated token', reason: text.error };
  const value = text.value.trim();
  if (value === '')
    return {
      state: 'unresolved',
      path: 'the generated token',
      reason: `${paths.tokenPath} is empty: remove it, and the next start makes a new one`,
    };
  return { state: 'value', value, source: 'the generated token' };
}

/**
 * Keeps `token` (made by the caller) as this state dir's own, unless there is one: of two first starts the first wins.
 * 0600 in a 0700 directory, complete or not there at all. Throws what the file system throws.
 *
 * @returns whether it was kept
 */
export function keepGeneratedToken(paths: Pick<Paths, 'tokenPath' | 'gatewayDir'>, token: string): boolean {
  ensurePrivateDir(paths.gatewayDir);
  const temporary = path.join(paths.gatewayDir, `.token.${process.pid}.${process.hrtime.bigint()}`);
  const fd = fs.openSync(temporary, 'wx', 0o600);
  try {
    fs.writeSync(fd, `${token}\n`);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  try {
    // A link, unlike a rename, refuses to replace.
    fs.linkSync(temporary, paths.tokenPath);
    return true;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  } finally {
    fs.unlinkSync(temporary);
  }
}
