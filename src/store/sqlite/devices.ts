import type { CodeRecord, DeviceReads, DeviceRecord, DeviceStore, DeviceWrites, PendingRecord, TokenRecord } from '../../auth/ports.ts';
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

/** The devices of the state dir on its one database. */
export function sqliteDevices(db: Database): DeviceStore {
  return { ...readsOn(db), write: (work) => db.write((tx) => work(writesOn(tx))) };
}

function readsOn(db: Tx): DeviceReads {
  const one = <T>(sql: string, key: string): T | undefined => {
    const row = db.prepare(sql).get(key);
    return row === undefined ? undefined : recordOf<T>(row);
  };
  const all = <T>(sql: string, ...keys: string[]): T[] =>
    db
      .prepare(sql)
      .all(...keys)
      .map((row) => recordOf<T>(row));
  return {
    device: (id) => one<DeviceRecord>('SELECT record FROM devices WHERE device_id = ?', id),
    devices: () => all<DeviceRecord>('SELECT record FROM devices WHERE removed = 0 ORDER BY created_at, device_id'),
    tokens: (deviceId) => all<TokenRecord>('SELECT record FROM device_tokens WHERE device_id = ? ORDER BY created_at, id', deviceId),
    tokenByDigest: (digest) => one<TokenRecord>('SELECT record FROM device_tokens WHERE digest = ?', digest),
    pending: () => all<PendingRecord>('SELECT record FROM pairing_pending ORDER BY created_at, request_id'),
    codes: () => all<CodeRecord>('SELECT record FROM pairing_codes ORDER BY created_at, id'),
    codeByDigest: (digest) => one<CodeRecord>('SELECT record FROM pairing_codes WHERE digest = ?', digest),
  };
}

function writesOn(tx: Tx): DeviceWrites {
  const run = (sql: string, ...values: (string | number)[]): void => {
    tx.prepare(sql).run(...values);
  };
  return {
    ...readsOn(tx),
    putDevice: (r) =>
      run(
        'INSERT INTO devices (device_id, created_at, removed, record) VALUES (?, ?, ?, ?) ON CONFLICT (device_id) DO UPDATE SET created_at = excluded.created_at, removed = excluded.removed, record = excluded.record',
        r.deviceId,
        r.createdAtMs,
        r.removedAtMs === undefined ? 0 : 1,
        JSON.stringify(r),
      ),
    putToken: (r) =>
      run(
        'INSERT INTO device_tokens (id, device_id, digest, created_at, record) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record',
        r.id,
        r.deviceId,
        r.digest,
        r.createdAtMs,
        JSON.stringify(r),
      ),
    dropToken: (id) => run('DELETE FROM device_tokens WHERE id = ?', id),
    putPending: (r) =>
      run(
        'INSERT INTO pairing_pending (request_id, created_at, record) VALUES (?, ?, ?) ON CONFLICT (request_id) DO UPDATE SET record = excluded.record',
        r.requestId,
        r.createdAtMs,
        JSON.stringify(r),
      ),
    dropPending: (id) => run('DELETE FROM pairing_pending WHERE request_id = ?', id),
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
