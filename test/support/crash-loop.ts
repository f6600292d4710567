import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { CrashClient, nothingSeen, wallMs } from './crash-client.ts';
import { startTestGateway, type TestGateway, type TestGatewayOptions } from './gateway.ts';
import { checkFinal, checkProduct, type FinalFindings, type ProductFindings, readCopy } from './product-check.ts';
import { type ScriptedProvider, startScriptedProvider } from './scripted-provider.ts';
import { randomFrom } from './seed.ts';
import { until } from './until.ts';
import { newDevice } from './wire.ts';

/** How long (ms) a life lasts at most before it is killed, from spawn while it starts, from listening while it streams. */
const STARTING_MS = 250;
const STREAMING_MS = 1300;

export interface CrashLoopOptions {
  /** Its state dir; the caller removes it. */
  readonly dir: string;
  readonly seed: number;
  /** Kills while clients stream, and further ones while the gateway starts. */
  readonly kills: number;
  readonly startKills: number;
  readonly clients: number;
  /** Instead of the built product: a script with the same arguments. */
  readonly program?: string;
  /** Goes on past every other finding until an acknowledged send is lost: for a gateway that is broken on purpose. */
  readonly untilLost?: boolean;
}

export interface CrashLoopReport {
  readonly kills: { readonly streaming: number; readonly starting: number };
  readonly sends: { readonly all: number; readonly acknowledged: number; readonly repeated: number };
  readonly runs: Readonly<Record<string, number>>;
  readonly done: Readonly<Record<string, number>>;
  /** Ms from spawn until `/readyz` said 200 and a hello-ok had come, each life that got so far, sorted. */
  readonly ready: readonly number[];
  /** Ms until the last of all clients had its hello-ok again, sorted. */
  readonly allBack: readonly number[];
  /** Of runs that were cut: age (ms) of the oldest token that was lost, sorted. */
  readonly lostTails: readonly number[];
  readonly tookMs: number;
  readonly complaints: readonly string[];
  readonly findings: ProductFindings | FinalFindings;
}

/** The config of a gateway whose one model is a scripted provider. */
export const scriptedConfig = (provider: Pick<ScriptedProvider, 'url'>, defaults: object = {}): string =>
  JSON.stringify({
    agents: { defaults: { model: 'scripted/model', maxConcurrent: 16, ...defaults } },
    models: {
      providers: {
        scripted: { baseUrl: provider.url, apiKey: 'not-a-secret', api: 'openai-completions', models: [{ id: 'model', name: 'Model' }] },
      },
    },
  });

/**
 * Kills a gateway -9 again and again at instants of the seed while clients stream, and compares after each kill what
 * they were told with what the file holds. At the end everything must have been finished. Stops at the first finding.
 */
export async function crashLoop(options: CrashLoopOptions): Promise<CrashLoopReport> {
  const began = performance.now();
  const random = randomFrom(options.seed);
  await using provider = await startScriptedProvider({ seed: options.seed });
  const stateDir = options.dir;
  const file = path.join(stateDir, 'gateway', 'gateway.sqlite');
  fs.mkdirSync(path.join(stateDir, 'workspace'), { recursive: true, mode: 0o700 });
  fs.writeFileSync(path.join(stateDir, 'workspace', 'notes.md'), 'The lobster is blue.\n');
  fs.writeFileSync(path.join(stateDir, 'openclaw.json'), scriptedConfig(provider), { mode: 0o600 });
  const boot: TestGatewayOptions = {
    stateDir,
    flags: ['--port', String(await freePort(random))],
    ...(options.program !== undefined && { program: options.program }),
  };
  const seen = nothingSeen();
  const clients = Array.from(
    { length: options.clients },
    (_, index) =>
      new CrashClient({
        name: `c${index}`,
        protocol: index % 2 === 0 ? 3 : 4,
        device: newDevice(),
        random: randomFrom(options.seed + 1 + index),
        seen,
      }),
  );

  const killedAt: number[] = [];
  const kills = { streaming: 0, starting: 0 };
  const ready: number[] = [];
  const allBack: number[] = [];
  const sorted = (list: readonly number[]): number[] => list.map(Math.round).sort((a, b) => a - b);
  const report = (findings: ProductFindings | FinalFindings, runs: Record<string, number> = {}): CrashLoopReport => {
    const all = [...seen.sends.values()];
    return {
      kills,
      sends: {
        all: all.length,
        acknowledged: all.filter(({ ackedAt }) => ackedAt !== undefined).length,
        repeated: all.filter(({ tries }) => tries.length > 1).length,
      },
      runs,
      done: seen.done,
      ready: sorted(ready),
      allBack: sorted(allBack),
      lostTails: sorted('lostTails' in findings ? findings.lostTails : []),
      tookMs: Math.round(performance.now() - began),
      complaints: seen.complaints,
      findings,
    };
  };

  // Which life ends while it starts, drawn beforehand.
  const lives = [...Array<'streaming'>(options.kills).fill('streaming'), ...Array<'starting'>(options.startKills).fill('starting')];
  for (let i = lives.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [lives[i], lives[j]] = [lives[j] as 'streaming', lives[i] as 'streaming'];
  }
  for (const [index, life] of lives.entries()) {
    if (life === 'starting') killedAt.push(await killedWhileStarting(boot, random() * STARTING_MS));
    else {
      const lived = await killedWhileStreaming(boot, clients, random() * STREAMING_MS);
      killedAt.push(lived.killedAt);
      if (lived.readyMs !== undefined) ready.push(lived.readyMs);
      if (lived.allBackMs !== undefined) allBack.push(lived.allBackMs);
    }
    kills[life]++;
    const findings = readCopy(file, (db) => checkProduct(db, seen, { quick: index % 10 !== 9 }));
    const isWrong = seen.complaints.length > 0 || Object.values(findings).some((list) => list.length > 0);
    if (options.untilLost === true ? findings.lost.length > 0 : isWrong) return report(findings);
  }

  // Once more, unharmed: everybody gets the answers that are missing, everything waiting runs.
  const last = await startTestGateway(boot);
  try {
    await Promise.all(clients.map((client) => client.settle(last.url, last.token())));
    await until(() => unfinishedRuns(file) === 0, 60_000);
  } finally {
    await last.stop();
  }
  if (last.child.exitCode !== 0) throw new Error(`the last gateway ended with ${last.child.exitCode}:\n${last.output()}`);
  const sent = await provider.sent();
  return readCopy(file, (db) =>
    report(
      checkFinal(db, seen, sent, killedAt),
      Object.fromEntries(
        db
          .prepare('SELECT status, count(*) AS n FROM runs GROUP BY status')
          .all()
          .map(({ status, n }) => [String(status), Number(n)]),
      ),
    ),
  );
}

async function killedWhileStarting(boot: TestGatewayOptions, afterMs: number): Promise<number> {
  let killedAt = 0;
  let exited: Promise<unknown> = Promise.resolve();
  const started = startTestGateway({
    ...boot,
    onSpawn(child: ChildProcess) {
      exited = once(child, 'exit');
      setTimeout(() => {
        killedAt = wallMs();
        child.kill('SIGKILL');
      }, afterMs);
    },
  }).catch((thrown: unknown) => thrown);
  await exited;
  const outcome = await started;
  // Only our own kill may end it.
  if (killedAt === 0) throw new Error(`it ended by itself: ${outcome}`);
  return killedAt;
}

interface Life {
  readonly killedAt: number;
  readonly readyMs: number | undefined;
  readonly allBackMs: number | undefined;
}

async function killedWhileStreaming(boot: TestGatewayOptions, clients: readonly CrashClient[], afterMs: number): Promise<Life> {
  const spawned = performance.now();
  const gateway = await startTestGateway(boot);
  const secret = gateway.token();
  const hellos: number[] = [];
  let readyz: number | undefined;
  const lives = clients.map((client) => client.live(gateway.url, secret, () => hellos.push(performance.now() - spawned)));
  const ready = untilReady(gateway).then((isReady) => {
    if (isReady) readyz = performance.now() - spawned;
  });
  await pause(afterMs);
  if (gateway.child.exitCode !== null || gateway.child.signalCode !== null) throw new Error(`it ended by itself:\n${gateway.output()}`);
  const killedAt = wallMs();
  await gateway.kill('SIGKILL');
  await Promise.all([...lives, ready]);
  const [first] = hellos;
  return {
    killedAt,
    readyMs: readyz === undefined || first === undefined ? undefined : Math.max(readyz, first),
    allBackMs: hellos.length === clients.length ? hellos.at(-1) : undefined,
  };
}

/** True when `/readyz` has said 200, false when the process was gone before. */
async function untilReady(gateway: TestGateway): Promise<boolean> {
  for (;;) {
    try {
      const response = await fetch(`${gateway.httpUrl}/readyz`, { headers: { connection: 'close' } });
      await response.arrayBuffer();
      if (response.status === 200) return true;
    } catch {
      return false;
    }
    await pause(2);
  }
}

/** As a live database shows it to a reader beside the gateway. */
export function unfinishedRuns(file: string): number {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    return Number(db.prepare("SELECT count(*) AS n FROM runs WHERE status IN ('queued', 'running')").get()?.['n']);
  } finally {
    db.close();
  }
}

/** Below the range from which outgoing connections take theirs, so that no client of ours sits on it when it is needed again. */
async function freePort(random: () => number): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(random() * 12_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)]);
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** The p-th percentile of a sorted list. */
export const percentile = (sorted: readonly number[], p: number): number | undefined =>
  sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * p) / 100))];
