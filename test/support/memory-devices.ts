import type { CodeRecord, DeviceRecord, DeviceStore, DeviceWrites, PendingRecord, TokenRecord } from '../../src/auth/ports.ts';

interface Tables {
  devices: Map<string, DeviceRecord>;
  tokens: Map<string, TokenRecord>;
  pending: Map<string, PendingRecord>;
  codes: Map<string, CodeRecord>;
}

const oldestFirst = <T extends { readonly createdAtMs: number }>(records: Iterable<T>): T[] =>
  [...records].sort((a, b) => a.createdAtMs - b.createdAtMs);

/** The port in memory, for tests of what stands on it. `writes` counts transactions. */
export function memoryDevices(): DeviceStore & { readonly writes: number } {
  let tables: Tables = { devices: new Map(), tokens: new Map(), pending: new Map(), codes: new Map() };
  let writes = 0;
  const live = (): DeviceRecord[] => oldestFirst(tables.devices.values()).filter(({ removedAtMs }) => removedAtMs === undefined);
  const reads = {
    device: (id: string) => tables.devices.get(id),
    countDevices: (letInBy?: string) => live().filter((device) => letInBy === undefined || device.letInBy === letInBy).length,
    tokens: (deviceId: string) => oldestFirst(tables.tokens.values()).filter((token) => token.deviceId === deviceId),
    tokenByDigest: (digest: string) => [...tables.tokens.values()].find((token) => token.digest === digest),
    pending: () => oldestFirst(tables.pending.values()),
    codes: () => oldestFirst(tables.codes.values()),
    codeByDigest: (digest: string) => [...tables.codes.values()].find((code) => code.digest === digest),
  };
  const tx: DeviceWrites = {
    ...reads,
    putDevice: (r) => void tables.devices.set(r.deviceId, r),
    dropDevice: (id) => {
      for (const { id: token } of reads.tokens(id)) tables.tokens.delete(token);
      tables.devices.delete(id);
    },
    trimTombstones: (keep) => {
      const tombs = oldestFirst(tables.devices.values()).filter(({ removedAtMs }) => removedAtMs !== undefined);
      for (const { deviceId } of tombs.slice(0, Math.max(0, tombs.length - keep))) tables.devices.delete(deviceId);
    },
    putToken: (r) => void tables.tokens.set(r.id, r),
    dropToken: (id) => void tables.tokens.delete(id),
    putPending: (r) => void tables.pending.set(r.requestId, r),
    dropPending: (id) => void tables.pending.delete(id),
    putCode: (r) => void tables.codes.set(r.id, r),
    dropCode: (id) => void tables.codes.delete(id),
  };
  return {
    ...reads,
    paired: () => live().map((device) => ({ device, tokens: reads.tokens(device.deviceId) })),
    get writes() {
      return writes;
    },
    async write(work) {
      await Promise.resolve();
      const before: Tables = {
        devices: new Map(tables.devices),
        tokens: new Map(tables.tokens),
        pending: new Map(tables.pending),
        codes: new Map(tables.codes),
      };
      try {
        const result = work(tx);
        writes++;
        return result;
      } catch (thrown) {
        tables = before;
        throw thrown;
      }
    },
  };
}
