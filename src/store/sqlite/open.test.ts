import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { MAX_BATCH, MAX_QUEUED, RETRY_MS } from './group-writer.ts';
import { openDatabase, type Store } from './open.ts';

const NOTES = 'CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT';
let dir: string;
let file: string;
const open: Store[] = [];

beforeEach(() => {
  dir = fs.mkdtempSync(path.join(os.tmpdir(), 'oc-store-'));
  file = path.join(dir, 'gateway.sqlite');
});
afterEach(async () => {
  for (const store of open.splice(0)) await store.close();
  fs.rmSync(dir, { recursive: true, force: true });
});

async function opened(schemas: readonly string[] = [NOTES]): Promise<Store> {
  const result = await openDatabase(file, { schemas });
  if (!result.ok) throw result.error;
  open.push(result.value);
  return result.value;
}
async function refusal(schemas: readonly string[] = [NOTES]): Promise<string> {
  const result = await openDatabase(file, { schemas });
  if (result.ok) await result.value.close();
  return result.ok ? 'opened' : `${result.error.code}: ${result.error.message}`;
}
const insert = (store: Store, text: string): Promise<number> =>
  store.write((tx) => Number(tx.prepare('INSERT INTO notes (text) VALUES (?)').run(text).lastInsertRowid));
const texts = (store: Store): string[] =>
  store
    .prepare('SELECT text FROM notes ORDER BY id')
    .all()
    .map((row) => String(row['text']));
const pragma = (store: Store, name: string): unknown => Object.values(store.prepare(`PRAGMA ${name}`).get() ?? {})[0];

test('ST-1 opens in WAL with synchronous=FULL, foreign keys on, scratch in memory', async () => {
  const store = await opened();
  expect([pragma(store, 'journal_mode'), pragma(store, 'synchronous'), pragma(store, 'foreign_keys'), pragma(store, 'temp_store')]).toEqual(
    ['wal', 2, 1, 2],
  );
});

test.skipIf(process.platform === 'win32')(
  'ST-2 database, log and index are 0600 whatever the umask, and tightened when laxer',
  async () => {
    const umask = process.umask(0);
    try {
      const store = await opened();
      await insert(store, 'a');
      const modes = (): string[] => ['', '-wal', '-shm'].map((suffix) => (fs.statSync(file + suffix).mode & 0o777).toString(8));
      expect(modes()).toEqual(['600', '600', '600']);
      await open.pop()?.close();
      fs.chmodSync(file, 0o644);
      await insert(await opened(), 'b');
      expect(modes()).toEqual(['600', '600', '600']);
    } finally {
      process.umask(umask);
    }
  },
);

test('ST-2 a symlink in place of the database is refused, its target untouched', async () => {
  const target = path.join(dir, 'elsewhere');
  fs.writeFileSync(target, 'mine');
  fs.symlinkSync(target, file);
  expect(await refusal()).toMatch(/^STORE_OPEN: .*not a regular file/);
  expect(fs.readFileSync(target, 'utf8')).toBe('mine');
});

test('ST-3 writes of one turn share one commit; each resolves with its own result; reads see them', async () => {
  const store = await opened();
  let commits = 0;
  const watcher = new DatabaseSync(file, { readOnly: true });
  const version = (): unknown => Object.values(watcher.prepare('PRAGMA data_version').get() ?? {})[0];
  const before = version();
  const ids = await Promise.all(['a', 'b', 'c'].map((text) => insert(store, text)));
  if (version() !== before) commits++;
  watcher.close();
  expect(ids).toEqual([1, 2, 3]);
  expect(commits).toBe(1);
  expect(texts(store)).toEqual(['a', 'b', 'c']);
});

test('ST-3 nothing is visible and nothing resolves before the commit', async () => {
  const store = await opened();
  const pending = insert(store, 'a');
  expect(texts(store)).toEqual([]);
  await pending;
  expect(texts(store)).toEqual(['a']);
});

test('ST-4 a work that throws undoes its own changes alone', async () => {
  const store = await opened();
  const outcomes = await Promise.allSettled([
    insert(store, 'a'),
    store.write((tx) => {
      tx.prepare("INSERT INTO notes (text) VALUES ('half')").run();
      throw new Error('changed my mind');
    }),
    insert(store, 'a'),
    insert(store, 'b'),
  ]);
  expect(outcomes.map((o) => (o.status === 'fulfilled' ? 'ok' : (o.reason as Error).message))).toEqual([
    'ok',
    'changed my mind',
    'UNIQUE constraint failed: notes.text',
    'ok',
  ]);
  expect(texts(store)).toEqual(['a', 'b']);
  expect(store.health()).toEqual({ state: 'ok' });
});

test('EV-5 what a write tells is told after the commit, in the order of the writes, before any of them resolves; nothing of what is undone', async () => {
  const store = await opened();
  const seen: string[] = [];
  const tell = (text: string, fails = false): Promise<void> =>
    store
      .write((tx) => {
        tx.afterCommit(() => seen.push(`${text} told, ${texts(store).length} there`));
        tx.prepare('INSERT INTO notes (text) VALUES (?)').run(text);
        tx.afterCommit(() => seen.push(`${text} told again`));
        if (fails) throw new Error('changed my mind');
      })
      .then(
        () => void seen.push(`${text} written`),
        () => void seen.push(`${text} undone`),
      );
  await Promise.all([tell('a'), tell('b', true), tell('c')]);
  expect(seen.slice(0, 4)).toEqual(['a told, 2 there', 'a told again', 'c told, 2 there', 'c told again']);
  expect(seen.slice(4).sort()).toEqual(['a written', 'b undone', 'c written']);

  // The whole batch is refused: nothing is told.
  seen.length = 0;
  store.prepare(`PRAGMA max_page_count = ${pragma(store, 'page_count')}`).get();
  await Promise.all([tell('d'), tell('x'.repeat(100_000))]);
  expect(seen).toEqual(['d undone', `${'x'.repeat(100_000)} undone`]);
});

test('EV-5 a listener that throws keeps nobody from hearing', async () => {
  const store = await opened();
  const seen: string[] = [];
  const uncaught: unknown[] = [];
  const note = (thrown: unknown): void => void uncaught.push(thrown);
  const listeners = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', note);
  try {
    await store.write((tx) => {
      tx.afterCommit(() => {
        throw new Error('a bug');
      });
      tx.afterCommit(() => seen.push('told'));
    });
    await new Promise(setImmediate);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of listeners) process.on('uncaughtException', listener);
  }
  expect(seen).toEqual(['told']);
  expect(uncaught).toHaveLength(1);
});

test('ST-4 a work that returns a promise is refused and undone', async () => {
  const store = await opened();
  await expect(store.write(async (tx) => tx.prepare("INSERT INTO notes (text) VALUES ('late')").run())).rejects.toThrow(/synchronous/);
  expect(texts(store)).toEqual([]);
});

test('ST-5 nothing is written outside of write: by a read statement, by a Tx kept, by a statement kept', async () => {
  const store = await opened();
  expect(() => store.prepare("INSERT INTO notes (text) VALUES ('stray')").run()).toThrow(/readonly/);
  const kept = await store.write((tx) => ({ tx, statement: tx.prepare("INSERT INTO notes (text) VALUES ('kept')") }));
  expect(() => kept.tx.prepare('SELECT 1')).toThrow(/after its work/);
  expect(() => kept.statement.run()).toThrow(/readonly/);
  expect(texts(store)).toEqual([]);
  expect(store.health()).toEqual({ state: 'ok' });
});

test('ST-6 more writes than one batch holds all commit, in order', async () => {
  const store = await opened();
  const count = MAX_BATCH * 2 + 7;
  const ids = await Promise.all(Array.from({ length: count }, (_, i) => insert(store, `n${i}`)));
  expect(ids).toEqual(Array.from({ length: count }, (_, i) => i + 1));
});

test('ST-6 the queue is bounded: beyond it a write is refused, those before it commit', async () => {
  const store = await opened();
  const taken = Array.from({ length: MAX_QUEUED }, () => store.write(() => 1));
  await expect(store.write(() => 1)).rejects.toMatchObject({ code: 'STORE_OVERLOADED' });
  expect((await Promise.all(taken)).length).toBe(MAX_QUEUED);
});

test('ST-7 close commits what is queued and refuses what comes after', async () => {
  const store = await opened();
  const queued = insert(store, 'last');
  await store.close();
  await queued;
  await expect(insert(store, 'late')).rejects.toMatchObject({ code: 'STORE_CLOSED' });
  await store.close();
  const again = await opened();
  expect(texts(again)).toEqual(['last']);
  expect(again.opened.unclean).toBe(false);
});

test('ST-8 schema steps run once, later ones are added, all or nothing', async () => {
  await insert(await opened(), 'kept');
  await open.pop()?.close();
  expect(await refusal([NOTES, 'CREATE TABLE more (id INTEGER PRIMARY KEY); CREATE TABLE notes (id INTEGER)']).catch(String)).toMatch(
    /already exists/,
  );
  const store = await opened([NOTES, 'ALTER TABLE notes ADD COLUMN at INTEGER']);
  expect(store.opened).toMatchObject({ from: 1, to: 2 });
  expect(store.prepare('SELECT text, at FROM notes').all()).toEqual([{ text: 'kept', at: null }]);
  expect(store.prepare("SELECT name FROM sqlite_schema WHERE name = 'more'").all()).toEqual([]);
});

test('ST-9 a file of a newer version, of another program, of edited steps is refused with the reason and left as it was', async () => {
  await opened([NOTES, 'CREATE TABLE second (id INTEGER PRIMARY KEY)']);
  await open.pop()?.close();
  const bytes = fs.readFileSync(file);
  expect(await refusal([NOTES])).toMatch(/^STORE_NEWER: .*schema 2; this one knows up to 1/);
  expect(await refusal([NOTES, 'CREATE TABLE other (id INTEGER PRIMARY KEY)'])).toMatch(/^STORE_STEPS_DIFFER: Schema step 2/);
  expect(fs.readFileSync(file).equals(bytes)).toBe(true);

  fs.rmSync(file);
  const foreign = new DatabaseSync(file);
  foreign.exec('CREATE TABLE theirs (id INTEGER)');
  foreign.close();
  const theirs = fs.readFileSync(file);
  expect(await refusal()).toMatch(/^STORE_FOREIGN/);
  expect(fs.readFileSync(file).equals(theirs)).toBe(true);
});

test('ST-10 a file that is no database, or a damaged one after an unclean end, is refused and kept', async () => {
  fs.writeFileSync(file, 'not a database at all, but long enough to have a header of one hundred bytes'.repeat(4), { mode: 0o600 });
  expect(await refusal()).toMatch(/^STORE_CORRUPT: .*is no database/);
  expect(fs.readFileSync(file, 'utf8')).toMatch(/^not a database/);
});

test('ST-11 another program that holds the file locked is named as such; nothing is lost, the next write works', async () => {
  const store = await opened();
  const other = new DatabaseSync(file);
  other.exec('BEGIN IMMEDIATE');
  await expect(insert(store, 'a')).rejects.toMatchObject({ code: 'STORE_BUSY' });
  other.exec('ROLLBACK');
  other.close();
  expect(store.health()).toEqual({ state: 'ok' });
  await insert(store, 'b');
  expect(texts(store)).toEqual(['b']);
});

test('ST-13 the probe is one durable write and says how long it took', async () => {
  const store = await opened();
  const took = await store.probe();
  expect(took.ok && took.value >= 0).toBe(true);
  expect(store.integrityCheck()).toEqual([]);
});

test('ST-14 full: the batch is refused and undone, the state says why, reads go on, a try a second brings it back', async () => {
  const clock = manualClock();
  const result = await openDatabase(file, { schemas: [NOTES], clock });
  if (!result.ok) throw result.error;
  const store = result.value;
  open.push(store);
  const heard: string[] = [];
  store.onHealth((health) => heard.push(health.state));
  await insert(store, 'before');
  const limit = (pages: number): unknown => store.prepare(`PRAGMA max_page_count = ${pages}`).get();
  limit(Number(pragma(store, 'page_count')));

  const batch = await Promise.allSettled([insert(store, 'small'), insert(store, 'x'.repeat(100_000)), insert(store, 'small too')]);
  expect(batch.map((o) => (o.status === 'rejected' ? (o.reason as { code: string }).code : 'ok'))).toEqual([
    'STORE_FULL',
    'STORE_FULL',
    'STORE_FULL',
  ]);
  expect(store.health()).toMatchObject({
    state: 'read-only',
    since: clock.now(),
    problem: { code: 'STORE_FULL', fix: expect.any(String) },
  });
  expect(texts(store)).toEqual(['before']);
  await expect(insert(store, 'while full')).rejects.toMatchObject({ code: 'STORE_FULL' });

  limit(1_000_000);
  await expect(insert(store, 'before the try')).rejects.toMatchObject({ code: 'STORE_FULL' });
  await clock.advance(RETRY_MS);
  expect(store.health()).toEqual({ state: 'ok' });
  await insert(store, 'after');
  expect(texts(store)).toEqual(['before', 'after']);
  expect(heard).toEqual(['read-only', 'ok']);
  expect(clock.pending).toBe(0);
});

test('ST-14 closing while read-only ends the tries', async () => {
  const clock = manualClock();
  const result = await openDatabase(file, { schemas: [NOTES], clock });
  if (!result.ok) throw result.error;
  result.value.prepare(`PRAGMA max_page_count = ${pragma(result.value, 'page_count')}`).get();
  await expect(insert(result.value, 'x'.repeat(100_000))).rejects.toMatchObject({ code: 'STORE_FULL' });
  expect(clock.pending).toBe(1);
  await result.value.close();
  expect(clock.pending).toBe(0);
});

test('ST-10 damage found after an unclean end is refused, and the file kept', async () => {
  const store = await opened();
  for (let i = 0; i < 400; i++) void insert(store, `${i}`.padEnd(500, 'x'));
  await store.close();
  open.length = 0;
  const bytes = fs.readFileSync(file);
  bytes.fill(0x55, 4096 * 3, 4096 * 5);
  fs.writeFileSync(file, bytes);
  // A log beside it is what a killed process leaves; SQLite ignores this one, for it has no valid header.
  fs.writeFileSync(`${file}-wal`, 'x'.repeat(64), { mode: 0o600 });
  expect(await refusal()).toMatch(/^STORE_CORRUPT: .*is damaged/);
  expect(fs.existsSync(file)).toBe(true);
});
