import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { EVENT_LOG_STEP, eventLog } from '../../src/store/sqlite/event-log.ts';
import { RETRY_MS } from '../../src/store/sqlite/group-writer.ts';
import { openDatabase } from '../../src/store/sqlite/open.ts';
import { manualClock } from '../support/manual-clock.ts';
import { parseTrace, TRACED, TracedDisk } from '../support/power-loss.ts';
import { seeded } from '../support/seed.ts';
import { checkStore, SOUND, type StoreFindings } from '../support/store-check.ts';
import { killLoop } from '../support/store-kill-loop.ts';
import { tempDir } from '../support/temp-dir.ts';

const WRITER = path.join(import.meta.dirname, '../support/store-writer.ts');
const hasStrace = spawnSync('strace', ['-V']).status === 0;
const STRACE = 'needs strace: sudo apt-get install strace';

/** Runs a writer under strace until it ends or is killed; what it acknowledged and what strace wrote. */
function traced(
  dir: string,
  strace: readonly string[],
  mode: string,
  limit: number,
): { acks: string[]; refusals: string[]; trace: string } {
  const file = path.join(dir, 'gateway.sqlite');
  const traceFile = path.join(dir, 'trace');
  const acks = fs.openSync(path.join(dir, 'acks'), 'a', 0o600);
  try {
    spawnSync('strace', ['-f', '-qq', '-o', traceFile, ...strace, process.execPath, WRITER, file, 'r', mode, String(limit)], {
      stdio: ['ignore', 'ignore', 'ignore', acks],
      timeout: 60_000,
    });
  } finally {
    fs.closeSync(acks);
  }
  const lines = fs
    .readFileSync(path.join(dir, 'acks'), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return {
    acks: lines.filter((line) => !line.startsWith('!')),
    refusals: lines.filter((line) => line.startsWith('!')),
    trace: fs.readFileSync(traceFile, 'latin1'),
  };
}

test('ST-12 kill -9 at 100 random instants', async () => {
  using dir = tempDir();
  const { random } = seeded('store kill loop');
  const report = await killLoop({ dir: dir.path, kills: 100, mode: 'honest', random });
  console.log(report);
  expect(report).toMatchObject({ kills: 100, ...SOUND });
  expect(report.slowestOpenMs).toBeLessThan(1000);
});

test('ST-12 killed at the N-th sync, N = 1 … 50: opens, with all that was acknowledged', async (ctx) => {
  if (!hasStrace) ctx.skip(STRACE);
  let killed = 0;
  for (let n = 1; n <= 50; n++) {
    using dir = tempDir();
    const { acks } = traced(
      dir.path,
      ['-e', 'trace=fsync,fdatasync', '-e', `inject=fsync,fdatasync:signal=SIGKILL:when=${n}`],
      'honest',
      200,
    );
    if (acks.length < 3000) killed++;
    const file = path.join(dir.path, 'gateway.sqlite');
    const opened = await openDatabase(file, { schemas: [EVENT_LOG_STEP] });
    if (!opened.ok) throw opened.error;
    expect({ n, ...checkStore(file, acks) }).toEqual({ n, ...SOUND });
    await opened.value.close();
  }
  expect(killed).toBe(50);
});

test('ST-3 the log is synced between its last write and each acknowledgement', (ctx) => {
  if (!hasStrace) ctx.skip(STRACE);
  using dir = tempDir();
  const { acks, trace } = traced(dir.path, ['-y', '-s', '65536', '-e', `trace=${TRACED}`], 'honest', 60);
  expect(acks.length).toBeGreaterThanOrEqual(60);
  let unsynced = 0;
  let seen = 0;
  let syncs = 0;
  for (const step of parseTrace(trace)) {
    if (step.type === 'write' && step.path.endsWith('-wal')) unsynced++;
    if (step.type === 'sync' && step.path.endsWith('-wal')) {
      if (unsynced > 0) syncs++;
      unsynced = 0;
    }
    if (step.type === 'append' && step.path.endsWith('/acks')) {
      seen++;
      expect({ ack: step.bytes.toString(), unsynced }).toEqual({ ack: step.bytes.toString(), unsynced: 0 });
    }
  }
  expect(seen).toBe(acks.length);
  expect(syncs).toBeGreaterThan(1);
  // The directory too, or the new files could be gone with their content.
  expect(trace).toMatch(new RegExp(`fsync\\(\\d+<${dir.path}>\\) += 0`));
});

/** Cuts the power after every acknowledgement of a trace; the first findings, or none. */
function cutPowerAtEveryAck(dir: string, trace: string, random: () => number): { cuts: number; findings: StoreFindings } {
  const db = path.join(dir, 'gateway.sqlite');
  const copy = path.join(dir, 'after', 'gateway.sqlite');
  fs.mkdirSync(path.dirname(copy));
  const disk = new TracedDisk();
  const acknowledged: string[] = [];
  let cuts = 0;
  for (const step of parseTrace(trace)) {
    disk.apply(step);
    if (step.type !== 'append' || !step.path.endsWith('/acks')) continue;
    acknowledged.push(step.bytes.toString().trim());
    // Everything unsynced gone, and once more with a random part of it there.
    for (const survives of [() => false, () => random() < 0.5]) {
      cuts++;
      for (const suffix of ['', '-wal']) fs.writeFileSync(copy + suffix, disk.afterCut(db + suffix, survives));
      fs.rmSync(`${copy}-shm`, { force: true });
      const findings = checkStore(copy, acknowledged);
      if (JSON.stringify(findings) !== JSON.stringify(SOUND)) return { cuts, findings };
    }
  }
  return { cuts, findings: SOUND };
}

test('ST-12 power cut after each acknowledgement: what was synced holds all that was acknowledged', (ctx) => {
  if (!hasStrace) ctx.skip(STRACE);
  using dir = tempDir();
  const { random } = seeded('power cuts');
  const { acks, trace } = traced(dir.path, ['-y', '-s', '65536', '-e', `trace=${TRACED}`], 'honest', 300);
  const { cuts, findings } = cutPowerAtEveryAck(dir.path, trace, random);
  expect(findings).toEqual(SOUND);
  expect(cuts).toBe(acks.length * 2);
});

test('ST-12 the same check catches a store that does not sync, which no kill -9 would', (ctx) => {
  if (!hasStrace) ctx.skip(STRACE);
  using dir = tempDir();
  const { random } = seeded('power cuts, unsynced on purpose');
  const { trace } = traced(dir.path, ['-y', '-s', '65536', '-e', `trace=${TRACED}`], 'unsynced', 50);
  expect(cutPowerAtEveryAck(dir.path, trace, random).findings.lost.length).toBeGreaterThan(0);
});

test('ST-14 a disk that fails to sync: nothing is acknowledged meanwhile, all before and after is there', (ctx) => {
  if (!hasStrace) ctx.skip(STRACE);
  using dir = tempDir();
  const inject = 'inject=fsync,fdatasync:error=EIO:when=20..22';
  const { acks, refusals } = traced(dir.path, ['-e', 'trace=fsync,fdatasync', '-e', inject], 'honest', 400);
  expect(refusals.length).toBeGreaterThan(0);
  expect(new Set(refusals)).toEqual(new Set(['! STORE_IO']));
  expect(acks.length).toBeGreaterThanOrEqual(400);
  expect(checkStore(path.join(dir.path, 'gateway.sqlite'), acks)).toEqual(SOUND);
});

test('ST-14 a full disk: read-only with the reason, reads go on; when space returns, so do writes', async (ctx) => {
  using dir = tempDir();
  const mount = path.join(dir.path, 'small');
  fs.mkdirSync(mount);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,mode=0700', 'tmpfs', mount]).status !== 0)
    ctx.skip('needs root, to mount a tmpfs of 1 MB');
  try {
    const file = path.join(mount, 'gateway.sqlite');
    const clock = { ...manualClock(), monotonic: systemClock.monotonic };
    const opened = await openDatabase(file, { schemas: [EVENT_LOG_STEP], clock });
    if (!opened.ok) throw opened.error;
    const store = opened.value;
    const log = eventLog(store);
    const acknowledged: string[] = [];
    const append = async (id: string): Promise<string> => {
      try {
        await store.write((tx) => log.append(tx, 'gateway', 'note', JSON.stringify({ id, text: 'x'.repeat(500) }), 0));
        acknowledged.push(id);
        return 'ok';
      } catch (thrown) {
        return (thrown as { code: string }).code;
      }
    };
    expect(await append('first')).toBe('ok');
    const ballast = path.join(mount, 'ballast');
    const fd = fs.openSync(ballast, 'w');
    expect(() => {
      for (;;) fs.writeSync(fd, Buffer.alloc(4096));
    }).toThrow(/ENOSPC/);
    fs.closeSync(fd);

    let outcome = 'ok';
    for (let i = 0; i < 5000 && outcome === 'ok'; i++) outcome = await append(`full.${i}`);
    expect(outcome).toBe('STORE_FULL');
    expect(store.health()).toMatchObject({ state: 'read-only', problem: { code: 'STORE_FULL', message: expect.stringContaining(file) } });
    expect(log.read('gateway', 0, 1).map(({ seq }) => seq)).toEqual([1]);
    await clock.advance(RETRY_MS * 3);
    expect(store.health().state).toBe('read-only');
    expect(await append('refused')).toBe('STORE_FULL');

    fs.rmSync(ballast);
    await clock.advance(RETRY_MS);
    expect(store.health()).toEqual({ state: 'ok' });
    expect(await append('after')).toBe('ok');
    expect(clock.pending).toBe(0);
    await store.close();
    expect(checkStore(file, acknowledged)).toEqual(SOUND);
  } finally {
    spawnSync('umount', [mount]);
  }
});
