import { describe, expect, test } from 'vitest';
import { admitted, codeOf, FACTS, refused, SECRET, testDoor, testKey } from '../../test/support/door.ts';
import { isRefusal } from '../protocol/errors.ts';
import { PENDING } from './approvals.ts';
import { DEVICE_LIMITS } from './device-limits.ts';
import { CODE_LIMITS } from './pairing-codes.ts';
import type { DeviceRecord } from './ports.ts';
import { OWNER, type Principal } from './principal.ts';

const ASK = { auth: { token: SECRET } };
const messageOf = (answer: unknown): string => (isRefusal(answer) ? answer.error.message : 'done');
const helper = (...scopes: Principal['scopes'][number][]): Principal => ({
  ...OWNER,
  id: 'secret:local:127.0.0.1',
  kind: 'secret',
  scopes,
});

describe('requests', () => {
  test('PA-20 the same request keeps its id and is written once; a request that asks for other things is another', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.remote, ASK, key);
    const [first] = door.approvals.pending();
    const writes = door.devices.writes;
    for (let i = 0; i < 5; i++) await door.knock(FACTS.remote, ASK, key);
    expect(door.approvals.pending()).toEqual([first]);
    expect(door.devices.writes).toBe(writes);
    await door.clock.advance(PENDING.changeMs);
    await door.knock(FACTS.remote, { ...ASK, scopes: ['operator.admin'] }, key);
    const [second, ...more] = door.approvals.pending();
    expect(more).toEqual([]);
    expect(second?.requestId).not.toBe(first?.requestId);
    expect(messageOf(await door.approvals.approve(first?.requestId, OWNER))).toBe('unknown requestId');
  });

  test('PA-52: a device that shows something else at every knock is one request, told and written once a minute; what waits is what is approved', async () => {
    const door = testDoor();
    const key = testKey();
    const as = (n: number) => ({ ...ASK, scopes: ['operator.read'], client: { displayName: `name ${n}` } });
    const idOf = async (n: number): Promise<unknown> => refused(await door.knock(FACTS.remote, as(n), key)).error.details?.['requestId'];
    const first = await idOf(0);
    const writes = door.devices.writes;
    for (let n = 1; n < 500; n++) expect(await idOf(n)).toBe(first);
    // Other scopes, another platform, another client: nothing of what is shown may change behind the one who reads it.
    await door.knock(FACTS.remote, { ...ASK, scopes: ['operator.admin'], client: { platform: 'plan9' } }, key);
    expect([door.devices.writes, door.events.length]).toEqual([writes, 1]);
    await door.clock.advance(PENDING.changeMs);
    const second = await idOf(501);
    expect(second).not.toBe(first);
    for (let n = 502; n < 600; n++) expect(await idOf(n)).toBe(second);
    expect([door.devices.writes, door.events.length]).toEqual([writes + 1, 2]);
    expect(messageOf(await door.approvals.approve(String(first), OWNER))).toBe('unknown requestId');
    expect(await door.approvals.approve(String(second), OWNER)).toMatchObject({
      device: { displayName: 'name 501', platform: 'linux', roles: [{ role: 'operator', scopes: ['operator.read'] }] },
    });
  });

  test('PA-52: one that waits to the end of its ten minutes writes once a minute, and knocks of a crowd that is refused write nothing', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.remote, ASK, key);
    const writes = door.devices.writes;
    for (let second = 2; second < 600; second += 2) {
      await door.clock.advance(2_000);
      await door.knock(FACTS.remote, ASK, key);
    }
    expect(door.devices.writes - writes).toBeLessThanOrEqual(10);
    for (let i = 0; i < PENDING.perSource; i++) await door.knock(FACTS.remote, ASK, testKey());
    const full = door.devices.writes;
    for (let i = 0; i < 50; i++) expect(codeOf(await door.knock(FACTS.remote, ASK, testKey()))).toBe('AUTH_RATE_LIMITED');
    expect(door.devices.writes).toBe(full);
  });

  test('PA-21 it lives five minutes after it was last repeated, ten at most', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.remote, ASK, key);
    const id = door.approvals.pending()[0]?.requestId;
    for (let minutes = 0; minutes < 9; minutes++) {
      await door.clock.advance(60_000);
      await door.knock(FACTS.remote, ASK, key);
    }
    expect(door.approvals.pending()[0]?.requestId).toBe(id);
    await door.clock.advance(60_000);
    expect(door.approvals.pending()).toEqual([]);
    await door.knock(FACTS.remote, ASK, key);
    expect(door.approvals.pending()[0]?.requestId).not.toBe(id);
    await door.clock.advance(PENDING.slidingMs);
    expect(door.approvals.pending()).toEqual([]);
  });

  test('PA-22 ten wait per address, a hundred in all', async () => {
    const door = testDoor();
    const from = (address: string) => ({ ...FACTS.remote, peer: { address } });
    for (let i = 0; i < PENDING.perSource; i++)
      expect(codeOf(await door.knock(from('192.0.2.1'), ASK, testKey()))).toBe('PAIRING_REQUIRED');
    const full = refused(await door.knock(from('192.0.2.1'), ASK, testKey()));
    expect(full.error).toMatchObject({ retryable: true, details: { code: 'AUTH_RATE_LIMITED' } });
    for (let i = PENDING.perSource; i < PENDING.total; i++) await door.knock(from(`192.0.2.${2 + Math.floor(i / 10)}`), ASK, testKey());
    expect(door.approvals.pending()).toHaveLength(PENDING.total);
    expect(codeOf(await door.knock(from('198.51.100.1'), ASK, testKey()))).toBe('AUTH_RATE_LIMITED');
  });
});

describe('paired devices are bounded', () => {
  const { perLetIn, total, graceMs } = DEVICE_LIMITS;
  const NEIGHBOUR = (uid: number) => ({ ...FACTS.neighbour, peerUid: { kind: 'other', uid } }) as const;
  /** Another device of the store, as if it had been paired so. */
  const put = (door: ReturnType<typeof testDoor>, count: number, patch: Partial<DeviceRecord>, used = true) =>
    door.devices.write((tx) => {
      const now = door.clock.now();
      for (let i = 0; i < count; i++) {
        const deviceId = `${patch.letInBy ?? 'person'} ${i}`;
        const base = { publicKey: 'k', platform: 'linux', clientId: 'cli', clientMode: 'cli', approvedVia: 'local', roles: [] };
        tx.putDevice({ ...base, deviceId, createdAtMs: now, approvedAtMs: now, ...patch });
        const life = { createdAtMs: now, expiresAtMs: now + 1e9, absoluteMs: now + 1e9 };
        tx.putToken({ id: deviceId, deviceId, role: 'operator', digest: deviceId, ...life, ...(used && { firstUsedAtMs: now }) });
      }
    });

  test('PA-53: new keys from one address come to an end; the answer names limit and command, and nobody who was in loses by it', async () => {
    const door = testDoor();
    const mine = testKey();
    const { handout } = admitted(await door.knock(FACTS.local, ASK, mine));
    for (let i = 1; i < perLetIn; i++) admitted(await door.knock(FACTS.local, ASK, testKey()));
    const writes = door.devices.writes;
    for (let i = 0; i < 5; i++) {
      const full = refused(await door.knock(FACTS.local, ASK, testKey()));
      expect(full.error).toMatchObject({ details: { code: 'DEVICE_LIMIT' } });
      expect(full.error.message).toMatch(/2048.*4096.*openclaw devices remove/);
    }
    expect([door.devices.writes, door.devices.countDevices()]).toEqual([writes, perLetIn]);
    // Who is in, who comes from elsewhere, and who has no device are not concerned.
    admitted(await door.knock(FACTS.local, { auth: { deviceToken: handout?.deviceToken } }, mine));
    admitted(await door.knock(FACTS.local, ASK, mine));
    admitted(await door.knock(FACTS.local, ASK));
    admitted(await door.knock(NEIGHBOUR(7), ASK, testKey()));
    await door.approvals.remove(mine.id);
    admitted(await door.knock(FACTS.local, ASK, testKey()));
  });

  test('PA-53: after a while those that never came back make room, the oldest first; one that did, or is connected, does not', async () => {
    const connected = new Set<string>();
    const door = testDoor({}, undefined, connected);
    const [oldest, came, open] = [testKey(), testKey(), testKey()];
    for (const key of [oldest, came, open]) {
      const { handout } = admitted(await door.knock(FACTS.local, ASK, key));
      if (key === came) await door.knock(FACTS.local, { auth: { deviceToken: handout?.deviceToken } }, key);
      await door.clock.advance(1);
    }
    connected.add(open.id);
    await put(door, perLetIn - 3, { letInBy: 'shared-secret local:127.0.0.1' });
    expect(codeOf(await door.knock(FACTS.local, ASK, testKey()))).toBe('DEVICE_LIMIT');
    await door.clock.advance(graceMs);
    expect(codeOf(await door.knock(FACTS.local, ASK, testKey()))).toBe('admitted');
    expect([oldest, came, open].map(({ id }) => door.devices.device(id) !== undefined)).toEqual([false, true, true]);
    expect(door.devices.countDevices()).toBe(perLetIn);
    await door.ports.audit.flush();
    expect(door.lines.find(({ event }) => event === 'device-forgotten')).toMatchObject({ deviceId: oldest.id });
    expect(codeOf(await door.knock(FACTS.local, ASK, testKey()))).toBe('DEVICE_LIMIT');
    // No tombstone: what let it in lets it in again.
    connected.delete(open.id);
    expect(codeOf(await door.knock(FACTS.local, ASK, oldest))).toBe('admitted');
  });

  test('PA-53: a device that comes by the secret each time, and never by its token, is alive; one that a person approved more for counts no more', async () => {
    const door = testDoor();
    const [daily, approved, silent] = [testKey(), testKey(), testKey()];
    for (const key of [daily, approved, silent]) await door.knock(FACTS.neighbour, ASK, key);
    await door.knock(FACTS.neighbour, { ...ASK, scopes: ['operator.approvals'] }, approved);
    await door.approvals.approve(undefined, OWNER);
    expect(door.devices.device(approved.id)).not.toHaveProperty('letInBy');
    await door.clock.advance(graceMs);
    await put(door, perLetIn - 2, { letInBy: 'shared-secret neighbour:1001' });
    await door.knock(FACTS.neighbour, ASK, daily);
    expect(codeOf(await door.knock(FACTS.neighbour, ASK, testKey()))).toBe('admitted');
    expect(codeOf(await door.knock(FACTS.neighbour, ASK, testKey()))).toBe('DEVICE_LIMIT');
    expect([daily, approved, silent].map(({ id }) => door.devices.device(id) !== undefined)).toEqual([true, true, false]);
  });

  test('PA-53: in all, by approval too; what a person said yes to is never forgotten for others', async () => {
    const door = testDoor();
    await put(door, total, {}, false);
    await door.clock.advance(graceMs);
    expect(codeOf(await door.knock(FACTS.local, ASK, testKey()))).toBe('DEVICE_LIMIT');
    expect(codeOf(await door.knock(FACTS.remote, ASK, testKey()))).toBe('PAIRING_REQUIRED');
    expect(messageOf(await door.approvals.approve(undefined, OWNER))).toContain('openclaw devices remove');
    expect(door.devices.countDevices()).toBe(total);
  });

  test('PA-53: many that come at once at the bound each make room once', async () => {
    const door = testDoor();
    await put(door, perLetIn, { letInBy: 'shared-secret local:127.0.0.1' }, false);
    await door.clock.advance(graceMs);
    const answers = await Promise.all(Array.from({ length: 40 }, () => door.knock(FACTS.local, ASK, testKey())));
    expect(answers.map(codeOf)).toEqual(answers.map(() => 'admitted'));
    expect(door.devices.countDevices()).toBe(perLetIn);
  });
});

test('PA-32 what is shown for approval cannot write on the terminal', async () => {
  const door = testDoor();
  await door.knock(FACTS.remote, { ...ASK, client: { displayName: 'laptop\u001b[2J\u202e', platform: 'linux\n' } }, testKey());
  expect(door.approvals.pending()[0]).toMatchObject({ displayName: 'laptop\\u001b[2J\\u202e', platform: 'linux\\u000a' });
});

describe('answers', () => {
  test('PA-23 approve: paired with what was asked, told to listeners, and the device gets in', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.remote, ASK, key);
    const id = door.approvals.pending()[0]?.requestId;
    const answer = await door.approvals.approve(undefined, OWNER);
    expect(answer).toMatchObject({
      requestId: id,
      device: { deviceId: key.id, approvedVia: 'socket', roles: [{ role: 'operator', scopes: ['operator.read', 'operator.write'] }] },
    });
    expect(door.events.at(-1)).toEqual({ kind: 'resolved', requestId: id, deviceId: key.id, decision: 'approved', ts: door.clock.now() });
    expect(door.approvals.pending()).toEqual([]);
    expect(admitted(await door.knock(FACTS.remote, ASK, key)).handout).toBeDefined();
  });

  test('PA-24 without an id it refuses when more than one waits, and when none does', async () => {
    const door = testDoor();
    expect(messageOf(await door.approvals.approve(undefined, OWNER))).toBe('no device waits for approval');
    for (const _ of [1, 2]) await door.knock(FACTS.remote, ASK, testKey());
    expect(messageOf(await door.approvals.approve(undefined, OWNER))).toBe('2 devices wait; say which one');
    expect(messageOf(await door.approvals.approve('nope', OWNER))).toBe('unknown requestId');
  });

  test('PA-25 nobody hands out what it does not hold', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.remote, { ...ASK, scopes: ['operator.admin'] }, key);
    const id = door.approvals.pending()[0]?.requestId;
    const weak = helper('operator.pairing', 'operator.write');
    expect(messageOf(await door.approvals.approve(id, weak))).toBe('missing scope: operator.admin');
    await door.approvals.approve(id, OWNER);
    expect(messageOf(await door.approvals.rotate(key.id, 'operator', undefined, weak))).toBe('missing scope: operator.admin');
    expect(messageOf(await door.approvals.rotate(key.id, 'operator', ['operator.read'], weak))).toBe('missing scope: operator.admin');
    expect(messageOf(await door.approvals.rotate(key.id, 'operator', ['operator.read'], { ...weak, deviceId: key.id }))).toBe('done');
    expect(messageOf(await door.approvals.revoke(key.id, 'operator', weak))).toBe('missing scope: operator.admin');
    // Taking a device away asks for nothing more than `operator.pairing`.
    expect(messageOf(await door.approvals.remove(key.id))).toBe('done');
    const roles = [{ role: 'operator', scopes: ['operator.admin'] }] as const;
    expect(messageOf(await door.approvals.issueCode({ kind: 'link', roles }, weak))).toBe('missing scope: operator.admin');
  });

  test('PA-25 saying yes to a device whose details changed gives back what it had, so the approver must hold that too', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.local, { ...ASK, scopes: ['operator.admin'] }, key);
    const changed = { ...ASK, scopes: ['operator.read'], client: { platform: 'plan9' } };
    expect(codeOf(await door.knock(FACTS.local, changed, key))).toBe('PAIRING_REQUIRED');
    const id = door.approvals.pending()[0]?.requestId;
    expect(messageOf(await door.approvals.approve(id, helper('operator.pairing', 'operator.write')))).toBe('missing scope: operator.admin');
    expect(messageOf(await door.approvals.approve(id, OWNER))).toBe('done');
  });

  test('PA-26 reject: gone, told to listeners; the next knock is a new request', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.remote, ASK, key);
    const id = door.approvals.pending()[0]?.requestId ?? '';
    expect(await door.approvals.reject(id)).toEqual({ requestId: id, deviceId: key.id });
    expect(door.events.at(-1)).toMatchObject({ kind: 'resolved', decision: 'rejected' });
    expect(messageOf(await door.approvals.reject(id))).toBe('unknown requestId');
    await door.knock(FACTS.remote, ASK, key);
    expect(door.approvals.pending()[0]?.requestId).not.toBe(id);
  });

  test('PA-33 the next request is told whether the last one was declined or ran out, and an approval ends the matter', async () => {
    const door = testDoor();
    const key = testKey();
    const previous = async (): Promise<unknown> => {
      const answer = await door.knock(FACTS.remote, ASK, key);
      return answer.ok ? 'in' : answer.error.details?.['previousRequest'];
    };
    expect(await previous()).toBeUndefined();
    await door.approvals.reject(door.approvals.pending()[0]?.requestId ?? '');
    expect(await previous()).toBe('rejected');
    await door.clock.advance(PENDING.maxMs);
    expect(await previous()).toBe('expired');
    await door.approvals.approve(undefined, OWNER);
    expect(await previous()).toBe('in');
    await door.approvals.remove(key.id);
    expect(await previous()).toBeUndefined();
  });

  test('PA-27 a scope upgrade keeps what was approved and adds what was asked', async () => {
    const door = testDoor();
    const key = testKey();
    await door.knock(FACTS.neighbour, { ...ASK, scopes: ['operator.approvals'] }, key);
    await door.approvals.approve(undefined, OWNER);
    expect(door.devices.device(key.id)?.roles).toEqual([
      { role: 'operator', scopes: ['operator.approvals', 'operator.read', 'operator.write'] },
    ]);
  });

  test('PA-28 rotate: the old token is dead, the new one is worth what was said, connections are told to close', async () => {
    const door = testDoor();
    const key = testKey();
    const old = admitted(await door.knock(FACTS.local, ASK, key)).handout?.deviceToken;
    const answer = await door.approvals.rotate(key.id, 'operator', ['operator.read'], OWNER);
    if (isRefusal(answer)) throw new Error(answer.error.message);
    expect(answer).toMatchObject({ deviceId: key.id, role: 'operator', scopes: ['operator.read'], rotatedAtMs: door.clock.now() });
    expect(door.events.at(-1)).toMatchObject({ kind: 'revoked', deviceId: key.id, role: 'operator' });
    expect(codeOf(await door.knock(FACTS.remote, { auth: { deviceToken: old } }, key))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect(admitted(await door.knock(FACTS.remote, { auth: { deviceToken: answer.token } }, key)).principal.scopes).toEqual([
      'operator.read',
    ]);
    expect(messageOf(await door.approvals.rotate(key.id, 'operator', ['operator.admin'], OWNER))).toContain('not approved');
    expect(messageOf(await door.approvals.rotate(key.id, 'node', undefined, OWNER))).toBe('unknown deviceId/role');
  });

  test('PA-51: a rotation by another than the device makes no token at all, but ends those that were', async () => {
    const door = testDoor();
    const key = testKey();
    const old = admitted(await door.knock(FACTS.local, ASK, key)).handout?.deviceToken;
    const other = helper('operator.pairing', 'operator.admin');
    const answer = await door.approvals.rotate(key.id, 'operator', undefined, other);
    expect(answer).not.toHaveProperty('token');
    expect(answer).toMatchObject({ deviceId: key.id, tokenDelivery: 'withheld-cross-device' });
    expect(door.devices.tokens(key.id)).toEqual([]);
    expect(codeOf(await door.knock(FACTS.remote, { auth: { deviceToken: old } }, key))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    const own = await door.approvals.rotate(key.id, 'operator', undefined, { ...other, deviceId: key.id });
    expect(own).toMatchObject({ token: expect.any(String), tokenDelivery: 'in-band' });
  });

  test('PA-56: a call that comes to its turn after what its connection came in by was revoked does nothing', async () => {
    const door = testDoor();
    const [key, other] = [testKey(), testKey()];
    const all = { ...ASK, scopes: ['operator.admin', 'operator.pairing'] };
    const { handout } = admitted(await door.knock(FACTS.local, all, key));
    const { principal } = admitted(await door.knock(FACTS.local, { scopes: all.scopes, auth: { deviceToken: handout?.deviceToken } }, key));
    await door.knock(FACTS.remote, ASK, other);
    const [first, second, revoke, approve] = await Promise.all([
      door.approvals.rotate(key.id, 'operator', undefined, principal),
      door.approvals.rotate(key.id, 'operator', undefined, principal),
      door.approvals.revoke(key.id, 'operator', principal),
      door.approvals.approve(undefined, principal),
    ]);
    expect([first, second, revoke, approve].map(messageOf)).toEqual(['done', ...Array(3).fill(expect.stringContaining('was revoked'))]);
    const { token } = first as { token: string };
    expect(codeOf(await door.knock(FACTS.remote, { auth: { deviceToken: token } }, key))).toBe('admitted');
    expect(door.approvals.pending()).toHaveLength(1);
  });

  test('PA-29 revoke: the token is dead, the device may come back with the secret', async () => {
    const door = testDoor();
    const key = testKey();
    const old = admitted(await door.knock(FACTS.local, ASK, key)).handout?.deviceToken;
    expect(await door.approvals.revoke(key.id, 'operator', OWNER)).toMatchObject({ deviceId: key.id, role: 'operator' });
    expect(codeOf(await door.knock(FACTS.remote, { auth: { deviceToken: old } }, key))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect(codeOf(await door.knock(FACTS.remote, ASK, key))).toBe('admitted');
    expect(messageOf(await door.approvals.revoke('nope', 'operator', OWNER))).toBe('unknown deviceId/role');
  });

  test('PA-30 node is approved always, also with the secret and locally; then needs no more', async () => {
    const door = testDoor();
    const key = testKey();
    const ask = { ...ASK, role: 'node', scopes: [] };
    expect(codeOf(await door.knock(FACTS.local, ask, key))).toBe('PAIRING_REQUIRED');
    await door.approvals.approve(undefined, helper('operator.pairing'));
    const one = admitted(await door.knock(FACTS.remote, ask, key, 3));
    expect(one.principal).toMatchObject({ role: 'node', scopes: [] });
    expect(one.handout?.role).toBe('node');
    // The same key asks for another role: that is another approval.
    expect(refused(await door.knock(FACTS.remote, ASK, key)).error.details).toMatchObject({ reason: 'role-upgrade' });
  });

  test('PA-31 at most 32 codes wait', async () => {
    const door = testDoor();
    const options = { kind: 'link', roles: [{ role: 'operator', scopes: ['operator.read'] }] } as const;
    for (let i = 0; i < CODE_LIMITS.live; i++) expect(messageOf(await door.approvals.issueCode(options, OWNER))).toBe('done');
    expect(messageOf(await door.approvals.issueCode(options, OWNER))).toContain('too many');
    await door.clock.advance(CODE_LIMITS.maxTtlMs);
    expect(messageOf(await door.approvals.issueCode(options, OWNER))).toBe('done');
  });
});
