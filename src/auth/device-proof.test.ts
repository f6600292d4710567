import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { connectOf, NONCE, signed, testKey } from '../../test/support/door.ts';
import type { ConnectParams } from '../protocol/connect.ts';
import { PROOF_FAULTS, proveDevice } from './device-proof.ts';

const NOW = 1_700_000_000_000;
const key = testKey();
const good = signed(key, connectOf({ auth: { token: 'abc' } }), { signedAt: NOW });
const withDevice = (patch: Partial<NonNullable<ConnectParams['device']>>, from = good): ConnectParams => {
  if (from.device === undefined) throw new Error('no device');
  return { ...from, device: { ...from.device, ...patch } };
};
const fault = (connect: ConnectParams, now = NOW, nonce = NONCE): string => {
  const proof = proveDevice(connect, nonce, now);
  return proof.ok ? 'holds' : proof.error;
};

describe('proveDevice', () => {
  test.each(['v2', 'v3'] as const)('PA-1 payload %s holds', (version) => {
    const connect = signed(key, connectOf({ client: { deviceFamily: 'Linux' } }), { signedAt: NOW, version });
    expect(proveDevice(connect, NONCE, NOW)).toEqual({ ok: true, value: { deviceId: key.id, publicKey: key.publicKey } });
  });

  test('PA-1 the key may come as PEM', () => {
    expect(proveDevice(withDevice({ publicKey: key.pem }), NONCE, NOW)).toEqual({
      ok: true,
      value: { deviceId: key.id, publicKey: key.publicKey },
    });
  });

  test.each<[keyof typeof PROOF_FAULTS, ConnectParams]>([
    ['device-id-mismatch', withDevice({ id: testKey().id })],
    ['device-id-mismatch', withDevice({ publicKey: 'not-a-key' })],
    ['device-id-mismatch', withDevice({ publicKey: testKey().publicKey })],
    ['device-signature-stale', signed(key, connectOf(), { signedAt: NOW - 120_001 })],
    ['device-signature-stale', signed(key, connectOf(), { signedAt: NOW + 120_001 })],
    ['device-nonce-missing', withDevice({ nonce: '' })],
    ['device-nonce-mismatch', signed(key, connectOf(), { signedAt: NOW, nonce: 'another' })],
    ['device-signature', withDevice({ signature: 'A'.repeat(86) })],
    ['device-signature', withDevice({ signature: `${good.device?.signature}=` })],
    ['device-signature', { ...good, scopes: ['operator.admin'] }],
    ['device-signature', { ...good, role: 'node' }],
    ['device-signature', { ...good, auth: { token: 'other' } }],
    ['device-signature', { ...good, client: { ...good.client, id: 'cli' } }],
  ])('PA-2 %s', (expected, connect) => {
    expect(fault(connect)).toBe(expected);
  });

  test('PA-2 skew of two minutes either way is accepted', () => {
    expect(fault(good, NOW + 120_000)).toBe('holds');
    expect(fault(good, NOW - 120_000)).toBe('holds');
  });

  test('PA-2 a second spelling of a signature or key is refused', () => {
    // The last character of 64 bytes carries 4 unused bits: `A` and `B` decode alike.
    const signature = good.device?.signature ?? '';
    const last = signature.at(-1) ?? '';
    const twin = signature.slice(0, -1) + String.fromCharCode(last.charCodeAt(0) + 1);
    expect(Buffer.from(twin, 'base64url').equals(Buffer.from(signature, 'base64url'))).toBe(true);
    expect(fault(withDevice({ signature: twin }))).toBe('device-signature');
  });

  test.each([
    ['the neutral element', '01'],
    ['zero', '00'],
    ['minus one', `ec${'ff'.repeat(30)}7f`],
    ['order eight', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['the neutral element, sign bit set', `01${'00'.repeat(30)}80`],
    ['one, not reduced', `ee${'ff'.repeat(30)}7f`],
  ])('PA-3 a key of small order is refused whatever its signature: %s', (_, hex) => {
    const raw = Buffer.from(hex.padEnd(64, '0'), 'hex');
    const id = createHash('sha256').update(raw).digest('hex');
    // R = A and S = 0: verifies for many texts where the library does not look.
    const signature = Buffer.concat([raw, Buffer.alloc(32)]).toString('base64url');
    expect(fault(withDevice({ id, publicKey: raw.toString('base64url'), signature }))).toBe('device-public-key');
  });

  test('PA-2 total: no device object makes it throw, and none but the signed one holds', () => {
    const text = fc.string({ maxLength: 100, unit: 'binary' });
    fc.assert(
      fc.property(fc.record({ id: text, publicKey: text, signature: text, signedAt: fc.integer(), nonce: text }), (device) => {
        return !proveDevice({ ...good, device }, NONCE, NOW).ok;
      }),
    );
  });

  test('PA-2 every fault has a code that clients know', () => {
    for (const { code } of Object.values(PROOF_FAULTS)) expect(code).toMatch(/^DEVICE_AUTH_/);
  });
});
