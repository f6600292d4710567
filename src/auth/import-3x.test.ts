import fc from 'fast-check';
import { expect, test } from 'vitest';
import { codeOf, FACTS, testDoor, testKey } from '../../test/support/door.ts';
import { parsePaired3x } from './import-3x.ts';
import { digestOf } from './secret.ts';

const NOW = 1_700_000_000_000;
const TOKEN = 'dG9rZW4tb2YtdGhpcnR5LXR3by1ieXRlcy0wMTIzNDU2';
const key = testKey();
const row = {
  deviceId: key.id,
  publicKey: key.publicKey,
  displayName: 'laptop',
  platform: 'linux',
  clientId: 'cli',
  clientMode: 'cli',
  role: 'operator',
  roles: ['operator'],
  scopes: ['operator.admin', 'operator.zzz'],
  approvedScopes: ['operator.admin', 'operator.zzz'],
  tokens: { operator: { token: TOKEN, role: 'operator', scopes: ['operator.admin'], createdAtMs: NOW - 1_000 } },
  createdAtMs: NOW - 1_000,
  approvedAtMs: NOW - 1_000,
};

test.each([
  ['a map', { [key.id]: row }],
  ['a list', [row]],
  ['under paired', { version: 1, paired: { [key.id]: row } }],
])('PA-40 a paired device of a 3.x installation (%s) keeps its scopes, and its token as a hash', (_, file) => {
  const { devices, skipped } = parsePaired3x(JSON.stringify(file), NOW);
  expect(skipped).toEqual([]);
  expect(devices).toMatchObject([
    {
      device: { deviceId: key.id, displayName: 'laptop', approvedVia: 'import', roles: [{ role: 'operator', scopes: ['operator.admin'] }] },
      tokens: [{ deviceId: key.id, role: 'operator', digest: digestOf(TOKEN) }],
    },
  ]);
  expect(JSON.stringify(devices)).not.toContain(TOKEN);
});

test('PA-40 it goes on with the token it has; a second import takes nothing', async () => {
  const door = testDoor();
  const { devices } = parsePaired3x(JSON.stringify({ [key.id]: row }), door.clock.now());
  expect(await door.approvals.importDevices(devices)).toBe(1);
  expect(await door.approvals.importDevices(parsePaired3x(JSON.stringify([row]), NOW).devices)).toBe(0);
  expect(codeOf(await door.knock(FACTS.remote, { scopes: ['operator.admin'], auth: { deviceToken: TOKEN } }, key))).toBe('admitted');
});

test.each([
  ['a key that is not the one of its id', { ...row, publicKey: testKey().publicKey }],
  ['no key', { ...row, publicKey: 1 }],
  ['no role', { ...row, role: 'x', roles: [], tokens: {} }],
])('PA-41 skipped with a reason: %s', (_, bad) => {
  const { devices, skipped } = parsePaired3x(JSON.stringify([bad, row]), NOW);
  expect(devices).toHaveLength(1);
  expect(skipped).toHaveLength(1);
});

test('PA-41 revoked, blank and short tokens do not come along', () => {
  for (const token of [{ token: TOKEN, revokedAtMs: 1 }, { token: '' }, { token: 'short' }, {}]) {
    expect(parsePaired3x(JSON.stringify([{ ...row, tokens: { operator: token } }]), NOW).devices[0]?.tokens).toEqual([]);
  }
});

test('PA-41 total', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => parsePaired3x(text, NOW).devices.length === 0));
});
