/** From spawn to an authenticated `hello-ok`, the CPU that took, and what an idle gateway weighs after ten seconds. */
import { rmSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { newStateDir, productEnv, ROOT, startTestGateway } from '../test/support/gateway.ts';
import { bundledFloor, cpuMs, rssMiB, startListening } from './processes.ts';
import { type BenchOptions, median, type Row, ratioRow, valueRow } from './row.ts';
import { WireClient } from './wire-client.ts';

const IDLE_MS = 10_000;
const LAUNCHER = `${ROOT}/bin/openclaw.js`;

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  const runs = quick ? 5 : 15;
  using floor = await bundledFloor('bare-ws-server');
  const stateDir = newStateDir();
  try {
    const env = productEnv(stateDir);
    // The first start makes database, keys and token, the second the compile cache: a machine boots many times.
    let token = '';
    for (let i = 0; i < 2; i++) {
      const before = await startTestGateway({ stateDir });
      token = before.token();
      await before.stop();
    }

    const bareArgv = [process.execPath, floor.file];
    const argv = [process.execPath, LAUNCHER, 'gateway', 'run', '--port', '0'];
    const toHello = async (command: readonly string[], auth: Record<string, string>) => {
      const began = performance.now();
      await using server = await startListening(command, env);
      const client = await WireClient.connect(server.port, { auth });
      const ms = performance.now() - began;
      const cpu = cpuMs(server.pid);
      client.close();
      return { ms, cpu };
    };
    const bare = { ms: [] as number[], cpu: [] as number[] };
    const ours = { ms: [] as number[], cpu: [] as number[], ready: [] as number[] };
    for (let i = 0; i <= runs; i++) {
      const floorRun = await toHello(bareArgv, {});
      const run = await toHello(argv, { token });
      const ready = await toReady(argv, env);
      if (i === 0) continue; // Warms the caches.
      bare.ms.push(floorRun.ms);
      bare.cpu.push(floorRun.cpu);
      ours.ms.push(run.ms);
      ours.cpu.push(run.cpu);
      ours.ready.push(ready);
    }

    const rss = { bare: [] as number[], ours: [] as number[] };
    const idle: number[] = [];
    for (let i = 0; i < (quick ? 1 : 3); i++) {
      await using idleBare = await startListening(bareArgv, env);
      await using idleOurs = await startListening(argv, env);
      await pause(IDLE_MS);
      rss.ours.push(rssMiB(idleOurs.pid));
      rss.bare.push(rssMiB(idleBare.pid));
      const before = cpuMs(idleOurs.pid);
      await pause(IDLE_MS);
      idle.push(((cpuMs(idleOurs.pid) - before) / IDLE_MS) * 100);
    }
    return [
      ratioRow('spawn → authenticated hello-ok', 'ms', median(ours.ms), median(bare.ms), { atMost: 3 }, 'bare http+ws'),
      ratioRow('spawn → /readyz says ready', 'ms', median(ours.ready), median(bare.ms), { atMost: 3 }, 'bare http+ws'),
      valueRow('CPU to start', 'ms', median(ours.cpu), { atMost: 150 }, median(bare.cpu)),
      ratioRow('idle RSS after 10 s', 'MiB', median(rss.ours), median(rss.bare), { atMost: 1.6 }, 'bare http+ws'),
      valueRow('CPU when idle', '% of a core', median(idle), { atMost: 0.2 }),
    ];
  } finally {
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function toReady(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const began = performance.now();
  await using server = await startListening(argv, env);
  const deadline = began + 10_000;
  while ((await fetch(`http://127.0.0.1:${server.port}/readyz`)).status !== 200) {
    if (performance.now() > deadline) throw new Error('not ready within 10 s');
    await pause(2);
  }
  return performance.now() - began;
}
