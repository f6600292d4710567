import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { memoryDevices } from '../../../test/support/memory-devices.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import type { CodeRecord, DeviceRecord, DeviceStore, PendingRecord, TokenRecord } from '../../auth/ports.ts';
import { AUDIT_SCHEMA, sqliteAudit } from './audit.ts';
import { DEVICES_LET_IN_STEP, DEVICES_SCHEMA, sqliteDevices } from './devices.ts';
import { openDatabase, type Store } from './open.ts';

const dir = tempDir();
const open: Store[] = [];
let count = 0;
async function database(file = join(dir.path, `${count++}.db`)): Promise<Store> {
  const store = await openDatabase(file, { schemas: [DEVICES_SCHEMA, AUDIT_SCHEMA, DEVICES_LET_IN_STEP] });
  if (!store.ok) throw store.error;
  open.push(store.value);
  return store.value;
}
afterAll(async () => {
  for (const store of open) await store.close();
  dir[Symbol.dispose]();
});

const device = (id: string, patch: Partial<DeviceRecord> = {}): DeviceRecord => ({
  deviceId: id,
  publicKey: 'key',
  platform: 'linux',
  clientId: 'cli',
  clientMode: 'cli',
  approvedVia: 'local',
  roles: [{ role: 'operator', scopes: ['operator.read'] }],
  createdAtMs: 1,
  approvedAtMs: 1,
  ...patch,
});
const token = (id: string, patch: Partial<TokenRecord> = {}): TokenRecord => ({
  id,
  deviceId: 'a',
  role: 'operator',
  digest: `digest of ${id}`,
  createdAtMs: 1,
  expiresAtMs: 2,
  absoluteMs: 3,
  ...patch,
});
const pending = (id: string, createdAtMs: number): PendingRecord => ({
  requestId: id,
  deviceId: 'a',
  publicKey: 'key',
  platform: 'linux',
  clientId: 'cli',
  clientMode: 'cli',
  role: 'operator',
  scopes: [],
  reason: 'not-paired',
  source: 's',
  isRepair: false,
  createdAtMs,
  expiresAtMs: 9,
});
const code = (id: string): CodeRecord => ({
  id,
  digest: `digest of ${id}`,
  kind: 'link',
  roles: [{ role: 'node', scopes: [] }],
  createdAtMs: 1,
  expiresAtMs: 2,
  createdBy: 'socket',
});

/** What every adapter of the port promises. */
function deviceStoreContract(name: string, make: () => Promise<DeviceStore>): void {
  describe(name, () => {
    test('ST-50 what was put is read back, in order of age; tombstones by id alone', async () => {
      const store = await make();
      await store.write((tx) => {
        tx.putDevice(device('b', { createdAtMs: 2, displayName: "o'neil\u0000" }));
        tx.putDevice(device('a'));
        tx.putDevice(device('c', { removedAtMs: 5 }));
        tx.putToken(token('t2', { createdAtMs: 2 }));
        tx.putToken(token('t1'));
        tx.putToken(token('t3', { deviceId: 'b' }));
        tx.putPending(pending('p2', 2));
        tx.putPending(pending('p1', 1));
        tx.putCode(code('c1'));
      });
      expect(store.paired().map(({ device: { deviceId } }) => deviceId)).toEqual(['a', 'b']);
      expect(store.device('b')?.displayName).toBe("o'neil\u0000");
      expect(store.device('c')?.removedAtMs).toBe(5);
      expect(store.device('d')).toBeUndefined();
      expect(store.tokens('a').map(({ id }) => id)).toEqual(['t1', 't2']);
      expect(store.tokenByDigest('digest of t3')).toEqual(token('t3', { deviceId: 'b' }));
      expect(store.tokenByDigest('none')).toBeUndefined();
      expect(store.pending().map(({ requestId }) => requestId)).toEqual(['p1', 'p2']);
      expect(store.codeByDigest('digest of c1')).toEqual(code('c1'));
      expect(store.codes()).toEqual([code('c1')]);
    });

    test('ST-50 a put replaces, a drop removes', async () => {
      const store = await make();
      await store.write((tx) => {
        tx.putDevice(device('a'));
        tx.putToken(token('t1'));
        tx.putToken(token('t1', { lastUsedAtMs: 7 }));
        tx.putPending(pending('p1', 1));
        tx.putPending({ ...pending('p1', 1), expiresAtMs: 11 });
        tx.putCode(code('c1'));
        tx.putCode({ ...code('c1'), boundTo: 'a' });
        tx.putDevice(device('a', { platform: 'darwin' }));
      });
      expect(store.tokens('a')).toEqual([token('t1', { lastUsedAtMs: 7 })]);
      expect(store.pending()[0]?.expiresAtMs).toBe(11);
      expect(store.codes()[0]?.boundTo).toBe('a');
      expect(store.device('a')?.platform).toBe('darwin');
      await store.write((tx) => {
        tx.dropToken('t1');
        tx.dropPending('p1');
        tx.dropCode('c1');
        tx.dropCode('none');
      });
      expect([store.tokens('a'), store.pending(), store.codes()]).toEqual([[], [], []]);
    });

    test('ST-51 work sees its own changes and gives its result; when it throws nothing of it stays', async () => {
      const store = await make();
      const seen = await store.write((tx) => {
        tx.putDevice(device('a'));
        return tx.device('a')?.deviceId;
      });
      expect(seen).toBe('a');
      const failed = store.write((tx) => {
        tx.putDevice(device('b'));
        throw new Error('no');
      });
      await expect(failed).rejects.toThrow('no');
      expect(store.paired().map(({ device: { deviceId } }) => deviceId)).toEqual(['a']);
    });

    test('PA-54: the list of the paired is what was written last, whatever happened in between, and counts agree with it', async () => {
      const store = await make();
      const ids = (): string[] => store.paired().map(({ device: { deviceId }, tokens }) => `${deviceId}:${tokens.map(({ id }) => id)}`);
      expect([ids(), store.pending()]).toEqual([[], []]);
      await store.write((tx) => {
        tx.putDevice(device('b', { createdAtMs: 2, letInBy: 'here' }));
        tx.putToken(token('t1', { deviceId: 'b' }));
        tx.putPending(pending('p1', 1));
      });
      expect(ids()).toEqual(['b:t1']);
      await store.write((tx) => {
        tx.putDevice(device('a', { letInBy: 'here' }));
        tx.putDevice(device('c', { createdAtMs: 3 }));
        tx.putToken(token('t2'));
      });
      expect([ids(), store.countDevices(), store.countDevices('here')]).toEqual([['a:t2', 'b:t1', 'c:'], 3, 2]);
      await expect(
        store.write((tx) => {
          tx.dropDevice('a');
          tx.dropPending('p1');
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      expect([ids(), store.pending().length]).toEqual([['a:t2', 'b:t1', 'c:'], 1]);
      await store.write((tx) => {
        tx.dropToken('t1');
        tx.dropDevice('a');
        tx.putDevice(device('c', { createdAtMs: 3, removedAtMs: 9 }));
        tx.dropPending('p1');
      });
      expect([ids(), store.tokens('a'), store.countDevices('here'), store.pending()]).toEqual([['b:'], [], 1, []]);
    });

    test('PA-55: of the removed ones as many are remembered as are asked for, those paired last', async () => {
      const store = await make();
      await store.write((tx) => {
        for (let i = 0; i < 6; i++) tx.putDevice(device(`d${i}`, { createdAtMs: i, ...(i > 0 && { removedAtMs: 9 }) }));
        tx.trimTombstones(3);
      });
      const known = [0, 1, 2, 3, 4, 5].filter((i) => store.device(`d${i}`) !== undefined);
      expect(known).toEqual([0, 3, 4, 5]);
    });

    test('ST-51 works of one moment run one after the other', async () => {
      const store = await make();
      const add = () => store.write((tx) => tx.putDevice(device(`d${tx.countDevices()}`)));
      await Promise.all([add(), add(), add()]);
      expect(store.paired()).toHaveLength(3);
    });
  });
}

deviceStoreContract('devices in memory', async () => memoryDevices());
deviceStoreContract('devices in SQLite', async () => sqliteDevices(await database()));

test('PA-54: what has not changed is the same object', async () => {
  const store = sqliteDevices(await database());
  await store.write((tx) => tx.putDevice(device('a')));
  const list = store.paired();
  expect(store.paired()).toBe(list);
  await store.write((tx) => tx.putToken(token('t', { deviceId: 'b' })));
  await store.write((tx) => tx.putDevice(device('b', { createdAtMs: 2 })));
  expect(store.paired()[0]).toBe(list[0]);
  expect(store.paired()[1]?.tokens).toHaveLength(1);
});

test('ST-52 devices survive closing the file', async () => {
  const file = join(dir.path, 'again.db');
  const first = await database(file);
  await sqliteDevices(first).write((tx) => tx.putDevice(device('a')));
  await first.close();
  expect(sqliteDevices(await database(file)).device('a')).toEqual(device('a'));
});

test('ST-53 the audit log keeps the latest lines, newest first', async () => {
  const log = sqliteAudit(await database(), 3);
  for (let i = 0; i < 5; i++) await log.append([{ event: 'refused', atMs: i, count: 1 }]);
  expect(log.latest(10).map(({ atMs }) => atMs)).toEqual([4, 3, 2]);
  await log.append([
    { event: 'x', atMs: 9, count: 2 },
    { event: 'y', atMs: 10, count: 1 },
  ]);
  expect(log.latest(2).map(({ event }) => event)).toEqual(['y', 'x']);
});
