import { createFileAtomic, readPrivateFile } from '../files/private-files.ts';
import { UserError } from '../lib/errors.ts';
import { isRecord } from '../lib/json.ts';
import { crypto, path } from './builtins.ts';

/** The gateway's own Ed25519 identity (`gateway.identity.get`). The private half stays behind `sign`. */
export interface GatewayIdentity {
  /** Lower-case hex sha256 of the 32 raw bytes of the public key. */
  readonly deviceId: string;
  /** Those 32 bytes, base64url. */
  readonly publicKey: string;
  /** base64url signature of the text's UTF-8 bytes. */
  sign(text: string): string;
}

export interface LoadedIdentity {
  readonly identity: GatewayIdentity;
  /** `imported`: the key is the one that a 3.x install of this state dir used; worth a line in the log. */
  readonly origin: 'kept' | 'created' | 'imported';
}

interface IdentityFile {
  readonly version: 1;
  readonly deviceId: string;
  readonly publicKeyPem: string;
  readonly privateKeyPem: string;
  readonly createdAtMs: number;
}

/** An SPKI header for Ed25519; the raw key is what follows it. */
const SPKI_HEADER_BYTES = 12;
const MAX_BYTES = 16_384;

/**
 * The identity in `<gatewayDir>/identity.json` (0600). Where there is none yet: the one in `<stateDir>/identity/device.json`
 * that 3.x kept for the gateway and the CLI of a machine, which is read and never written; else a new one.
 *
 * Throws `IDENTITY_INVALID` for an own file that is damaged: a silent new identity would look like another gateway.
 */
export function loadGatewayIdentity(gatewayDir: string, stateDir: string, now: number): LoadedIdentity {
  const own = path.join(gatewayDir, 'identity.json');
  const kept = readPrivateFile(own, { maxBytes: MAX_BYTES });
  if (kept !== undefined) return { identity: identityOf(parse(kept) ?? damaged(own), own), origin: 'kept' };

  const imported = importable(path.join(stateDir, 'identity', 'device.json'));
  const file = imported ?? generate(now);
  const created = createFileAtomic(own, `${JSON.stringify(file, null, 2)}\n`);
  if (!created) return loadGatewayIdentity(gatewayDir, stateDir, now);
  return { identity: identityOf(file, own), origin: imported === undefined ? 'created' : 'imported' };
}

/** Theirs, when it is a whole and private identity; anything odd about it is a reason for a key of our own, not for a failure. */
function importable(file: string): IdentityFile | undefined {
  try {
    const parsed = parse(readPrivateFile(file, { maxBytes: MAX_BYTES }) ?? '');
    return parsed !== undefined && identityOf(parsed, file) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function parse(text: string): IdentityFile | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (!isRecord(value)) return undefined;
    const { deviceId, publicKeyPem, privateKeyPem, createdAtMs } = value;
    if (typeof deviceId !== 'string' || typeof publicKeyPem !== 'string' || typeof privateKeyPem !== 'string') return undefined;
    return { version: 1, deviceId, publicKeyPem, privateKeyPem, createdAtMs: typeof createdAtMs === 'number' ? createdAtMs : 0 };
  } catch {
    return undefined;
  }
}

function generate(now: number): IdentityFile {
  const { publicKey, privateKey } = crypto().generateKeyPairSync('ed25519');
  const raw = publicKey.export({ type: 'spki', format: 'der' }).subarray(SPKI_HEADER_BYTES);
  return {
    version: 1,
    deviceId: idOf(raw),
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    createdAtMs: now,
  };
}

const idOf = (raw: Uint8Array): string => crypto().createHash('sha256').update(raw).digest('hex');

/** Takes the public half from the private key, so that a file whose halves do not belong together is noticed. */
function identityOf(file: IdentityFile, at: string): GatewayIdentity {
  const { createPrivateKey, createPublicKey, sign } = crypto();
  let privateKey: ReturnType<typeof createPrivateKey>;
  try {
    privateKey = createPrivateKey(file.privateKeyPem);
  } catch {
    return damaged(at);
  }
  if (privateKey.asymmetricKeyType !== 'ed25519') return damaged(at);
  const raw = createPublicKey(privateKey).export({ type: 'spki', format: 'der' }).subarray(SPKI_HEADER_BYTES);
  const deviceId = idOf(raw);
  if (deviceId !== file.deviceId) return damaged(at);
  return {
    deviceId,
    publicKey: raw.toString('base64url'),
    sign: (text) => sign(null, Buffer.from(text, 'utf8'), privateKey).toString('base64url'),
  };
}

function damaged(file: string): never {
  throw new UserError('IDENTITY_INVALID', `${file} does not hold a whole identity of this gateway.`, {
    fix: `Restore it from a backup; or move it away, and clients will see a new gateway: mv ${file} ${file}.damaged`,
    path: file,
  });
}
