import { type Clock, systemClock } from '../lib/clock.ts';
import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { SecretValue } from '../lib/secret-value.ts';
import { fs } from './builtins.ts';
import type { Env } from './env.ts';
import { configuredPath } from './local-path.ts';
import type { SecretsConfig } from './options.ts';

import type { SecretInput, SecretRef } from './spec.ts';
import { hasPlaceholder } from './substitute.ts';

export const UNSET: SecretValue = Object.freeze({ state: 'unset' });

/** What references are followed with: a snapshot's `env`, `config.secrets` and `paths.home`. */
export interface SecretContext {
  readonly env: Env;
  readonly secrets: SecretsConfig;
  readonly home: string;
  /** The config file: relative paths count from its directory. */
  readonly configPath: string;
  readonly clock?: Clock;
}

/**
 * A text as it comes from a file or a variable. Blank ones, and those with a `${NAME}` that nothing filled, count as unset.
 *
 * @param source for people, e.g. `env OPENCLAW_GATEWAY_TOKEN`
 */
export function plainSecret(text: string | undefined, source: string): SecretValue {
  if (text === undefined || text.trim() === '' || hasPlaceholder(text)) return UNSET;
  return { state: 'value', value: text, source };
}

/**
 * Follows what a field holds. Never throws, and never logs or returns a value in a reason.
 *
 * @param field where it stands, e.g. `gateway.auth.token`
 */
export async function resolveSecret(input: SecretInput | undefined, field: string, context: SecretContext): Promise<SecretValue> {
  if (input === undefined || typeof input === 'string') return plainSecret(input, field);
  const found = await follow(input, context);
  if (!found.ok) return { state: 'unresolved', path: field, reason: found.error };
  if (found.value.trim() === '') return { state: 'unresolved', path: field, reason: `${describeRef(input)} is blank` };
  if (hasPlaceholder(found.value))
    return { state: 'unresolved', path: field, reason: `${describeRef(input)} holds an unfilled placeholder` };
  return { state: 'value', value: found.value, source: `${field} (${describeRef(input)})` };
}

/** `env NAME`, `file provider:/pointer`: a reference in words. */
export const describeRef = (ref: SecretRef): string =>
  ref.source === 'env' ? `env ${ref.id}` : `${ref.source} ${ref.provider === undefined ? '' : `${ref.provider}:`}${ref.id}`;

async function follow(ref: SecretRef, context: SecretContext): Promise<Result<string, string>> {
  const { secrets } = context;
  const name = ref.provider ?? secrets.defaults[ref.source];
  const provider = Object.hasOwn(secrets.providers, name) ? secrets.providers[name] : undefined;
  if (ref.source === 'exec') return err('secrets of source "exec" are not supported by this version: use source "env" or "file"');
  if (provider === undefined) {
    // The environment needs no description, as long as nobody named one.
    if (ref.source === 'env' && name === secrets.defaults.env) return fromEnv(ref.id, undefined, context.env);
    return err(`secrets.providers.${name} does not exist`);
  }
  if (provider.source !== ref.source)
    return err(`secrets.providers.${name} is of source "${provider.source ?? 'unset'}", the reference asks for "${ref.source}"`);
  if (ref.source === 'env') return fromEnv(ref.id, provider.allowlist, context.env);
  if (provider.path === undefined) return err(`secrets.providers.${name}.path is not set`);
  const file = configuredPath(provider.path, context);
  const text = await withDeadline(
    readSecretFile(file, provider.maxBytes),
    provider.timeoutMs,
    context.clock ?? systemClock,
    `${file} was not read within ${provider.timeoutMs} ms`,
  );
  if (!text.ok) return text;
  if (provider.mode === 'singleValue') {
    // The newline that every editor and `echo` puts at the end is not part of the secret.
    return ref.id === 'value' ? ok(text.value.replace(/\r?\n$/, '')) : err('a file of mode "singleValue" has one id: "value"');
  }
  return fromPointer(text.value, ref.id, file);
}

function fromEnv(id: string, allowlist: readonly string[] | undefined, env: Env): Result<string, string> {
  if (allowlist !== undefined && !allowlist.includes(id)) return err(`env ${id} is not in the provider's allowlist`);
  const value = env[id];
  return value === undefined || value.trim() === '' ? err(`env ${id} is not set`) : ok(value);
}

/** Text of a file that belongs to this user and that nobody else may read. Everything is asked of the open file. */
export async function readSecretFile(file: string, maxBytes: number): Promise<Result<string, string>> {
  const { O_RDONLY, O_NONBLOCK } = fs.constants;
  let handle: Awaited<ReturnType<typeof fs.promises.open>>;
  try {
    handle = await fs.promises.open(file, O_RDONLY | O_NONBLOCK);
  } catch (thrown) {
    const code = (thrown as NodeJS.ErrnoException).code;
    return err(code === 'ENOENT' ? `${file} does not exist` : `${file} cannot be read (${code ?? 'unknown error'})`);
  }
  try {
    const stat = await handle.stat();
    const uid = process.getuid?.();
    if (!stat.isFile()) return err(`${file} is not a regular file`);
    if (uid !== undefined && stat.uid !== uid)
      return err(`${file} belongs to user ${stat.uid}, not to this one: sudo chown ${uid} ${file}`);
    if (uid !== undefined && (stat.mode & 0o077) !== 0) return err(`${file} can be read or changed by other users: chmod 600 ${file}`);
    if (stat.size > maxBytes) return err(`${file} is larger than ${maxBytes} bytes`);
    const buffer = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(stat.size, 64 * 1024)) + 1);
    let length = 0;
    for (let n = 1; n > 0 && length < buffer.length; length += n)
      n = (await handle.read(buffer, length, buffer.length - length, null)).bytesRead;
    if (length === buffer.length) return err(`${file} is larger than ${maxBytes} bytes, or grew while it was read`);
    return ok(new TextDecoder('utf-8', { fatal: true }).decode(buffer.subarray(0, length)));
  } catch (thrown) {
    return err(thrown instanceof TypeError ? `${file} is not UTF-8 text` : `${file} cannot be read`);
  } finally {
    await handle.close().catch(() => {});
  }
}

// RFC 6901.
function fromPointer(text: string, pointer: string, file: string): Result<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text.
    return err(`${file} is not valid JSON`);
  }
  if (!pointer.startsWith('/')) return err(`"${pointer}" is not a JSON pointer: it begins with "/"`);
  for (const part of pointer.slice(1).split('/')) {
    const key = part.replaceAll('~1', '/').replaceAll('~0', '~');
    if (Array.isArray(value) && /^(0|[1-9]\d*)$/.test(key)) value = value[Number(key)];
    else value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  }
  if (value === undefined) return err(`${file} has nothing at ${pointer}`);
  return typeof value === 'string' ? ok(value) : err(`${file} has no text at ${pointer}`);
}

function withDeadline<T>(work: Promise<Result<T, string>>, ms: number, clock: Clock, late: string): Promise<Result<T, string>> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, () => resolve(err(late)));
    void work.then((result) => {
      cancel();
      resolve(result);
    });
  });
}
