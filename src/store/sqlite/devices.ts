import type {
  CodeRecord,
  DeviceReads,
  DeviceRecord,
  DeviceStore,
  DeviceWrites,
  PairedDevice,
  PendingRecord,
  TokenRecord,
} from '../../auth/ports.ts';
import type { Database, Tx } from './database.ts';

/** What is looked up by stands in columns of its own, the record itself as JSON beside it. */
export const DEVICES_SCHEMA = `
CREATE TABLE IF NOT EXISTS devices (
  device_id TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL,
  removed INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS device_tokens (
  id TEXT PRIMARY KEY,
  device_id TEXT NOT NULL,
  digest TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS device_tokens_by_device ON device_tokens (device_id, created_at);
CREATE TABLE IF NOT EXISTS pairing_pending (
  request_id TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pairing_codes (
  id TEXT PRIMARY KEY,
  digest TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL,
  record TEXT NOT NULL
) STRICT, WITHOUT ROWID;
`;

/** Devices are counted by what let them in. */
export const DEVICES_LET_IN_STEP = `
ALTER TABLE devices ADD COLUMN let_in_by TEXT;
CREATE INDEX devices_by_let_in ON devices (removed, let_in_by);
`;

/** The devices of the state dir on its one database. Lists that are asked for often are kept, and read again where something was written. */
export function sqliteDevices(db: Database): DeviceStore {
  const reads = readsOn(db);
  const kept = new KeptLists(db, reads);
  return {
    ...reads,
    pending: () => kept.pending(),
    paired: () => kept.paired(),
    // Marked inside the transaction: nothing reads the lists before it has ended, committed or not.
    write: (work) => db.write((tx) => work(writesOn(tx, kept))),
  };
}

/** What writes tell of themselves. */
interface Touched {
  device(deviceId: string): void;
  pendings(): void;
}

class KeptLists implements Touched {
  readonly #db: Pick<Tx, 'prepare'>;
  readonly #reads: DeviceReads;
  #pending: readonly PendingRecord[] | undefined;
  #paired: Map<string, PairedDevice> | undefined;
  #list: readonly PairedDevice[] = [];
  readonly #changed = new Set<string>();

  constructor(db: Pick<Tx, 'prepare'>, reads: DeviceReads) {
    this.#db = db;
    this.#reads = reads;
  }

  device(deviceId: string): void {
    if (this.#paired !== undefined) this.#changed.add(deviceId);
  }
  pendings(): void {
    this.#pending = undefined;
  }

  pending(): readonly PendingRecord[] {
    this.#pending ??= this.#reads.pending();
    return this.#pending;
  }

  paired(): readonly PairedDevice[] {
    const paired = this.#paired ?? this.#readAll();
    if (this.#paired === paired && this.#changed.size === 0) return this.#list;
    this.#paired = paired;
    for (const id of this.#changed) {
      const device = this.#reads.device(id);
      if (device === undefined || device.removedAtMs !== undefined) paired.delete(id);
      else paired.set(id, { device, tokens: this.#reads.tokens(id) });
    }
    this.#changed.clear();
    this.#list = [...paired.values()].sort((a, b) => a.device.createdAtMs - b.device.createdAtMs);
    return this.#list;
  }

  /** Two statements, however many devices there are. */
  #readAll(): Map<string, PairedDevice> {
    const tokens = new Map<string, TokenRecord[]>();
    for (const row of this.#db.prepare('SELECT record FROM device_tokens ORDER BY device_id, created_at, id').all()) {
      const token = recordOf<TokenRecord>(row);
      const of = tokens.get(token.deviceId);
      if (of === undefined) tokens.set(token.deviceId, [token]);
      else of.push(token);
    }
    const paired = new Map<string, PairedDevice>();
    for (const row of this.#db.prepare('SELECT record FROM devices WHERE removed = 0 ORDER BY created_at, device_id').all()) {
      const device = recordOf<DeviceRecord>(row);
      paired.set(device.deviceId, { device, tokens: tokens.get(device.deviceId) ?? [] });
    }
    return paired;
  }
}

function readsOn(db: Pick<Tx, 'prepare'>): DeviceReads {
  const one = <T>(sql: string, key: string): T | undefined => {
    const row = db.prepare(sql).get(key);
    return row === undefined ? undefined : recordOf<T>(row);
  };
  const all = <T>(sql: string, ...keys: string[]): T[] =>
    db
      .prepare(sql)
      .all(...keys)
      .map((row) => recordOf<T>(row));
  const count = (sql: string, ...keys: string[]): number => Number(db.prepare(sql).get(...keys)?.['n'] ?? 0);
  return {
    device: (id) => one<DeviceRecord>('SELECT record FROM devices WHERE device_id = ?', id),
    countDevices: (letInBy) =>
      letInBy === undefined
        ? count('SELECT count(*) AS n FROM devices WHERE removed = 0')
        : count('SELECT count(*) AS n FROM devices WHERE removed = 0 AND let_in_by = ?', letInBy),
    tokens: (deviceId) => all<TokenRecord>('SELECT record FROM device_tokens WHERE device_id = ? ORDER BY created_at, id', deviceId),
    tokenByDigest: (digest) => one<TokenRecord>('SELECT record FROM device_tokens WHERE digest = ?', digest),
    pending: () => all<PendingRecord>('SELECT record FROM pairing_pending ORDER BY created_at, request_id'),
    codes: () => all<CodeRecord>('SELECT record FROM pairing_codes ORDER BY created_at, id'),
    codeByDigest: (digest) => one<CodeRecord>('SELECT record FROM pairing_codes WHERE digest = ?', digest),
  };
}

function writesOn(tx: Tx, touched: Touched): DeviceWrites {
  const run = (sql: string, ...values: (string | number | null)[]): void => {
    tx.prepare(sql).run(...values);
  };
  return {
    ...readsOn(tx),
    putDevice: (r) => {
      touched.device(r.deviceId);
      run(
        'INSERT INTO devices (device_id, created_at, removed, let_in_by, record) VALUES (?, ?, ?, ?, ?) ON CONFLICT (device_id) DO UPDATE SET created_at = excluded.created_at, removed = excluded.removed, let_in_by = excluded.let_in_by, record = excluded.record',
        r.deviceId,
        r.createdAtMs,
        r.removedAtMs === undefined ? 0 : 1,
        r.letInBy ?? null,
        JSON.stringify(r),
      );
    },
    dropDevice: (id) => {
      touched.device(id);
      run('DELETE FROM device_tokens WHERE device_id = ?', id);
      run('DELETE FROM devices WHERE device_id = ?', id);
    },
    trimTombstones: (keep) =>
      run(
        'DELETE FROM devices WHERE removed = 1 AND device_id IN (SELECT device_id FROM devices WHERE removed = 1 ORDER BY created_at DESC, device_id LIMIT -1 OFFSET ?)',
        keep,
      ),
    putToken: (r) => {
      touched.device(r.deviceId);
      run(
        'INSERT INTO device_tokens (id, device_id, digest, created_at, record) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record',
        r.id,
        r.deviceId,
        r.digest,
        r.createdAtMs,
        JSON.stringify(r),
      );
    },
    dropToken: (id) => {
      const owner = tx.prepare('SELECT device_id FROM device_tokens WHERE id = ?').get(id)?.['device_id'];
      if (owner !== undefined) touched.device(String(owner));
      run('DELETE FROM device_tokens WHERE id = ?', id);
    },
    putPending: (r) => {
      touched.pendings();
      run(
        'INSERT INTO pairing_pending (request_id, created_at, record) VALUES (?, ?, ?) ON CONFLICT (request_id) DO UPDATE SET record = excluded.record',
        r.requestId,
        r.createdAtMs,
        JSON.stringify(r),
      );
    },
    dropPending: (id) => {
      touched.pendings();
      run('DELETE FROM pairing_pending WHERE request_id = ?', id);
    },
    putCode: (r) =>
      run(
        'INSERT INTO pairing_codes (id, digest, created_at, record) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record',
        r.id,
        r.digest,
        r.createdAtMs,
        JSON.stringify(r),
      ),
    dropCode: (id) => run('DELETE FROM pairing_codes WHERE id = ?', id),
  };
}

/** Only this adapter writes the column, so what it holds is what was put. */
const recordOf = <T>(row: Record<string, unknown>): T => JSON.parse(String(row['record'])) as T;
