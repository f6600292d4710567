import type { ApprovedRole, CodeRecord, DeviceReads, DeviceWrites } from './ports.ts';
import { canonicalCode, digestOf, newId, newLinkCode, newShortCode } from './secret.ts';

export const CODE_LIMITS = {
  /** Longest life, ms. */
  maxTtlMs: 10 * 60_000,
  /** Codes that may live at once. */
  live: 32,
} as const;

export interface IssuedCode {
  /** What the new device presents as `auth.bootstrapToken`. */
  readonly code: string;
  readonly id: string;
  readonly expiresAtMs: number;
}

/** The code with this text that `deviceId` may use now: not expired, and bound to nobody else. */
export function usableCode(reads: DeviceReads, text: string, deviceId: string | undefined, now: number): CodeRecord | undefined {
  const record = reads.codeByDigest(digestOf(canonicalCode(text)));
  if (record === undefined || record.expiresAtMs <= now) return undefined;
  return record.boundTo === undefined || record.boundTo === deviceId ? record : undefined;
}

/** Makes a code for one device. Undefined when too many wait to be used. */
export function issueCode(
  tx: DeviceWrites,
  now: number,
  options: { kind: 'link' | 'short'; roles: readonly ApprovedRole[]; ttlMs?: number | undefined; createdBy: string },
): IssuedCode | undefined {
  let live = 0;
  for (const code of tx.codes()) {
    if (code.expiresAtMs <= now) tx.dropCode(code.id);
    else live++;
  }
  if (live >= CODE_LIMITS.live) return undefined;
  const code = options.kind === 'short' ? newShortCode() : newLinkCode();
  const record: CodeRecord = {
    id: newId(),
    digest: digestOf(canonicalCode(code)),
    kind: options.kind,
    roles: options.roles,
    createdAtMs: now,
    expiresAtMs: now + Math.min(options.ttlMs ?? CODE_LIMITS.maxTtlMs, CODE_LIMITS.maxTtlMs),
    createdBy: options.createdBy,
  };
  tx.putCode(record);
  return { code, id: record.id, expiresAtMs: record.expiresAtMs };
}
