import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { nothingSeen, type Seen } from '../support/crash-client.ts';
import { type CrashSite, crashSite } from '../support/crash-loop.ts';
import { parseTrace, TRACED, TracedDisk } from '../support/power-loss.ts';
import { checkProduct, readCopy, SOUND_FINAL, SOUND_PRODUCT } from '../support/product-check.ts';
import { startScriptedProvider } from '../support/scripted-provider.ts';
import { seeded } from '../support/seed.ts';
import { tempDir } from '../support/temp-dir.ts';
import { HAS_STRACE, NEEDS_STRACE, startTraced } from '../support/traced-gateway.ts';
import { until } from '../support/until.ts';

const EARLY = path.join(import.meta.dirname, '../support/early-gateway.ts');
const WRITES = ['-y', '-s', '65536', '-e', `trace=${TRACED},writev,sendto,sendmsg`];

/** Traces a gateway while clients send until `acks` messages are acknowledged; the trace, and what they saw. */
async function tracedSends(options: { acks: number; program?: string }): Promise<{ trace: string; file: string; seen: Seen }> {
  using dir = tempDir();
  const { seed } = seeded('traced sends');
  await using provider = await startScriptedProvider({ seed });
  const site = await crashSite({ dir: path.join(dir.path, 'state'), provider, seed, clients: 4, ...options });
  await using traced = await startTraced(site.boot, dir.path, WRITES);
  const { gateway } = traced;
  if (gateway === undefined) throw new Error('the traced gateway did not come up');
  const enough = new AbortController();
  const lives = site.clients.map(async (client) => {
    // Again when it is cut: a gateway that is broken on purpose does not know its devices at once.
    while (!enough.signal.aborted) await client.live(gateway.url, gateway.token(), () => {}, enough.signal);
  });
  await until(() => acked(site.seen).length >= options.acks, 120_000);
  enough.abort();
  await Promise.all(lives);
  traced.kill();
  await traced.ended;
  return { trace: traced.trace(), file: site.file, seen: site.seen };
}

const acked = (seen: Seen): string[] => [...seen.sends.values()].filter(({ ackedAt }) => ackedAt !== undefined).map(({ key }) => key);

/** The key that a line of the trace acknowledges on a socket. */
const ackOf = (line: string): string | undefined =>
  /^(?:write|writev|sendto|sendmsg)\(\d+<socket:/.test(line)
    ? /\\"type\\":\\"res\\",\\"id\\":\\"t\d+\\",\\"ok\\":true,\\"payload\\":\{\\"runId\\":\\"([^\\]+)\\",\\"status\\":\\"started\\"/.exec(
        line,
      )?.[1]
    : undefined;

/** Acknowledgements of a trace, each with whether its message had been written to the log and synced before it left. */
function acknowledgements(trace: string, keys: readonly string[]): { key: string; written: boolean; synced: boolean; unsynced: number }[] {
  const out: { key: string; written: boolean; synced: boolean; unsynced: number }[] = [];
  const open = new Set(keys);
  const written = new Set<string>();
  const synced = new Set<string>();
  let unsynced = 0;
  for (const line of trace.split('\n')) {
    if (/^pwrite64\(\d+<[^>]*gateway\.sqlite-wal>/.test(line)) {
      unsynced++;
      // A message begins with its key and a line feed: `\n` in its JSON, whose backslash strace doubles.
      for (const key of open) if (line.includes(`${key}\\\\nTEST`)) written.add(key);
    } else if (/^f(?:data)?sync\(\d+<[^>]*gateway\.sqlite-wal>\) += 0/.test(line)) {
      unsynced = 0;
      for (const key of written) synced.add(key);
    }
    const key = ackOf(line);
    if (key === undefined) continue;
    out.push({ key, written: written.has(key), synced: synced.has(key), unsynced });
    open.delete(key);
  }
  return out;
}

test('ST-3 on the whole product the sync has returned before the acknowledgement of a message leaves its socket', async (ctx) => {
  if (!HAS_STRACE) ctx.skip(NEEDS_STRACE);
  const { trace, seen } = await tracedSends({ acks: 60 });
  const acks = acknowledgements(trace, [...seen.sends.keys()]);
  const sent = acked(seen);
  expect(new Set(acks.map(({ key }) => key))).toEqual(new Set(sent));
  expect(acks.length).toBeGreaterThanOrEqual(60);
  expect(acks.filter(({ synced, unsynced }) => !synced || unsynced > 0)).toEqual([]);
  console.log(`${acks.length} acknowledgements, each after its sync`);
}, 180_000);

test('ST-3 the same trace shows a gateway that acknowledges before it commits', async (ctx) => {
  if (!HAS_STRACE) ctx.skip(NEEDS_STRACE);
  const { trace, seen } = await tracedSends({ acks: 10, program: EARLY });
  const acks = acknowledgements(trace, [...seen.sends.keys()]);
  expect(acks.filter(({ synced }) => !synced).length).toBeGreaterThan(0);
}, 180_000);

test('ST-12 power cut after each acknowledgement of the whole product: what was synced holds all that was acknowledged', async (ctx) => {
  if (!HAS_STRACE) ctx.skip(NEEDS_STRACE);
  using dir = tempDir();
  const { random } = seeded('power cuts of the product');
  const { trace, file, seen } = await tracedSends({ acks: 25 });
  const copy = path.join(dir.path, 'gateway.sqlite');
  const disk = new TracedDisk();
  const told: Seen = nothingSeen();
  let cuts = 0;
  for (const line of trace.split('\n')) {
    for (const step of parseTrace(line)) disk.apply(step);
    const send = seen.sends.get(ackOf(line) ?? '');
    if (send === undefined) continue;
    told.sends.set(send.key, send);
    // Everything unsynced gone, and once more with a random part of it there.
    for (const survives of [() => false, () => random() < 0.5]) {
      cuts++;
      for (const suffix of ['', '-wal']) fs.writeFileSync(copy + suffix, disk.afterCut(file + suffix, survives));
      const { lost, twice, holes, damage } = readCopy(copy, (db) => checkProduct(db, told));
      expect({ cuts, lost, twice, holes, damage }).toEqual({ cuts, lost: [], twice: [], holes: [], damage: [] });
    }
  }
  expect(cuts).toBeGreaterThanOrEqual(50);
}, 180_000);

/** One life that ends at its n-th sync; how it ended. */
async function killedAtSync(site: CrashSite, dir: string, n: number): Promise<NodeJS.Signals | undefined> {
  await using traced = await startTraced(site.boot, dir, [
    '-e',
    'trace=fsync,fdatasync',
    '-e',
    `inject=fsync,fdatasync:signal=SIGKILL:when=${n}`,
  ]);
  const { gateway } = traced;
  if (gateway !== undefined) {
    const secret = gateway.token();
    await Promise.all(site.clients.map((client) => client.live(gateway.url, secret, () => {})));
  }
  return await traced.ended;
}

test('ST-12 killed at its N-th sync, N = 1 … 50, from the very first start on: starts again, with all that was acknowledged', async (ctx) => {
  if (!HAS_STRACE) ctx.skip(NEEDS_STRACE);
  const { seed } = seeded('kill at the N-th sync');
  await using provider = await startScriptedProvider({ seed });
  let acknowledged = 0;
  let takenBefore = 0;
  for (let n = 1; n <= 50; n++) {
    using dir = tempDir();
    const site = await crashSite({ dir: path.join(dir.path, 'state'), provider, seed: seed + n, clients: 3, prefix: `n${n}c` });
    expect({ n, ended: await killedAtSync(site, dir.path, n) }).toEqual({ n, ended: 'SIGKILL' });
    acknowledged += acked(site.seen).length;
    expect({ n, ...readCopy(site.file, (db) => checkProduct(db, site.seen)) }).toEqual({ n, ...SOUND_PRODUCT });
    const { lostTails: _, ...findings } = await site.finish([]);
    expect({ n, ...findings, complaints: site.seen.complaints }).toEqual({ n, ...SOUND_FINAL, complaints: [] });
    takenBefore += site.seen.done['taken before'] ?? 0;
  }
  console.log(
    `${acknowledged} messages were acknowledged before a kill at a sync, ${takenBefore} had been written and not yet acknowledged`,
  );
  expect(acknowledged).toBeGreaterThan(30);
  // What was written and repeated is one run.
  expect(takenBefore).toBeGreaterThan(0);
}, 300_000);
