import { createHash, createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { loadGatewayIdentity } from './gateway-identity.ts';

const SPKI = Buffer.from('302a300506032b6570032100', 'hex');

function state(dir: string): { stateDir: string; gatewayDir: string; device: string } {
  const gatewayDir = path.join(dir, 'gateway');
  fs.mkdirSync(gatewayDir, { mode: 0o700 });
  fs.mkdirSync(path.join(dir, 'identity'));
  return { stateDir: dir, gatewayDir, device: path.join(dir, 'identity', 'device.json') };
}

test('ST-34 the identity is an Ed25519 key, made once, 0600; its id is the sha256 of the raw public key', () => {
  using dir = tempDir();
  const { gatewayDir, stateDir } = state(dir.path);
  const { identity, origin } = loadGatewayIdentity(gatewayDir, stateDir, 5);
  expect(origin).toBe('created');
  const raw = Buffer.from(identity.publicKey, 'base64url');
  expect(raw.length).toBe(32);
  expect(identity.deviceId).toBe(createHash('sha256').update(raw).digest('hex'));
  const key = createPublicKey({ key: Buffer.concat([SPKI, raw]), format: 'der', type: 'spki' });
  expect(verify(null, Buffer.from('v3|…'), key, Buffer.from(identity.sign('v3|…'), 'base64url'))).toBe(true);
  const again = loadGatewayIdentity(gatewayDir, stateDir, 6);
  expect([again.origin, again.identity.deviceId]).toEqual(['kept', identity.deviceId]);
  if (process.platform !== 'win32') expect(fs.statSync(path.join(gatewayDir, 'identity.json')).mode & 0o777).toBe(0o600);
});

test('ST-35 a 3.x identity of the state dir is taken over, and its file neither written nor removed', () => {
  using dir = tempDir();
  const { gatewayDir, stateDir, device } = state(dir.path);
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const deviceId = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }).subarray(12))
    .digest('hex');
  const text = JSON.stringify({
    version: 1,
    deviceId,
    publicKeyPem: publicKey.export({ type: 'spki', format: 'pem' }),
    privateKeyPem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    createdAtMs: 1,
  });
  fs.writeFileSync(device, text, { mode: 0o600 });
  const before = fs.statSync(device);
  const { identity, origin } = loadGatewayIdentity(gatewayDir, stateDir, 5);
  expect([origin, identity.deviceId]).toEqual(['imported', deviceId]);
  expect([fs.readFileSync(device, 'utf8'), fs.statSync(device).mtimeMs]).toEqual([text, before.mtimeMs]);
  fs.rmSync(device);
  expect(loadGatewayIdentity(gatewayDir, stateDir, 6).identity.deviceId).toBe(deviceId);
});

test('ST-35 an odd 3.x file (cut, wrong id, readable by others) is passed over', () => {
  for (const [text, mode] of [
    ['{"version":1,', 0o600],
    ['{"version":1,"deviceId":"ab","publicKeyPem":"x","privateKeyPem":"y"}', 0o600],
    ['[]', 0o600],
  ] as const) {
    using dir = tempDir();
    const { gatewayDir, stateDir, device } = state(dir.path);
    fs.writeFileSync(device, text, { mode });
    expect(loadGatewayIdentity(gatewayDir, stateDir, 5).origin).toBe('created');
    expect(fs.readFileSync(device, 'utf8')).toBe(text);
  }
});

test('ST-34 a damaged own identity is an error with a fix, never a silent new one', () => {
  using dir = tempDir();
  const { gatewayDir, stateDir } = state(dir.path);
  const own = path.join(gatewayDir, 'identity.json');
  loadGatewayIdentity(gatewayDir, stateDir, 5);
  const good = JSON.parse(fs.readFileSync(own, 'utf8'));
  for (const text of [
    '',
    '{',
    JSON.stringify({ ...good, deviceId: 'f'.repeat(64) }),
    JSON.stringify({ ...good, privateKeyPem: 'no key' }),
  ]) {
    fs.writeFileSync(own, text);
    expect(() => loadGatewayIdentity(gatewayDir, stateDir, 6)).toThrow(expect.objectContaining({ code: 'IDENTITY_INVALID' }));
    expect(fs.readFileSync(own, 'utf8')).toBe(text);
  }
});
