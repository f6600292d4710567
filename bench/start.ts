/** From spawn to an authenticated `hello-ok`, the CPU that took, and what an idle gateway weighs after ten seconds. */
import { setTimeout as pause } from 'node:timers/promises';
import { newStateDir, productEnv, ROOT, startTestGateway } from '../test/support/gateway.ts';
import { bundledFloor, cpuMs, rssKiB, startListening } from './processes.ts';
import { median, type Row, ratioRow, round } from './row.ts';
import { WireClient } from './wire-client.ts';

const RUNS = 11;
const IDLE_MS = 10_000;
const LAUNCHER = `${ROOT}/bin/openclaw.js`;

export async function run(): Promise<Row[]> {
  using floor = await bundledFloor('bare-ws-server');
  const stateDir = newStateDir();
  const env = productEnv(stateDir);
  // The first start makes database, keys and token; a machine boots many times.
  const first = await startTestGateway({ stateDir });
  const token = first.token();
  await first.stop();

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
  for (let i = 0; i <= RUNS; i++) {
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

  await using idleBare = await startListening(bareArgv, env);
  await using idleOurs = await startListening(argv, env);
  await pause(IDLE_MS);
  const cpuBefore = cpuMs(idleOurs.pid);
  const rss = [rssKiB(idleOurs.pid), rssKiB(idleBare.pid)] as const;
  await pause(IDLE_MS);
  const idleCpu = ((cpuMs(idleOurs.pid) - cpuBefore) / IDLE_MS) * 100;

  const cpu = median(ours.cpu);
  return [
    ratioRow('spawn → authenticated hello-ok', 'ms', median(ours.ms), median(bare.ms), { atMost: 3 }, 'bare http+ws'),
    ratioRow('spawn → /readyz says ready', 'ms', median(ours.ready), median(bare.ms), { atMost: 3 }, 'bare http+ws'),
    { figure: 'CPU to start', value: round(cpu), unit: 'ms', floor: round(median(bare.cpu)), budget: '≤ 150 ms', ok: cpu <= 150 },
    ratioRow('idle RSS after 10 s', 'MiB', rss[0] / 1024, rss[1] / 1024, { atMost: 1.6 }, 'bare http+ws'),
    { figure: 'CPU when idle', value: round(idleCpu), unit: '% of a core', budget: '< 0.2 % (10 ms steps)', ok: idleCpu < 0.2 },
  ];
}

async function toReady(argv: readonly string[], env: Readonly<Record<string, string>>): Promise<number> {
  const began = performance.now();
  await using server = await startListening(argv, env);
  while ((await fetch(`http://127.0.0.1:${server.port}/readyz`)).status !== 200) await pause(2);
  return performance.now() - began;
}
