import { err, ok, type Result } from '../lib/result.ts';
import type { ConnectParams } from '../protocol/connect.ts';
import { devicePayload, signedToken } from '../protocol/device-payload.ts';
import { LIMITS } from '../protocol/limits.ts';
import { sameDigest } from './secret.ts';

const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');

/** Why a device proof does not hold, with the detail code and the words existing clients know. */
export const PROOF_FAULTS = {
  'device-id-mismatch': { code: 'DEVICE_AUTH_DEVICE_ID_MISMATCH', message: 'device identity mismatch' },
  'device-signature-stale': { code: 'DEVICE_AUTH_SIGNATURE_EXPIRED', message: 'device signature expired' },
  'device-nonce-missing': { code: 'DEVICE_AUTH_NONCE_REQUIRED', message: 'device nonce required' },
  'device-nonce-mismatch': { code: 'DEVICE_AUTH_NONCE_MISMATCH', message: 'device nonce mismatch' },
  'device-signature': { code: 'DEVICE_AUTH_SIGNATURE_INVALID', message: 'device signature invalid' },
  'device-public-key': { code: 'DEVICE_AUTH_PUBLIC_KEY_INVALID', message: 'device public key invalid' },
} as const;
export type ProofFault = keyof typeof PROOF_FAULTS;

/** A key whose holder answered our challenge. */
export interface ProvenDevice {
  readonly deviceId: string;
  /** base64url of the 32 raw bytes, canonical. */
  readonly publicKey: string;
}

/**
 * Checks what `connect.device` claims: the id belongs to the key, the nonce is ours, the time is near, the signature covers all of it.
 * `connect.device` must be there. Payload v3 is tried first, then v2. Total.
 */
export function proveDevice(connect: ConnectParams, nonce: string, now: number): Result<ProvenDevice, ProofFault> {
  const device = connect.device;
  if (device === undefined) return err('device-public-key');
  const raw = rawPublicKey(device.publicKey);
  // An unreadable key cannot have the id it claims; existing servers say so, and clients know that answer.
  if (raw === undefined) return err('device-id-mismatch');
  const deviceId = crypto().createHash('sha256').update(raw).digest('hex');
  if (!sameDigest(deviceId, device.id)) return err('device-id-mismatch');
  if (isWeakKey(raw)) return err('device-public-key');
  if (Math.abs(now - device.signedAt) > LIMITS.signatureSkewMs) return err('device-signature-stale');
  if (device.nonce === '') return err('device-nonce-missing');
  if (!sameDigest(device.nonce, nonce)) return err('device-nonce-mismatch');
  const signature = strictBase64url(device.signature, 64);
  if (signature === undefined) return err('device-signature');
  const key = publicKeyObject(raw);
  if (key === undefined) return err('device-public-key');
  for (const text of signedTexts(connect, device, nonce)) {
    if (crypto().verify(null, Buffer.from(text, 'utf8'), key, signature)) return ok({ deviceId, publicKey: raw.toString('base64url') });
  }
  return err('device-signature');
}

function signedTexts(connect: ConnectParams, device: NonNullable<ConnectParams['device']>, nonce: string): string[] {
  const base = {
    deviceId: device.id,
    clientId: connect.client.id,
    clientMode: connect.client.mode,
    role: connect.role ?? 'operator',
    scopes: connect.scopes ?? [],
    signedAt: device.signedAt,
    token: signedToken(connect.auth ?? {}),
    nonce,
    platform: connect.client.platform,
    deviceFamily: connect.client.deviceFamily,
  };
  return [devicePayload('v3', base), devicePayload('v2', base)];
}

/** base64url (no padding, canonical) of 32 bytes, or the PEM of an Ed25519 key. */
export function rawPublicKey(text: string): Buffer | undefined {
  if (!text.includes('BEGIN')) return strictBase64url(text, 32);
  try {
    const key = crypto().createPublicKey(text);
    if (key.asymmetricKeyType !== 'ed25519') return undefined;
    return strictBase64url(String(key.export({ format: 'jwk' }).x ?? ''), 32);
  } catch {
    return undefined;
  }
}

/** Exactly one text per value: a second spelling of a signature or a key is refused. */
function strictBase64url(text: string, bytes: number): Buffer | undefined {
  if (!/^[A-Za-z0-9_-]+$/.test(text)) return undefined;
  const buffer = Buffer.from(text, 'base64url');
  return buffer.length === bytes && buffer.toString('base64url') === text ? buffer : undefined;
}

type Key = import('node:crypto').KeyObject;
/** Keys of the devices that came last: making one takes half as long as verifying with it. */
const keys = new Map<string, Key>();
const KEYS = 256;

function publicKeyObject(raw: Buffer): Key | undefined {
  const x = raw.toString('base64url');
  const before = keys.get(x);
  if (before !== undefined) return before;
  try {
    const key = crypto().createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    if (keys.size >= KEYS) keys.clear();
    keys.set(x, key);
    return key;
  } catch {
    return undefined;
  }
}

// The y coordinates of the eight points of small order, and their encodings that are not reduced: for such a "key" a signature can be
// made that verifies for many texts, without any private key. RFC 8032 leaves the check open; whether OpenSSL does it depends on its version.
const WEAK_Y: ReadonlySet<string> = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
]);

function isWeakKey(raw: Buffer): boolean {
  const y = Buffer.from(raw);
  y[31] = (y[31] ?? 0) & 0x7f; // without the sign of x
  return WEAK_Y.has(y.toString('hex'));
}
