import { createFileAtomic, ensurePrivateDir, writeFileAtomic } from '../../files/private-files.ts';
import { UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';
import type { DeviceKey, StoredToken, TokenStore } from '../credentials.ts';

/** This client's device: its key, and the tokens that gateways gave it. One file, 0600. */
export interface ClientDevice {
  readonly key: DeviceKey;
  readonly tokens: TokenStore;
}

const FILE = 'client-device.json';
const MAX_BYTES = 256 * 1024;
/** A client that talks to more gateways than this forgets the one it has not heard from for longest. */
const MAX_TOKENS = 64;

interface StoredDevice {
  readonly version: 1;
  readonly deviceId: string;
  /** PKCS#8 PEM. */
  readonly privateKeyPem: string;
  readonly createdAtMs: number;
  readonly tokens: Record<string, StoredToken & { readonly updatedAtMs: number }>;
}

/**
 * Reads `<dir>/client-device.json`; makes it (with `create`) when it is not there. Undefined when there is none and none was to be made.
 * Throws `DEVICE_FILE_UNSAFE` for a file that other users could have read, and `DEVICE_FILE_BROKEN` for one that is no key.
 */
export function loadClientDevice(dir: string, options: { readonly create: boolean; readonly nowMs: number }): ClientDevice | undefined {
  const path = process.getBuiltinModule('node:path');
  const file = path.join(dir, FILE);
  let stored = read(file);
  if (stored === undefined) {
    if (!options.create) return undefined;
    ensurePrivateDir(dir);
    // Of two first calls at once one wins, and both use its key.
    createFileAtomic(file, textOf(generate(options.nowMs)));
    stored = read(file);
    if (stored === undefined) throw broken(file, 'it cannot be read back');
  }
  return { key: keyOf(stored, file), tokens: tokenStore(file) };
}

function keyOf(stored: StoredDevice, file: string): DeviceKey {
  const crypto = process.getBuiltinModule('node:crypto');
  try {
    const privateKey = crypto.createPrivateKey(stored.privateKeyPem);
    const { x } = crypto.createPublicKey(privateKey).export({ format: 'jwk' });
    if (privateKey.asymmetricKeyType !== 'ed25519' || x === undefined) throw new Error('not an Ed25519 key');
    return {
      id: crypto.createHash('sha256').update(Buffer.from(x, 'base64url')).digest('hex'),
      publicKey: x,
      sign: (text) => crypto.sign(null, Buffer.from(text, 'utf8'), privateKey).toString('base64url'),
    };
  } catch {
    throw broken(file, 'its key is not an Ed25519 key');
  }
}

function generate(nowMs: number): StoredDevice {
  const crypto = process.getBuiltinModule('node:crypto');
  const { privateKey, publicKey } = crypto.generateKeyPairSync('ed25519');
  const raw = Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url');
  return {
    version: 1,
    deviceId: crypto.createHash('sha256').update(raw).digest('hex'),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    createdAtMs: nowMs,
    tokens: {},
  };
}

/** Tokens by gateway and role. Every change reads the file anew: parallel commands share it. */
function tokenStore(file: string): TokenStore {
  const change = (edit: (tokens: StoredDevice['tokens']) => void): void => {
    const stored = read(file);
    if (stored === undefined) return;
    const tokens = { ...stored.tokens };
    edit(tokens);
    const newest = Object.entries(tokens)
      .sort(([, a], [, b]) => b.updatedAtMs - a.updatedAtMs)
      .slice(0, MAX_TOKENS);
    writeFileAtomic(file, textOf({ ...stored, tokens: Object.fromEntries(newest) }));
  };
  return {
    read: (endpoint, role) => read(file)?.tokens[slot(endpoint, role)],
    write: (endpoint, role, token) => {
      const held = read(file)?.tokens[slot(endpoint, role)];
      if (held?.token === token.token) return;
      change((tokens) => {
        tokens[slot(endpoint, role)] = { token: token.token, scopes: [...token.scopes], updatedAtMs: Date.now() };
      });
    },
    remove: (endpoint, role) => {
      if (read(file)?.tokens[slot(endpoint, role)] === undefined) return;
      change((tokens) => {
        delete tokens[slot(endpoint, role)];
      });
    },
  };
}

/** `wss://host:443/` and `wss://host/any` are one gateway. */
function slot(endpoint: string, role: string): string {
  const url = URL.parse(endpoint);
  const port = url?.port || (url?.protocol === 'wss:' ? '443' : '80');
  return `${url === null ? endpoint : `${url.protocol}//${url.hostname}:${port}`} ${role}`;
}

function read(file: string): StoredDevice | undefined {
  const fs = process.getBuiltinModule('node:fs');
  let fd: number;
  try {
    fd = fs.openSync(file, fs.constants.O_RDONLY | (fs.constants.O_NOFOLLOW ?? 0));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UserError('DEVICE_FILE_UNSAFE', `${file} cannot be opened safely (${(thrown as NodeJS.ErrnoException).code ?? 'error'}).`, {
      fix: `ls -l ${file}`,
    });
  }
  try {
    const stat = fs.fstatSync(fd);
    const uid = process.getuid?.();
    if (!stat.isFile() || stat.size > MAX_BYTES) throw broken(file, 'it is not a small regular file');
    if (uid !== undefined && (stat.uid !== uid || (stat.mode & 0o077) !== 0)) {
      throw new UserError('DEVICE_FILE_UNSAFE', `${file} holds this device's private key, and other users could read or change it.`, {
        fix: stat.uid === uid ? `chmod 600 ${file}` : `rm ${file}`,
      });
    }
    const value: unknown = JSON.parse(fs.readFileSync(fd, 'utf8'));
    if (!isRecord(value) || typeof value['privateKeyPem'] !== 'string') throw broken(file, 'it has no key');
    return { tokens: {}, ...value } as unknown as StoredDevice;
  } catch (thrown) {
    if (thrown instanceof SyntaxError) throw broken(file, 'it is not JSON');
    throw thrown;
  } finally {
    fs.closeSync(fd);
  }
}

const textOf = (stored: StoredDevice): string => `${JSON.stringify(stored, undefined, 2)}\n`;

const broken = (file: string, why: string): UserError =>
  new UserError('DEVICE_FILE_BROKEN', `${file} is not a device key of this product: ${why}.`, {
    fix: `mv ${file} ${file}.broken   # the next call makes a new key, which must be approved again`,
  });
