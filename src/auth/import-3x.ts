import { isRecord } from '../lib/json.ts';
import { knownScopes, ROLES, type Role } from '../protocol/scopes.ts';
import { printable } from './audit.ts';
import { rawPublicKey } from './device-proof.ts';
import { TOKEN_LIFE } from './device-tokens.ts';
import type { ApprovedRole, DeviceRecord, TokenRecord } from './ports.ts';
import { digestOf, newId } from './secret.ts';

const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');

export interface Imported {
  readonly devices: readonly { readonly device: DeviceRecord; readonly tokens: readonly TokenRecord[] }[];
  /** What was left out, and why; for the log. Holds no secret. */
  readonly skipped: readonly string[];
}

/** More than anybody has; a larger file is not what it claims to be. */
const MAX_DEVICES = 500;

/**
 * Reads `<state>/devices/paired.json` of a 3.x installation: a map of device id → record (a list, or either under `paired` or `devices`,
 * is taken too), tokens in clear, which leave this function as hashes. Total: whatever does not fit is skipped with a reason. What is
 * taken keeps working without pairing again; its tokens get a life from `now` on.
 */
export function parsePaired3x(text: string, now: number): Imported {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { devices: [], skipped: ['the file is not JSON'] };
  }
  if (isRecord(value)) value = isRecord(value['paired']) || Array.isArray(value['paired']) ? value['paired'] : (value['devices'] ?? value);
  const rows: unknown[] = Array.isArray(value) ? value : isRecord(value) ? Object.values(value) : [];
  const devices: { device: DeviceRecord; tokens: TokenRecord[] }[] = [];
  const skipped: string[] = [];
  for (const row of rows.slice(0, MAX_DEVICES)) {
    if (!isRecord(row)) continue;
    const read = readDevice(row, now);
    if (typeof read === 'string') skipped.push(read);
    else devices.push(read);
  }
  if (rows.length > MAX_DEVICES) skipped.push(`${rows.length - MAX_DEVICES} more than ${MAX_DEVICES} devices`);
  return { devices, skipped };
}

function readDevice(row: Record<string, unknown>, now: number): { device: DeviceRecord; tokens: TokenRecord[] } | string {
  const deviceId = text(row['deviceId'], 128) ?? 'a record without deviceId';
  const raw = typeof row['publicKey'] === 'string' ? rawPublicKey(row['publicKey'].slice(0, 1024)) : undefined;
  if (raw === undefined) return `${deviceId}: no readable public key`;
  if (crypto().createHash('sha256').update(raw).digest('hex') !== deviceId) return `${deviceId}: the id does not belong to the key`;
  const tokens = isRecord(row['tokens']) ? row['tokens'] : {};
  const roles: ApprovedRole[] = [];
  const kept: TokenRecord[] = [];
  for (const role of ROLES) {
    const token = isRecord(tokens[role]) ? tokens[role] : undefined;
    if (!hasRole(row, role) && token === undefined) continue;
    const scopes =
      role === 'node' ? [] : knownScopes(names(row['approvedScopes']) ?? names(row['scopes']) ?? names(token?.['scopes']) ?? []);
    roles.push({ role, scopes });
    const secret = text(token?.['token'], 512);
    // A blank one would be everybody's, a revoked one is nobody's.
    if (token === undefined || secret === undefined || secret.length < 32 || typeof token['revokedAtMs'] === 'number') continue;
    const bound = role === 'node' ? undefined : names(token['scopes']);
    kept.push({
      id: newId(),
      deviceId,
      role,
      digest: digestOf(secret),
      ...(bound === undefined ? {} : { bound: knownScopes(bound) }),
      createdAtMs: now,
      expiresAtMs: now + TOKEN_LIFE.slidingMs,
      absoluteMs: now + TOKEN_LIFE.absoluteMs,
      firstUsedAtMs: now,
    });
  }
  if (roles.length === 0) return `${deviceId}: no known role`;
  const displayName = text(row['displayName'], 256);
  const deviceFamily = text(row['deviceFamily'], 256);
  const remoteIp = text(row['remoteIp'], 64);
  return {
    tokens: kept,
    device: {
      deviceId,
      publicKey: raw.toString('base64url'),
      ...(displayName === undefined ? {} : { displayName }),
      platform: text(row['platform'], 256) ?? '',
      ...(deviceFamily === undefined ? {} : { deviceFamily }),
      clientId: text(row['clientId'], 256) ?? 'unknown',
      clientMode: text(row['clientMode'], 256) ?? 'unknown',
      ...(remoteIp === undefined ? {} : { remoteIp }),
      approvedVia: 'import',
      roles,
      createdAtMs: time(row['createdAtMs']) ?? now,
      approvedAtMs: time(row['approvedAtMs']) ?? now,
    },
  };
}

const hasRole = (row: Record<string, unknown>, role: Role): boolean =>
  row['role'] === role || (names(row['roles'])?.includes(role) ?? false);

const text = (value: unknown, max: number): string | undefined =>
  typeof value === 'string' && value.trim() !== '' ? printable(value.trim(), max) : undefined;
const time = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
const names = (value: unknown): string[] | undefined =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string').slice(0, 64) : undefined;
