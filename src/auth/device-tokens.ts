import type { Role, Scope } from '../protocol/scopes.ts';
import type { DeviceReads, DeviceWrites, TokenRecord } from './ports.ts';
import { digestOf, newDeviceToken, newId } from './secret.ts';

const DAY = 24 * 60 * 60_000;

/** Lives of device tokens, ms. */
export const TOKEN_LIFE = {
  /** From issue; a rotation starts it anew. */
  slidingMs: 30 * DAY,
  /** From the first token of a chain: then a secret, a code or a person is needed again. */
  absoluteMs: 90 * DAY,
  /** How long a replaced token works on after its successor was first used; and how long the next rotation waits. */
  graceMs: 10 * 60_000,
  /** `lastUsedAtMs` is written at most this often. */
  noteMs: 60_000,
} as const;
/** Live tokens per device and role: the same browser keeps one per address it knows the gateway by. */
export const MAX_TOKENS = 8;

export interface IssuedToken {
  readonly text: string;
  readonly record: TokenRecord;
}

/** The live token with this text, of whatever device; undefined when there is none or its time is over. */
export function liveToken(reads: DeviceReads, text: string, now: number): TokenRecord | undefined {
  const record = reads.tokenByDigest(digestOf(text.trim()));
  return record !== undefined && record.expiresAtMs > now ? record : undefined;
}

/** Whether the client should get a new token in place of this one: past half of its life, and none was handed out just now. */
export function isDue(reads: DeviceReads, token: TokenRecord, now: number): boolean {
  const life = token.expiresAtMs - token.createdAtMs;
  if (now - token.createdAtMs < life / 2 || token.absoluteMs <= now) return false;
  // Parallel calls of one program share a file: the first gets the successor, the others go on with what they have.
  return !reads.tokens(token.deviceId).some(({ replaces, createdAtMs }) => replaces === token.id && now - createdAtMs < TOKEN_LIFE.graceMs);
}

/** Whether using this token now should be written down. */
export const isNoteDue = (token: TokenRecord, now: number): boolean =>
  token.firstUsedAtMs === undefined || now - (token.lastUsedAtMs ?? 0) >= TOKEN_LIFE.noteMs;

/** Makes a token. `replaces`: the one it continues, whose absolute end it keeps. The least used one goes when there are too many. */
export function issueToken(
  tx: DeviceWrites,
  now: number,
  options: { deviceId: string; role: Role; bound?: readonly Scope[] | undefined; replaces?: TokenRecord | undefined },
): IssuedToken {
  const { deviceId, role, replaces } = options;
  const bound = options.bound ?? replaces?.bound;
  const absoluteMs = replaces?.absoluteMs ?? now + TOKEN_LIFE.absoluteMs;
  const text = newDeviceToken();
  const record: TokenRecord = {
    id: newId(),
    deviceId,
    role,
    digest: digestOf(text),
    ...(bound === undefined ? {} : { bound }),
    createdAtMs: now,
    expiresAtMs: Math.min(now + TOKEN_LIFE.slidingMs, absoluteMs),
    absoluteMs,
    ...(replaces === undefined ? {} : { replaces: replaces.id }),
  };
  const others: TokenRecord[] = [];
  for (const token of tx.tokens(deviceId)) {
    if (token.expiresAtMs <= now) tx.dropToken(token.id);
    else if (token.role === role) others.push(token);
  }
  others.sort((a, b) => (b.lastUsedAtMs ?? b.createdAtMs) - (a.lastUsedAtMs ?? a.createdAtMs));
  for (const token of others.slice(MAX_TOKENS - 1)) tx.dropToken(token.id);
  tx.putToken(record);
  return { text, record };
}

/**
 * Writes down that a token was used. Its first use proves that the client has it: the one before it ends after the grace, and a
 * pairing code that gave it is spent. Until then both work on, so a lost `hello-ok` strands nobody.
 */
export function noteUse(tx: DeviceWrites, tokenId: string, deviceId: string, now: number): void {
  const tokens = tx.tokens(deviceId);
  const token = tokens.find(({ id }) => id === tokenId);
  if (token === undefined) return;
  tx.putToken({ ...token, firstUsedAtMs: token.firstUsedAtMs ?? now, lastUsedAtMs: now });
  if (token.firstUsedAtMs !== undefined) return;
  const before = tokens.find(({ id }) => id === token.replaces);
  if (before !== undefined) tx.putToken({ ...before, expiresAtMs: Math.min(before.expiresAtMs, now + TOKEN_LIFE.graceMs) });
  for (const code of tx.codes()) if (code.boundTo === deviceId) tx.dropCode(code.id);
}
