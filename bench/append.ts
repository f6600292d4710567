/**
 * What a durable append costs: one at a time (latency) and 64 at a time (rate), against appending the same bytes to a
 * file and syncing it. The directory is the one under test: `OPENCLAW_BENCH_DIR`, else beside this file, never a tmpfs.
 */
import fs from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { EVENT_LOG_STEP, eventLog } from '../src/store/sqlite/event-log.ts';
import { openDatabase } from '../src/store/sqlite/open.ts';
import { type BenchOptions, median, percentile, type Row, valueRow } from './row.ts';

const SINGLE = 1000;
const WRITERS = 64;
const PAYLOAD = JSON.stringify({ role: 'user', text: 'x'.repeat(270) });

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const many = quick ? 5_000 : 20_000;
  const dir = fs.mkdtempSync(path.join(process.env['OPENCLAW_BENCH_DIR'] ?? import.meta.dirname, '.append-'));
  try {
    const opened = await openDatabase(path.join(dir, 'gateway.sqlite'), { schemas: [EVENT_LOG_STEP] });
    if (!opened.ok) throw opened.error;
    const store = opened.value;
    const log = eventLog(store);
    const append = (i: number) => store.write((tx) => log.append(tx, `agent:main:${i % 20}`, 'message', PAYLOAD, i));

    const p50: number[] = [];
    const p99: number[] = [];
    const floor50: number[] = [];
    const floor99: number[] = [];
    const rate: number[] = [];
    const floorRate: number[] = [];
    const loop99: number[] = [];
    for (let round = 0; round < (quick ? 2 : 5); round++) {
      const bare = bareAppends(dir, SINGLE);
      floor50.push(percentile(bare, 0.5));
      floor99.push(percentile(bare, 0.99));
      const taken: number[] = [];
      for (let i = 0; i < SINGLE; i++) {
        const began = performance.now();
        await append(i);
        taken.push(performance.now() - began);
      }
      p50.push(percentile(taken, 0.5));
      p99.push(percentile(taken, 0.99));

      floorRate.push(1000 / median(bare));
      const delay = monitorEventLoopDelay({ resolution: 1 });
      delay.enable();
      const began = performance.now();
      let next = 0;
      const writer = async (): Promise<void> => {
        while (next < many) await append(next++);
      };
      await Promise.all(Array.from({ length: WRITERS }, writer));
      rate.push((many / (performance.now() - began)) * 1000);
      delay.disable();
      loop99.push(delay.percentile(99) / 1e6);
    }
    await store.close();
    return [
      valueRow('durable append, in turn, p50', 'ms', median(p50), undefined, median(floor50)),
      valueRow('durable append, in turn, p99', 'ms', median(p99), { atMost: 3 }, median(floor99)),
      valueRow(`durable appends, ${WRITERS} at a time`, 'per s', median(rate), { atLeast: 5_000 }, median(floorRate)),
      valueRow('event loop delay meanwhile, p99', 'ms', median(loop99), { atMost: 20 }),
    ];
  } finally {
    fs.rmSync(dir, { recursive: true, force: true });
  }
}

/** The floor: ms of each append of the same bytes to a file with `fdatasync`. */
function bareAppends(dir: string, count: number): number[] {
  const file = path.join(dir, 'bare');
  const fd = fs.openSync(file, 'w');
  const taken: number[] = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    fs.writeSync(fd, PAYLOAD);
    fs.fdatasyncSync(fd);
    taken.push(performance.now() - began);
  }
  fs.closeSync(fd);
  fs.rmSync(file);
  return taken;
}
